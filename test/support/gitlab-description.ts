// Holds what passed between the adapter and the false GitLab to the facts of GitLab's own description.
import type { Passed } from './fake-forge-server.ts';
import { endpoints, entities, otherwise, type EndpointFacts, type Fact, type Facts } from './gitlab-facts.ts';

/** One exchange to be checked. The path is whole and as it was on the wire, e.g. `/api/v4/projects/acme%2Ffleet/approvals`. */
export type Exchange = Pick<Passed, 'method' | 'encoded' | 'query' | 'body' | 'status' | 'answer' | 'faulted'>;

export interface GitlabCheck {
  /** What differs from the description and is not known to differ, a sentence each. */
  check(exchange: Exchange): readonly string[];
  /** Facts that nothing has used so far: endpoints, fields of entities, known differences. */
  unused(): readonly string[];
}

const prefix = '/api/v4';
const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

function nameOf(fact: Fact): string {
  if (typeof fact === 'string') return fact;
  if ('entity' in fact) return fact.entity;
  return 'list' in fact ? `list of ${nameOf(fact.list)}` : fact.words.join('|');
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : typeof value;
}

const scalars: Readonly<Record<'string' | 'integer' | 'boolean' | 'instant', (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string',
  integer: (value) => Number.isInteger(value),
  boolean: (value) => typeof value === 'boolean',
  instant: (value) => typeof value === 'string' && instant.test(value),
};

export function openGitlabCheck(): GitlabCheck {
  const seen = new Set<string>();
  const routes = Object.entries(endpoints).map(([name, facts]) => {
    const [method = '', path = ''] = name.split(' ');
    const pattern = path.replace(/\{([a-z_]+)\}/g, (_, one: string) =>
      facts.integers?.includes(one) === true ? '\\d+' : '[^/]+',
    );
    return { name, method, pattern: new RegExp(`^${prefix}${pattern}$`), facts };
  });

  function value(given: unknown, fact: Fact, at: string): readonly string[] {
    const wrong = [`${at} is ${kindOf(given)}, not ${nameOf(fact)}`];
    if (typeof fact === 'string') return scalars[fact](given) ? [] : wrong;
    if ('words' in fact) {
      if (typeof given !== 'string') return wrong;
      return fact.words.includes(given) ? [] : [`${at} is "${given}", not one of ${nameOf(fact)}`];
    }
    if ('list' in fact) return Array.isArray(given) ? given.flatMap((one) => value(one, fact.list, at)) : wrong;
    // The description may name an entity where there are many.
    if (Array.isArray(given)) return [...wrong, ...given.flatMap((one) => value(one, fact, at))];
    if (typeof given !== 'object' || given === null) return wrong;
    return fields(given, entities[fact.entity] ?? {}, (name) => `${fact.entity}.${name}`);
  }

  function fields(given: object, facts: Facts, at: (name: string) => string): readonly string[] {
    return Object.entries(given).flatMap(([name, one]) => {
      const fact = facts[name];
      // JSON has no undefined.
      if (one === undefined) return [];
      seen.add(at(name));
      return fact === undefined ? [`${at(name)} is not described`] : value(one, fact, at(name));
    });
  }

  function asked(name: string, facts: EndpointFacts, { query, body }: Exchange): readonly string[] {
    const sent = [...new URLSearchParams(query)].map(([key, text]): [string, unknown] => [
      key,
      facts.query?.[key] === 'integer' && /^\d+$/.test(text) ? Number(text) : text,
    ]);
    const whole = typeof body === 'object' && body !== null ? body : {};
    return [
      ...fields(Object.fromEntries(sent), facts.query ?? {}, (key) => `${name}: query "${key}"`),
      ...fields(whole, facts.body ?? {}, (key) => `${name}: body "${key}"`),
      ...(facts.required ?? []).filter((key) => !(key in whole)).map((key) => `${name}: body has no "${key}"`),
    ];
  }

  function answered(name: string, facts: EndpointFacts, { status, answer, faulted }: Exchange): readonly string[] {
    // A refusal has no described body, what a test put in the place of an answer is not GitLab's, and 0 is an answer that never came.
    if (faulted || status === 0 || status >= 300) return [];
    return [
      ...(status === facts.status ? [] : [`${name}: status ${status}, not ${facts.status}`]),
      ...(status === 204 && answer === undefined ? [] : value(answer, facts.answer, `${name}: the answer`)),
    ];
  }

  return {
    check(exchange) {
      const { method, encoded } = exchange;
      const route = routes.find((one) => one.method === method && one.pattern.test(encoded));
      if (route === undefined) return [`${method} ${encoded} is not described`];
      seen.add(route.name);
      const found = [...asked(route.name, route.facts, exchange), ...answered(route.name, route.facts, exchange)];
      for (const one of found) seen.add(one);
      return found.filter((one) => otherwise[one] === undefined);
    },
    unused() {
      const all = [
        ...Object.keys(otherwise),
        ...Object.entries(endpoints).flatMap(([name, { query, body }]) => [
          name,
          ...Object.keys(query ?? {}).map((key) => `${name}: query "${key}"`),
          ...Object.keys(body ?? {}).map((key) => `${name}: body "${key}"`),
        ]),
        ...Object.entries(entities).flatMap(([name, facts]) => Object.keys(facts).map((key) => `${name}.${key}`)),
      ];
      return all.filter((one) => !seen.has(one));
    },
  };
}

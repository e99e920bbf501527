// The shapes of Gitea's answers: recorded from a real one (`OAKUM_RECORD=1`), and what the false one is held to.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** An answer as it passed. */
export interface PassedAnswer {
  readonly method: string;
  readonly path: string;
  readonly answer: unknown;
}

/** Kinds of values (`null|string`) by the path of the field, e.g. `[].user.id`, for each endpoint. */
type Shapes = Record<string, Record<string, string>>;

const file = new URL('gitea-shapes.json', import.meta.url);
/** Large parts that Oakum never looks at. */
const unseen =
  /(^|\.)(repo|repository|labels|milestone|assignees?|requested_reviewers(_teams)?|organization|files|stats|verification|tree|assets)$/;

/** One name for an endpoint, whatever is asked of it. */
function endpointOf({ method, path }: PassedAnswer): string {
  const name = path
    .replace(/^\/repos\/[^/]+\/[^/]+/, '/repos/{owner}/{repo}')
    .replace(/\/branches\/.+$/, '/branches/{branch}')
    .replace(/\/git\/refs\/.+$/, '/git/refs/{ref}')
    .replace(/\/[0-9a-f]{40}(?=\/|$)/, '/{sha}')
    .replace(/\/\d+(?=\/|$)/, '/{number}')
    .replace(/^\/orgs\/[^/]+/, '/orgs/{org}');
  return `${method} ${name}`;
}

function collect(value: unknown, at: string, into: Record<string, string>): void {
  const kind = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  const kinds = new Set([...kindsOf(into[at]), kind]);
  into[at] = [...kinds].sort().join('|');
  if (unseen.test(at)) return;
  if (Array.isArray(value)) for (const one of value) collect(one, `${at}[]`, into);
  else if (typeof value === 'object' && value !== null)
    for (const [key, part] of Object.entries(value)) collect(part, at === '' ? key : `${at}.${key}`, into);
}

function kindsOf(kinds: string | undefined): string[] {
  return kinds === undefined ? [] : kinds.split('|');
}

function shapesOf(passed: readonly PassedAnswer[]): Shapes {
  const shapes: Shapes = {};
  for (const one of passed) collect(one.answer, '', (shapes[endpointOf(one)] ??= {}));
  return shapes;
}

/**
 * Compares answers with the record and returns a sentence for each difference. `record`: these are real answers, and everything recorded must be
 * in them; `false`: these are false ones, and nothing may be in them that the real ones do not have.
 */
export function compareShapes(passed: readonly PassedAnswer[], which: 'record' | 'false'): string[] {
  const shapes = shapesOf(passed);
  if (which === 'record' && (process.env['OAKUM_RECORD'] === '1' || !existsSync(file)))
    writeFileSync(file, `${JSON.stringify(shapes, undefined, 2)}\n`);
  const known = JSON.parse(readFileSync(file, 'utf8')) as Shapes;
  const [narrow, wide] = which === 'record' ? [known, shapes] : [shapes, known];
  return Object.entries(narrow).flatMap(([endpoint, fields]) => {
    const other = wide[endpoint];
    if (other === undefined) return [`${endpoint}: not in the other`];
    return Object.entries(fields).flatMap(([at, kinds]) => {
      const strange = kindsOf(kinds).filter((kind) => !kindsOf(other[at]).includes(kind));
      return strange.length === 0 ? [] : [`${endpoint}: "${at}" is ${strange.join(', ')}, not ${other[at] ?? 'there'}`];
    });
  });
}

type Fields = Readonly<Record<string, unknown>>;
const fields = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});

/** Compares the record with Gitea's own description of its API (`/swagger.v1.json`): a sentence for each difference. */
export function compareDescription(description: unknown): string[] {
  const whole = fields(description);
  const resolve = (value: unknown): Fields => {
    const [, area, name] = (/^#\/(\w+)\/(.+)$/.exec(String(fields(value)['$ref'])) ?? []) as string[];
    return area === undefined ? fields(value) : resolve(fields(whole[area])[name ?? '']);
  };
  const plain = (path: string): string => path.replace(/\{[^}]+\}/g, '{}');
  const described = new Map(Object.entries(fields(whole['paths'])).map(([path, one]) => [plain(path), fields(one)]));
  const kindOf = (schema: Fields): string => {
    const type = schema['type'];
    if (type === 'integer') return 'number';
    return typeof type === 'string' ? type : 'object';
  };
  const differences: string[] = [];
  for (const [endpoint, shape] of Object.entries(JSON.parse(readFileSync(file, 'utf8')) as Shapes)) {
    const [method = '', path = ''] = endpoint.split(' ');
    const operation = fields(described.get(plain(path))?.[method.toLowerCase()]);
    const answer = resolve(fields(operation['responses'])['200']);
    if (answer['schema'] === undefined) {
      differences.push(`${endpoint}: not described`);
      continue;
    }
    const schemaAt = (at: string): Fields =>
      at
        .split(/\.|(?=\[\])/)
        .filter((part) => part !== '')
        .reduce<Fields>((schema, part) => {
          // A map's keys may have dots in them.
          const values = schema['additionalProperties'];
          if (values !== undefined) return { ...fields(values), additionalProperties: values };
          return resolve(part === '[]' ? schema['items'] : fields(schema['properties'])[part]);
        }, resolve(answer['schema']));
    for (const [at, kinds] of Object.entries(shape)) {
      // The login once more, which Gitea adds for old clients and does not describe.
      if (/(^|\.)username$/.test(at)) continue;
      const schema = schemaAt(at);
      if (Object.keys(schema).length === 0) differences.push(`${endpoint}: "${at}" is not described`);
      // Swagger 2.0 has no word for null.
      for (const kind of kindsOf(kinds).filter((one) => one !== 'null'))
        if (Object.keys(schema).length > 0 && kind !== kindOf(schema))
          differences.push(`${endpoint}: "${at}" is ${kind}, and described as ${kindOf(schema)}`);
    }
  }
  return differences;
}

// Cuts the endpoints that Oakum uses out of GitHub's own description of its REST API (npm package @octokit/openapi), and checks against them.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Fields = Readonly<Record<string, Json>>;

/** One endpoint: what may be asked, and what is answered by which status. */
interface Operation {
  readonly query: readonly string[];
  readonly body: Json;
  readonly responses: Readonly<Record<string, Json>>;
}

/** The checked-in extract. */
interface Description {
  readonly source: string;
  /** By `METHOD /path/{parameter}`. */
  readonly operations: Readonly<Record<string, Operation>>;
  readonly schemas: Readonly<Record<string, Json>>;
}

const version = '23.0.2';
const extract = path.join(import.meta.dirname, 'github-openapi.json');
const used = [
  'GET /user',
  'GET /app',
  'POST /app/installations/{installation_id}/access_tokens',
  'GET /repos/{owner}/{repo}/installation',
  'GET /orgs/{org}/teams/{team_slug}/members',
  'GET /repos/{owner}/{repo}/pulls',
  'POST /repos/{owner}/{repo}/pulls',
  'GET /repos/{owner}/{repo}/pulls/{pull_number}',
  'PATCH /repos/{owner}/{repo}/pulls/{pull_number}',
  'GET /repos/{owner}/{repo}/pulls/{pull_number}/reviews',
  'GET /repos/{owner}/{repo}/pulls/{pull_number}/commits',
  'GET /repos/{owner}/{repo}/commits',
  'GET /repos/{owner}/{repo}/commits/{commit_sha}/pulls',
  'GET /repos/{owner}/{repo}/commits/{ref}/status',
  'POST /repos/{owner}/{repo}/statuses/{sha}',
  'GET /repos/{owner}/{repo}/commits/{ref}/check-runs',
  'POST /repos/{owner}/{repo}/check-runs',
  'PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}',
  'GET /repos/{owner}/{repo}/issues/{issue_number}/comments',
  'POST /repos/{owner}/{repo}/issues/{issue_number}/comments',
  'PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}',
  'DELETE /repos/{owner}/{repo}/issues/comments/{comment_id}',
];
/** For people; a check does not need them. */
const prose = new Set([
  'description',
  'example',
  'examples',
  'title',
  'externalDocs',
  'default',
  'deprecated',
  'readOnly',
]);

const isFields = (value: Json | undefined): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const fields = (value: Json | undefined): Fields => (isFields(value) ? value : {});
const list = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? (value as readonly Json[]) : []);
const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '');

/** An OpenAPI 3.0 schema → JSON Schema: `nullable` becomes a type, references point into the extract, prose is left out. */
function asJsonSchema(schema: Json, want: (name: string) => void): Json {
  if (Array.isArray(schema)) return schema.map((one: Json) => asJsonSchema(one, want));
  if (!isFields(schema)) return schema;
  const made: Record<string, Json> = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'properties')
      made[key] = Object.fromEntries(
        Object.entries(fields(value)).map(([name, one]) => [name, asJsonSchema(one, want)]),
      );
    else if (key === '$ref') {
      const name = text(value).replace('#/components/schemas/', '');
      want(name);
      made[key] = `#/$defs/${name}`;
    } else if (!prose.has(key) && key !== 'nullable' && !key.startsWith('x-')) made[key] = asJsonSchema(value, want);
  }
  if (schema['nullable'] !== true) return made;
  return { anyOf: [{ type: 'null' }, made] };
}

/** Writes the extract anew from the package, which is fetched into the cache when it is not there. */
function writeExtract(): void {
  const cache = path.join(os.homedir(), '.cache', 'oakum');
  const archive = path.join(cache, `octokit-openapi-${version}.tgz`);
  fs.mkdirSync(cache, { recursive: true });
  if (!fs.existsSync(archive)) execFileSync('npm', ['pack', '--silent', `@octokit/openapi@${version}`], { cwd: cache });
  const whole = JSON.parse(
    execFileSync('tar', ['xzOf', archive, 'package/generated/api.github.com.json'], { maxBuffer: 2 ** 28 }).toString(),
  ) as Fields;
  const components = fields(whole['components']);
  const resolve = (value: Json | undefined): Fields => {
    const reference = text(fields(value)['$ref']).split('/');
    if (reference.length < 4) return fields(value);
    return fields(fields(components[reference[2] ?? ''])[reference[3] ?? '']);
  };
  const wanted: string[] = [];
  const want = (name: string): void => {
    if (!wanted.includes(name)) wanted.push(name);
  };
  const schemaOf = (content: Json | undefined): Json => {
    const schema = fields(fields(fields(content)['application/json']))['schema'];
    return schema === undefined ? true : asJsonSchema(schema, want);
  };
  const operations: Record<string, Operation> = {};
  for (const name of used) {
    const [method = '', route = ''] = name.split(' ');
    const operation = fields(fields(fields(whole['paths'])[route])[method.toLowerCase()]);
    if (Object.keys(operation).length === 0) throw new Error(`${name} is not in the description`);
    operations[name] = {
      query: list(operation['parameters'])
        .map(resolve)
        .filter((one) => one['in'] === 'query')
        .map((one) => text(one['name'])),
      body: schemaOf(resolve(operation['requestBody'])['content']),
      responses: Object.fromEntries(
        Object.entries(fields(operation['responses']))
          .filter(([status]) => status.startsWith('2'))
          .map(([status, one]) => [status, schemaOf(resolve(one)['content'])]),
      ),
    };
  }
  const schemas: Record<string, Json> = {};
  for (let index = 0; index < wanted.length; index++) {
    const name = wanted[index] ?? '';
    schemas[name] = asJsonSchema(fields(fields(components['schemas'])[name]), want);
  }
  const description: Description = {
    source: `@octokit/openapi ${version}, api.github.com (MIT, https://github.com/octokit/openapi)`,
    operations,
    schemas: Object.fromEntries(Object.entries(schemas).sort(([one], [other]) => (one < other ? -1 : 1))),
  };
  fs.writeFileSync(extract, JSON.stringify(description));
  execFileSync('prettier', ['--write', '--log-level=warn', extract]);
}

/** One exchange to be checked. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly body: unknown;
  readonly status: number;
  readonly answer: unknown;
}

/** Compares exchanges with GitHub's description: what differs, a sentence each. Answers other than 2xx are not described closely enough. */
export function openGithubCheck(): {
  check(exchange: Exchange): readonly string[];
  /** All endpoints of the extract. */
  readonly names: readonly string[];
  nameOf(exchange: Pick<Exchange, 'method' | 'path'>): string | undefined;
} {
  const description = JSON.parse(fs.readFileSync(extract, 'utf8')) as Description;
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: false });
  ajv.addSchema({ $id: 'https://api.github.com/', $defs: description.schemas });
  const compiled = new Map<string, ValidateFunction>();
  const problems = (key: string, schema: Json, value: unknown): readonly string[] => {
    let validate = compiled.get(key);
    if (validate === undefined) {
      // References are written against the extract's own definitions.
      const text = JSON.stringify(schema).replaceAll('"#/$defs/', '"https://api.github.com/#/$defs/');
      validate = ajv.compile(JSON.parse(text) as Fields | boolean);
      compiled.set(key, validate);
    }
    if (validate(value)) return [];
    return [
      `${key}: ${(validate.errors ?? []).map((one) => `${one.instancePath} ${one.message ?? ''} ${JSON.stringify(one.params)}`).join('; ')}`,
    ];
  };
  const routes = Object.entries(description.operations).map(([name, operation]) => {
    const [method = '', route = ''] = name.split(' ');
    const numbers = route.replace(/\{[a-z_]*(number|id)\}/g, '\\d+');
    return { name, method, pattern: new RegExp(`^${numbers.replace(/\{[a-z_]+\}/g, '[^/]+')}$`), operation };
  });
  const routeOf = ({ method, path: at }: Pick<Exchange, 'method' | 'path'>) =>
    routes.find((one) => one.method === method && one.pattern.test(at));
  return {
    names: routes.map((one) => one.name),
    nameOf: (exchange) => routeOf(exchange)?.name,
    check({ method, path: at, query, body, status, answer }) {
      const route = routeOf({ method, path: at });
      if (route === undefined) return [`${method} ${at} is not in the description`];
      const { name, operation } = route;
      const strange = [...new URLSearchParams(query).keys()].filter((key) => !operation.query.includes(key));
      const sent = method === 'GET' || method === 'DELETE' ? [] : problems(`${name} request`, operation.body, body);
      const told = operation.responses[String(status)];
      const got =
        status >= 300
          ? []
          : told === undefined
            ? [`${name}: the status ${status} is not in the description`]
            : status === 204
              ? []
              : problems(`${name} ${status}`, told, answer);
      return [...strange.map((key) => `${name}: no parameter ${key}`), ...sent, ...got];
    },
  };
}

if (process.argv[1] === import.meta.filename) writeExtract();

// The schemas as judges: a parsed value is what a kind allows, or a list of findings with paths and advice.
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ErrorObject, ValidateFunction } from 'ajv/dist/2020.js';
import type { FileKind } from './layout.ts';
import { didYouMean } from './nearest.ts';
import type { FieldPath } from './yaml.ts';
import type {
  WrittenApproval,
  WrittenCluster,
  WrittenFleet,
  WrittenPolicy,
  WrittenRequest,
  WrittenRewrite,
  WrittenRollout,
  WrittenRun,
} from './written.ts';

/** The schemas of the kinds that are read, as parsed JSON. */
export type Schemas = Readonly<Record<FileKind, object>>;

/** A fault at a field, not yet at a line. */
export interface Finding {
  readonly path: FieldPath;
  /** The field's name stands wrong, not its value. */
  readonly atKey: boolean;
  readonly message: string;
  readonly rule: string;
}

/** One compiled schema: a type guard, and what was wrong when it said no. */
export interface Judge<T> {
  readonly allows: (value: unknown) => value is T;
  /** Findings of the value that `allows` refused, in the order of the schema. */
  readonly findings: (value: unknown) => readonly Finding[];
}

/** The judges of all kinds that are read. */
export interface Judges {
  readonly Fleet: Judge<WrittenFleet>;
  readonly Cluster: Judge<WrittenCluster>;
  readonly PatchPolicy: Judge<WrittenPolicy>;
  readonly PatchRequest: Judge<WrittenRequest>;
  readonly PatchRun: Judge<WrittenRun>;
  readonly PatchApproval: Judge<WrittenApproval>;
  readonly AcceptRewrite: Judge<WrittenRewrite>;
  readonly Rollout: Judge<WrittenRollout>;
}

/** Findings of one file that are told. */
const mostFindings = 50;

type NamesElsewhere = Readonly<Record<string, string>>;

/** Fields of Kubernetes and of other tools → what a policy has for them. */
const namesElsewhere: NamesElsewhere = {
  maxUnavailable: 'rollout.concurrency says how many nodes are out at one time',
  maxSurge: 'nodes are patched where they are; rollout.concurrency says how many are out at one time',
  maxParallel: 'rollout.concurrency says how many nodes are out at one time',
  nodeSelector: 'nodes.selector says which nodes',
  maintenanceWindow: 'windows is the list of times at which nodes may be touched',
  maintenanceWindows: 'windows is the list of times at which nodes may be touched',
  blackouts: 'freezes is the list of times in which nothing starts',
  gracePeriodSeconds: 'drain.gracePeriod is a duration such as "30s"',
  terminationGracePeriodSeconds: 'drain.gracePeriod is a duration such as "30s"',
  paused: 'suspend: true stops it',
};

/** Compiles the schemas (some 50 ms). Throws when a schema is not a valid one, which a test shows it never is. */
export function createJudges(schemas: Schemas): Judges {
  const ajv = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true, verbose: true });
  return {
    Fleet: judge(ajv.compile<WrittenFleet>(schemas.Fleet)),
    Cluster: judge(ajv.compile<WrittenCluster>(schemas.Cluster)),
    PatchPolicy: judge(ajv.compile<WrittenPolicy>(schemas.PatchPolicy), namesElsewhere),
    PatchRequest: judge(ajv.compile<WrittenRequest>(schemas.PatchRequest)),
    PatchRun: judge(ajv.compile<WrittenRun>(schemas.PatchRun)),
    PatchApproval: judge(ajv.compile<WrittenApproval>(schemas.PatchApproval)),
    AcceptRewrite: judge(ajv.compile<WrittenRewrite>(schemas.AcceptRewrite)),
    Rollout: judge(ajv.compile<WrittenRollout>(schemas.Rollout)),
  };
}

function judge<T>(validate: ValidateFunction<T>, names: NamesElsewhere = {}): Judge<T> {
  return {
    allows: (value): value is T => validate(value),
    findings: (value) =>
      validate(value) ? [] : (validate.errors ?? []).slice(0, mostFindings).map((error) => findingOf(error, names)),
  };
}

function findingOf(error: ErrorObject, names: NamesElsewhere): Finding {
  const path = pathOf(error.instancePath);
  const parameters: Readonly<Record<string, unknown>> = error.params;
  const plain = (message: string): Finding => ({ path, atKey: false, message, rule: error.keyword });
  const found = show(error.data);
  switch (error.keyword) {
    case 'additionalProperties': {
      const field = String(parameters['additionalProperty']);
      const allowed = propertiesOf(error.parentSchema);
      return {
        path: [...path, field],
        atKey: true,
        message:
          `unknown field "${cut(field)}"${didYouMean(field, allowed) || elsewhere(field, error.parentSchema, names)}; allowed here: ${allowed.join(', ')}`.replace(
            '?;',
            '?',
          ),
        rule: 'unknown-field',
      };
    }
    case 'required': {
      const field = String(parameters['missingProperty']);
      return {
        path: [...path, field],
        atKey: false,
        message: `the field "${field}" is missing${hint(error, field)}`,
        rule: 'missing-field',
      };
    }
    case 'type': {
      const inside = propertiesOf(error.parentSchema);
      const fields = inside.length > 0 ? `; its fields: ${inside.join(', ')}` : '';
      return plain(`found ${found}; allowed is ${typesOf(parameters['type'])}${fields}`);
    }
    case 'const':
      return plain(`found ${found}; must be ${show(parameters['allowedValue'])}`);
    case 'enum': {
      const words = strings(parameters['allowedValues']);
      const word = typeof error.data === 'string' ? error.data : '';
      const begun = words.find((one) => one.length > 2 && word.toLowerCase().startsWith(one.toLowerCase()));
      const near = begun === undefined ? didYouMean(word, words) : `; did you mean "${begun}"?`;
      const daily = path.at(-1) === 'preset' ? '; for every day write cron: "0 2 * * *" in its place' : '';
      return plain(`found ${found}${near}; allowed: ${words.join(', ')}`.replace('?;', '?') + daily);
    }
    case 'pattern':
      return plain(`found ${found}; ${formOf(error)}`);
    case 'minimum':
      return plain(`found ${found}; must be at least ${String(parameters['limit'])}`);
    case 'maximum':
      return plain(`found ${found}; must be at most ${String(parameters['limit'])}`);
    case 'minLength':
    case 'maxLength':
      if (path.at(-1) === 'cron')
        return plain(
          `found ${found}; cron is five fields: minute, hour, day of month, month, day of week: "0 2 * * 6"`,
        );
      return plain(
        `the text must have at ${error.keyword === 'minLength' ? 'least' : 'most'} ${String(parameters['limit'])} characters`,
      );
    case 'minItems':
    case 'maxItems':
      if (Array.isArray(error.data) && error.data.length === 0)
        return plain('the list is empty; write at least one entry, or leave the field out');
      return plain(
        `the list must have at ${error.keyword === 'minItems' ? 'least' : 'most'} ${String(parameters['limit'])} entries`,
      );
    case 'uniqueItems':
      return {
        ...plain(`${show(duplicateOf(error))} is in the list twice; keep one of them`),
        path: [...path, Number(parameters['i'])],
      };
    case 'minProperties':
      return plain(`the map is empty; allowed here: ${propertiesOf(error.parentSchema).join(', ')}`);
    case 'propertyNames': {
      const field = String(parameters['propertyName']);
      return {
        path: [...path, field],
        atKey: true,
        message: `"${cut(field)}" is not a name that is allowed here`,
        rule: 'name',
      };
    }
    default:
      return plain(`found ${found}; ${error.message ?? 'not allowed'}`);
  }
}

/** A JSON pointer's parts; what may index a list becomes a number. */
function pathOf(pointer: string): FieldPath {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^(0|[1-9]\d{0,8})$/.test(part) ? Number(part) : part));
}

function propertiesOf(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null || !('properties' in schema)) return [];
  return Object.keys(schema.properties ?? {}).sort();
}

/** Where a field that is unknown here belongs: one floor deeper, or under another name. Nothing when nobody knows. */
function elsewhere(field: string, schema: unknown, names: NamesElsewhere): string {
  const known = Object.hasOwn(names, field) ? names[field] : undefined;
  if (known !== undefined) return `; ${known}`;
  if (typeof schema !== 'object' || schema === null || !('properties' in schema)) return '';
  const holders = Object.entries(schema.properties ?? {}).flatMap(([name, one]) =>
    propertiesOf(one).includes(field) ? [`${name}.${field}`] : [],
  );
  return holders.length === 0 ? '' : `; did you mean ${holders.map((path) => `"${path}"`).join(' or ')}?`;
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function duplicateOf(error: ErrorObject): unknown {
  const index = Number(error.params['i']);
  return Array.isArray(error.data) ? error.data[index] : undefined;
}

function hint(error: ErrorObject, field: string): string {
  const schema: unknown = error.parentSchema;
  if (typeof schema !== 'object' || schema === null || !('properties' in schema)) return '';
  const written = typeof error.data === 'object' && error.data !== null ? Object.keys(error.data) : [];
  const unknown = written.filter((key) => !propertiesOf(schema).includes(key));
  const near = unknown.find((key) => didYouMean(key, [field]) !== '');
  if (near !== undefined) return ` (is "${cut(near)}" meant?)`;
  const constant = textAt(schema.properties, field, 'const');
  return constant === undefined ? '' : `; write ${field}: ${constant}`;
}

function textAt(properties: unknown, field: string, keyword: string): string | undefined {
  if (typeof properties !== 'object' || properties === null) return undefined;
  const schema: unknown = Object.entries(properties).find(([key]) => key === field)?.[1];
  if (typeof schema !== 'object' || schema === null) return undefined;
  const value: unknown = Object.entries(schema).find(([key]) => key === keyword)?.[1];
  return typeof value === 'string' ? value : undefined;
}

function typesOf(types: unknown): string {
  const words: Readonly<Record<string, string>> = {
    object: 'a map (name: value)',
    array: 'a list',
    string: 'a text (in quotes if it looks like something else)',
    integer: 'a whole number',
    boolean: 'true or false',
    null: 'null',
  };
  const list = Array.isArray(types) ? types.map(String) : String(types).split(',');
  return list.map((type) => words[type] ?? type).join(' or ');
}

/** What a pattern means, in words: by what the field is for. */
function formOf(error: ErrorObject): string {
  const pattern = String(error.params['pattern']);
  if (pattern.includes('[smhd]')) return 'a duration is a whole number with s, m, h or d: 90s, 30m, 24h, 7d';
  if (pattern.includes('%')) return 'write a number of nodes, or a share from "1%" to "100%"';
  if (pattern.includes('[Tt]'))
    return 'a time is written as 2026-12-06T22:00:00Z or with an offset, 2026-12-06T22:00:00+01:00';
  if (pattern.startsWith('^[0-9]{8}-[0-9]{6}-')) return 'a run is written by its id: 20261206-220000-monthly';
  if (pattern.startsWith('^([01][0-9]')) return 'a time of day is written as "22:00", from "00:00" to "23:59"';
  if (pattern === '^[0-9]{4}-[0-9]{2}-[0-9]{2}$') return 'a date is written as 2026-12-18';
  if (pattern.includes('*?')) return 'a package is letters, digits and . + - _, with * and ? as in a shell';
  if (pattern.startsWith('^[a-z0-9]'))
    return 'allowed are lower-case letters, digits and dashes, beginning and ending with a letter or digit';
  if (pattern.startsWith('^@?')) return 'a person is written as "@alice", a team as "@acme/platform", without spaces';
  if (pattern.startsWith('^([0-9a-f]{40}|gone'))
    return 'write the object id of the file in full, 40 digits (git rev-parse origin/main:<path>), or "gone"';
  if (pattern.startsWith('^[0-9a-f]{40}'))
    return 'write the id of the commit in full, 40 digits (git rev-parse <commit>)';
  return `it must match ${pattern}`;
}

function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a map';
  if (typeof value === 'string') return `"${cut(value)}"`;
  return value === undefined ? 'nothing' : cut(JSON.stringify(value));
}

/** Keeps a message one short line, whatever is in the file. */
function cut(text: string): string {
  const plain = text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, ' ');
  return plain.length > 80 ? `${plain.slice(0, 77)}...` : plain;
}

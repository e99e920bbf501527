// Tables of the fields of one kind of file, drawn from its JSON Schema: path, form, and the schema's own sentence with the default.
import { readFileSync } from 'node:fs';

/** The parts of a JSON Schema that the tables show. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: boolean | Schema;
}

/** One field of a file. */
export interface Field {
  /** `spec.windows[].start`. */
  readonly path: string;
  readonly form: string;
  readonly description: string;
}

/** Every field below `spec` of a kind, e.g. `patch-policy`; parents come before their children. */
export function fieldsOf(kind: string): Field[] {
  const schema = JSON.parse(
    readFileSync(new URL(`../../schemas/${kind}.schema.json`, import.meta.url), 'utf8'),
  ) as Schema;
  const spec = schema.properties?.['spec'];
  return spec === undefined ? [] : below(spec, 'spec');
}

function below(schema: Schema, path: string): Field[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const own = `${path}.${name}`;
    const itemPath = `${own}[]`;
    return [
      { path: own, form: formOf(field), description: field.description ?? '' },
      ...below(field, own),
      ...(field.items ? below(field.items, itemPath) : []),
    ];
  });
}

function formOf(schema: Schema): string {
  const types = [schema.type ?? []].flat().filter((type) => type !== 'null');
  return [...new Set(types.map((type) => wordFor(type, schema)))].join(' or ');
}

function wordFor(type: string, schema: Schema): string {
  switch (type) {
    case 'string':
      if (schema.enum) return schema.enum.map((word) => `\`${word}\``).join(', ');
      if (schema.pattern?.endsWith('[smhd]$')) return 'duration';
      if (schema.pattern?.includes('%$')) return 'percentage';
      return schema.pattern?.includes('[Tt]') ? 'time (RFC 3339)' : 'text';
    case 'integer':
      return `whole number${schema.minimum === undefined ? '' : `, ${schema.minimum} to ${schema.maximum ?? '…'}`}`;
    case 'boolean':
      return '`true`, `false`';
    case 'array':
      return schema.items?.properties ? 'list' : 'list of texts';
    default:
      return typeof schema.additionalProperties === 'object' ? 'map of texts' : 'map';
  }
}

/** The table of a kind. A path is shown without its leading `spec.`. */
export function fieldsPage(kind: string): string {
  const rows = fieldsOf(kind).map(({ path, form, description }) => {
    const told = description.replace(/ null: as if not written \(for a policy that extends another one\)\.$/, '');
    return `| \`${path.slice('spec.'.length)}\` | ${form} | ${cell(told)} |`;
  });
  return ['| field of `spec` | form | meaning and default |', '| --- | --- | --- |', ...rows].join('\n');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('*', '\\*').replaceAll('<', '&lt;').replaceAll('\n', ' ');
}

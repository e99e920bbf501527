import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { readSchemas } from '../reconciler/adapters/assets.ts';
import { kitchenSink } from './desired/kitchen-sink.ts';
import { desire, places } from './desired/snapshot.ts';

type Schema = Readonly<Record<string, unknown>>;

const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const schemas = Object.entries(readSchemas());

/** Every schema inside a schema, with where it stands. */
function inside(schema: Schema, at = ''): { readonly at: string; readonly schema: Schema }[] {
  const properties = isSchema(schema['properties']) ? Object.entries(schema['properties']) : [];
  const children: (readonly [string, unknown])[] = [
    ...properties.map(([name, child]) => [`${at}.${name}`, child] as const),
    [`${at}[]`, schema['items']],
  ];
  return [{ at, schema }, ...children.flatMap(([where, child]) => (isSchema(child) ? inside(child, where) : []))];
}

/** The dotted fields of a value, list entries merged. */
function fieldsOf(value: unknown, at = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => fieldsOf(item, `${at}[]`));
  if (!isSchema(value)) return [];
  return Object.entries(value).flatMap(([name, child]) => [`${at}.${name}`, ...fieldsOf(child, `${at}.${name}`)]);
}

describe.each(schemas)('the schema of %s', (kind, schema) => {
  const all = isSchema(schema) ? inside(schema) : [];

  test('compiles strictly and allows its own examples', () => {
    const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(schema);
    const examples: unknown = 'examples' in schema ? schema.examples : undefined;
    expect(Array.isArray(examples) && examples.length > 0).toBe(true);
    if (Array.isArray(examples))
      for (const example of examples) expect(validate(example) ? [] : validate.errors).toEqual([]);
  });

  test('is named, and describes every field of its objects', () => {
    const file = kind.replaceAll(/(?!^)([A-Z])/g, '-$1').toLowerCase();
    expect(schema).toMatchObject({
      $id: `https://oakum.dev/schemas/${file}.schema.json`,
      $schema: 'https://json-schema.org/draft/2020-12/schema',
    });
    const silent = all.filter(({ at, schema: field }) => /\.\w+$/.test(at) && typeof field['description'] !== 'string');
    expect(silent.map(({ at }) => at)).toEqual([]);
  });

  test('refuses unknown fields everywhere', () => {
    const open = all.filter(
      ({ schema: field }) => isSchema(field['properties']) && field['additionalProperties'] !== false,
    );
    expect(open.map(({ at }) => at)).toEqual([]);
  });
});

describe('the kitchen sink', () => {
  test('has no problems', () => {
    expect(places(desire(kitchenSink.files))).toEqual([]);
  });

  test.each(['Fleet', 'Cluster', 'PatchPolicy', 'PatchRequest', 'Rollout'] as const)(
    'has every field of %s',
    (kind) => {
      const schema = readSchemas()[kind];
      const wanted = isSchema(schema)
        ? inside(schema)
            .map(({ at }) => at)
            .filter((at) => /\.\w+$/.test(at))
        : [];
      const written = new Set(kitchenSink.values(kind).flatMap((value) => fieldsOf(value)));
      expect(wanted.filter((field) => !written.has(field))).toEqual([]);
    },
  );
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readSchemas } from '../../reconciler/adapters/assets.ts';
import { createDesire } from '../../reconciler/desired/desired.ts';
import { kitchenSink } from './kitchen-sink.ts';
import { snapshot } from './snapshot.ts';

const desire = createDesire(readSchemas());
const paths = Object.keys(kitchenSink.files);

/** What careless and hostile hands do to a text. */
const insertion = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.constantFrom(
    '\n',
    '  ',
    '\t',
    ': ',
    '- ',
    '{',
    '}',
    '[',
    ']',
    '&a ',
    '*a',
    '!x ',
    '"',
    "'",
    '#',
    '---\n',
    '\0',
    '\uFEFF',
    '\r',
    '__proto__: 1\n',
    '<<: ',
    '? ',
    '|\n',
    '>\n',
    '%',
    '~',
    '\u2028',
    '🦊',
    '1e999',
    '0x1F',
    '.nan',
    'null',
  ),
);
const mutation = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), cut: fc.nat(12), insert: insertion });

test('whatever is done to a file, it is read without throwing and problems stand inside the file', () => {
  fc.assert(
    fc.property(fc.constantFrom(...paths), fc.array(mutation, { minLength: 1, maxLength: 4 }), (path, mutations) => {
      let text = kitchenSink.files[path] ?? '';
      for (const { at, cut, insert } of mutations) {
        const from = Math.floor(at * text.length);
        text = text.slice(0, from) + insert + text.slice(from + cut);
      }
      const files = { ...kitchenSink.files, [path]: text };
      const { problems, clusters } = desire(snapshot(files));
      expect(clusters.size).toBe(3);
      for (const { file, line, column, message } of problems) {
        const lines = (files[file] ?? '').split('\n');
        expect(line).toBeGreaterThanOrEqual(1);
        expect(line).toBeLessThanOrEqual(lines.length);
        expect(column).toBeGreaterThanOrEqual(1);
        expect(column).toBeLessThanOrEqual((lines[line - 1] ?? '').length + 1);
        expect(message).not.toMatch(/[\n\r\0\u2028]/);
      }
      expect(({} as Record<string, unknown>)['suspend']).toBeUndefined();
    }),
    { numRuns: 500 },
  );
});

test('paths of any form are placed without throwing', () => {
  const part = fc.oneof(
    fc.constantFrom(
      'clusters',
      'policies',
      'requests',
      'prod',
      'policy.yaml',
      'FREEZE',
      '..',
      '',
      '__proto__',
      'constructor',
    ),
    fc.string({ maxLength: 6 }),
  );
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
      expect(() => desire(snapshot({ [parts.join('/')]: 'a: 1' }))).not.toThrow();
    }),
    { numRuns: 500 },
  );
});

test('what stands in a file is repeated without its control characters', () => {
  for (const start of ['%\0', '%\u001b[31m', '%\u202e', '%\u2028']) {
    const files = { ...kitchenSink.files, 'oakum.yaml': `${start}${kitchenSink.files['oakum.yaml'] ?? ''}` };
    const { problems } = desire(snapshot(files));
    expect(problems.map(({ message }) => message)).not.toEqual([]);
    for (const { message } of problems) expect(message).not.toMatch(/[\p{C}\u2028\u2029]/u);
  }
});

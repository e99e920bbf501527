// Attack: YAML that grows, nests, repeats keys, reaches for prototypes, or makes a pattern think for ever.
import { describe, expect, it } from 'vitest';
import { desire, object } from '../desired/snapshot.ts';
import { cpuMs } from '../support/cpu.ts';

const prod = 'clusters/prod/policy.yaml';
const inSpec = (text: string): string => object('PatchPolicy', 'prod', `spec:\n${text}`);
const aliases = Array.from({ length: 30 }, (_, n) => `a${n + 1}: &a${n + 1} [*a${n},*a${n},*a${n}]`).join('\n');
const long = 'x'.repeat(250_000);

const bombs: readonly (readonly [name: string, text: string])[] = [
  ['aliases that double', `a0: &a0 [x]\n${aliases}\n`],
  ['an alias to itself', 'a: &a [*a]\n'],
  ['a merge key', inSpec('  <<: { suspend: true }\n')],
  ['lists in lists', `a: ${'['.repeat(20_000)}${']'.repeat(20_000)}\n`],
  ['maps in maps', `a: ${'{a: '.repeat(10_000)}1${'}'.repeat(10_000)}\n`],
  ['blocks in blocks', Array.from({ length: 2_000 }, (_, n) => `${' '.repeat(n % 120)}a:`).join('\n')],
  ['a repeated key', inSpec('  suspend: false\n  suspend: true\n')],
  ['__proto__', inSpec('  __proto__: { suspend: true, polluted: 1 }\n')],
  ['constructor', inSpec('  constructor: { prototype: { polluted: 1 } }\n')],
  ['a tag', inSpec('  windows: !!js/function "function(){}"\n')],
  ['many documents', 'a: 1\n---\n'.repeat(5_000)],
  ['one long word', inSpec(`  extends: ${long}\n`)],
  ['a selector for a slow pattern', inSpec(`  nodes: { selector: "${'a'.repeat(1_900)}!" }\n`)],
  ['a cron for a slow pattern', inSpec(`  schedule: { cron: "${'*/1,'.repeat(60)}* * * * *" }\n`)],
  ['a duration without end', inSpec(`  drain: { timeout: "${'9'.repeat(5_000)}d" }\n`)],
  ['a number past all', inSpec('  rollout: { concurrency: 1e400 }\n')],
];

describe('YAML bombs', () => {
  it.each(bombs)('%s is refused quickly, with a place in the file', (_name, text) => {
    let judged: ReturnType<typeof desire> | undefined;
    expect(cpuMs(() => (judged = desire({ [prod]: text })))).toBeLessThan(15_000);
    const { policy, problems } = judged?.clusters.get('prod') ?? {};
    expect(policy).toBeUndefined();
    expect(problems?.length).toBeGreaterThan(0);
    for (const problem of problems ?? []) {
      expect(problem.line).toBeGreaterThan(0);
      expect(problem.message.length).toBeLessThan(2_000);
    }
  });

  it('nothing of it reaches a prototype', () => {
    for (const [, text] of bombs) desire({ [prod]: text });
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(Object.prototype).not.toHaveProperty('suspend');
  });
});

// Every promise of parts A to C is shown by a golden scenario, or by a named test on real package managers.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { promises } from '../support/promises.ts';

const here = new URL('.', import.meta.url);
const names = readdirSync(here)
  .filter((file) => file.endsWith('.scenario.test.ts'))
  .flatMap((file) => [...readFileSync(new URL(file, here), 'utf8').matchAll(/^ {4}name: ["'](.*)["'],$/gm)])
  .map(([, name = '']) => name);
const golden = new Set(readdirSync(new URL('golden/', here)));

/** The promises that a scenario's name begins with. */
function shownBy(name: string): string[] {
  return (/^((?:[A-Z]\d+ )*[A-Z]\d+): /.exec(name)?.[1] ?? '').split(' ').filter((id) => id !== '');
}

describe('promises', () => {
  it('are shown by scenarios that have a golden transcript', () => {
    expect(names.length).toBeGreaterThan(30);
    const wanted = names.map((name) => `${name.replaceAll(/[^a-z0-9]+/gi, '-')}.md`);
    expect(wanted.filter((file) => !golden.has(file))).toEqual([]);
    expect([...golden].filter((file) => !wanted.includes(file))).toEqual([]);
  });

  it('are known by the ids that scenarios name', () => {
    expect(names.flatMap(shownBy).filter((id) => !Object.hasOwn(promises, id))).toEqual([]);
  });

  it.each(Object.entries(promises))('%s is shown', (id, elsewhere) => {
    if (elsewhere.length === 0) expect(names.filter((name) => shownBy(name).includes(id))).not.toEqual([]);
    for (const { file, test } of elsewhere) {
      const text = readFileSync(new URL(`../${file}`, here), 'utf8');
      expect(
        ["'", '"', '`'].some((quote) => text.includes(`(${quote}${test}`)),
        `${file} has no test "${test}"`,
      ).toBe(true);
    }
  });
});

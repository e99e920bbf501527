// `oakum explain`: the pages about reasons in a terminal.
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { readReasonPage } from '../../reconciler/adapters/assets.ts';
import { registerExplain } from '../../reconciler/cli/explain.ts';
import { reasonParts, reasons } from '../../reconciler/model/reason.ts';
import { listReasons, pageText, reasonText } from '../../reconciler/report/explain.ts';

async function explain(...args: string[]): Promise<string> {
  const program = new Command('oakum').exitOverride();
  registerExplain(program);
  const write = process.stdout.write.bind(process.stdout);
  let printed = '';
  process.stdout.write = (text: string | Uint8Array): boolean => {
    printed += String(text);
    return true;
  };
  try {
    await program.parseAsync(['explain', ...args], { from: 'user' });
  } finally {
    process.stdout.write = write;
  }
  return printed;
}

describe('oakum explain', () => {
  it('prints the page of a reason, however it is spelt', async () => {
    const text = await explain('draintimeout');
    expect(text).toBe(pageText(readReasonPage('DrainTimeout') ?? ''));
    expect(text).toMatch(/^DrainTimeout\n\nThe pods did not leave/);
    expect(text).toContain('    kind: PatchRequest\n');
    expect(text).toContain('(docs/drains.md#when-the-time-is-over)');
    expect(text).not.toMatch(/<!--|\*\*|```|\]\(/);
  });

  it('lists every reason, each in one part', async () => {
    const text = await explain();
    expect(text).toBe(listReasons(reasonParts));
    const listed = [...text.matchAll(/^ {2}(\w+) /gm)].map((match) => match[1]);
    expect(listed.sort()).toEqual(Object.keys(reasons).sort());
  });

  it('says what is near a word that is none', async () => {
    await expect(explain('freeze')).rejects.toThrow('there is no reason "freeze"; `oakum explain` lists them');
    await expect(explain('drain')).rejects.toThrow('did you mean DrainTimeout?');
  });

  it('says the most important where the pages are not installed', () => {
    expect(reasonText('Frozen', reasons.Frozen)).toContain(`Way out: ${reasons.Frozen.wayOut}`);
  });
});

// Random policies over random worlds, for months: whatever happens, every pass keeps the promises, and in the end everything has ended.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { life, Player } from '../support/random-world.ts';

const runs = Number(process.env['OAKUM_WORLDS'] ?? 120);
const seed = Number(process.env['OAKUM_SEED'] ?? 20261121);

describe('whatever the policy and the world', () => {
  it('every pass keeps the promises, and a mended world comes to rest', async () => {
    await fc.assert(
      fc.asyncProperty(life, async (one) => {
        const player = new Player(one);
        try {
          await player.play();
        } catch (error) {
          const told = error instanceof Error ? error.message : String(error);
          throw new Error(`${told}\n${player.diary.join('\n')}`, { cause: error });
        }
        expect(player.passes).toBeGreaterThan(0);
      }),
      { seed, numRuns: runs, endOnFailure: process.env['OAKUM_SHRINK'] === undefined },
    );
  }, 300_000);
});

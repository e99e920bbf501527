// A story told once undisturbed, then killed at each of its effects: whatever died where, the end is the same.
import { expect } from 'vitest';
import { Killed, type TinyWorld } from './tiny-world.ts';

/**
 * `begin` makes the same world each time, `facts` tells its end. The controller dies before an action, or after a write of the ledger, loses what
 * it only remembered, and goes on until `limitMs` after the beginning. Gives the number of effects.
 */
export async function endsTheSame(
  begin: () => TinyWorld,
  limitMs: number,
  facts: (world: TinyWorld) => unknown,
): Promise<number> {
  const undisturbed = begin();
  let effects = 0;
  undisturbed.onEffect = () => void effects++;
  await undisturbed.run(limitMs);
  const wanted = facts(undisturbed);
  for (let at = 1; at <= effects; at++) {
    const world = begin();
    const end = world.now + limitMs;
    let seen = 0;
    world.onEffect = () => {
      if (++seen === at) throw new Killed();
    };
    for (let deaths = 0, alive = true; alive; deaths++) {
      expect(deaths, `deaths at effect ${at}`).toBeLessThan(2);
      try {
        await world.run(end - world.now);
        alive = false;
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
        world.restart();
      }
    }
    expect(facts(world), `killed at effect ${at} of ${effects}`).toEqual(wanted);
  }
  return effects;
}

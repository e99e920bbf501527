// The demo fails loudly: when a run begins that nobody has approved, and when a scene does not come.
import { expect, it } from 'vitest';
import { playScenes } from '../../reconciler/cli/demo-scenes.ts';
import type { LedgerDocument } from '../../reconciler/model/ledger.ts';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const played = (ledger: () => LedgerDocument | undefined, signal: AbortSignal, patienceMs = 10_000): Promise<unknown> =>
  playScenes({
    ledger,
    say: () => undefined,
    print: () => undefined,
    pushRequest: () => Promise.resolve(),
    messageOf: () => Promise.resolve(undefined),
    reviewer: { dir: '/nowhere', env: {} },
    signal,
    patienceMs,
  });

it('a run that has begun without an approval ends it', async () => {
  const world = new TinyWorld(Date.UTC(2026, 10, 2), aCluster({ policy: aPolicy(), requests: [aRequest('now')] }));
  world.cluster.addNode('n1');
  await world.pass();
  await world.pass();
  expect(Object.values(world.ledger?.runs ?? {})[0]?.startedAt).toBeDefined();
  await expect(played(() => world.ledger, new AbortController().signal)).rejects.toThrow('nobody has approved it');
});

it('a scene that does not come ends it', async () => {
  await expect(played(() => undefined, AbortSignal.timeout(300))).rejects.toThrow('the demo was stopped');
});

it('a scene that takes long is waited for as long as something moves', async () => {
  const world = new TinyWorld(Date.UTC(2026, 10, 2), aCluster({ policy: aPolicy(), requests: [aRequest('now')] }));
  world.cluster.addNode('n1');
  await world.pass();
  const [id = '', run] = Object.entries(world.ledger?.runs ?? {})[0] ?? [];
  if (!world.ledger || !run) throw new Error('there is no run');
  const ledger = world.ledger;
  const waiting = { ...run, startedAt: undefined };
  const moving = (step: number): LedgerDocument => ({ ...ledger, runs: { [id]: waiting, [`${step}`]: waiting } });
  const begin = Date.now();
  const movesForMs = 900;
  const ended = played(() => moving(Math.min(Date.now() - begin, movesForMs)), new AbortController().signal, 300);
  await expect(ended).rejects.toThrow('nothing moved for 0.3 s');
  expect(Date.now() - begin).toBeGreaterThanOrEqual(movesForMs);
});

// A hub takes two clusters in waves: real files, real loops, ledgers in memory; and what the fleet's pages say of it.
import { expect, it } from 'vitest';
import { readSchemas } from '../reconciler/adapters/assets.ts';
import { silentLog } from '../reconciler/adapters/log.ts';
import { openPeers } from '../reconciler/cli/peers.ts';
import { createDesire } from '../reconciler/desired/desired.ts';
import type { LedgerDocument } from '../reconciler/model/ledger.ts';
import type { StatusDocument } from '../reconciler/model/status.ts';
import { ClusterLoop } from '../reconciler/pass.ts';
import { fleetFiles } from '../reconciler/report/files.ts';
import { readFleetRollouts } from '../reconciler/report/read-status.ts';
import { buildStatus } from '../reconciler/report/report.ts';
import { fleetText } from '../reconciler/report/text.ts';
import { object, policy, snapshot } from './desired/snapshot.ts';
import { someSettings } from './support/policies.ts';
import { TinyCluster } from './support/tiny-cluster.ts';

const minute = 60_000;
const start = Date.UTC(2026, 5, 1, 12);
const quick = 'spec: { reboot: { stableFor: 1s }, rollout: { soak: 0s }, scan: { every: 0s } }\n';

it('a hub hears its clusters from their ledgers', async () => {
  let now = start;
  const files = {
    'clusters/dev/cluster.yaml': object('Cluster', 'dev', 'spec: { labels: { env: dev } }\n'),
    'clusters/dev/policy.yaml': policy('dev', quick),
    'clusters/prod/cluster.yaml': object('Cluster', 'prod', 'spec: { labels: { env: prod } }\n'),
    'clusters/prod/policy.yaml': policy('prod', quick),
    'rollouts/now.yaml': object(
      'Rollout',
      'now',
      'spec: { start: 2026-06-01T12:05:00Z, waves: [{ name: dev, selector: env=dev, soak: 10m }, { name: prod, selector: env=prod }] }\n',
    ),
  };
  const desired = createDesire(readSchemas())({ ...snapshot(files), committedAt: start });
  expect(desired.problems).toEqual([]);
  const source = { commit: desired.commit, committedAt: start, desired, hold: undefined };
  const loops = new Map<string, ClusterLoop>();
  const clusters = new Map<string, TinyCluster>();
  const clock = { now: () => now, sleep: async () => undefined };
  const peers = openPeers({
    git: { readStatus: () => Promise.reject(new Error('a hub need not ask the branch')) },
    clock,
    own: (name) => loops.get(name),
  });
  for (const name of ['dev', 'prod']) {
    const tiny = new TinyCluster(() => now);
    tiny.addNode(`${name}-1`);
    clusters.set(name, tiny);
    let kept: LedgerDocument | undefined;
    const seat = {
      name,
      cluster: {
        observe: (interest: Parameters<TinyCluster['observe']>[0]) => tiny.observe(interest),
        act: (action: Parameters<TinyCluster['act']>[0]) => tiny.act(action),
        identity: async () => `uid-${name}`,
        changed: async () => undefined,
        close: async () => undefined,
      },
      ledger: {
        load: async () => kept,
        save: async (_before: LedgerDocument | undefined, after: LedgerDocument) =>
          void (kept = structuredClone(after)),
      },
      lease: { held: () => true, holder: () => undefined, release: async () => undefined },
      peers,
    };
    loops.set(name, new ClusterLoop(seat, someSettings(), silentLog));
  }
  const docs = new Map<string, StatusDocument>();
  let told = '';
  const pages = async (minutes: number): Promise<string> => {
    for (const end = now + minutes * minute; now < end; now += 5_000)
      for (const [name, loop] of loops) {
        const { plan, observed } = await loop.pass(source, now);
        const own = desired.clusters.get(name);
        const given = { name, desired: own, commit: source.commit, committedAt: start, nodes: observed.nodes };
        docs.set(name, buildStatus({ ...given, ledger: plan.ledger, plan }));
      }
    const facts = { name: 'fleet', commit: source.commit, unread: [], rollouts: desired.rollouts ?? [] };
    const files = fleetFiles([...docs.values()], facts);
    told = fleetText([...docs.values()], readFleetRollouts(files.get('fleet.yaml') ?? ''));
    return files.get('README.md') ?? '';
  };
  const toldRows = (): string[] => told.split('\n').filter((line) => / {2}(dev|prod) {2}/.test(line));
  const rows = (page: string): string[] => page.split('\n').filter((line) => /\| (dev|prod) \|/.test(line));

  expect(rows(await pages(1))).toEqual([
    expect.stringContaining('| now, not started yet | dev | NotStarted |'),
    expect.stringContaining('| prod | NotStarted |'),
  ]);
  expect(toldRows()).toEqual([
    expect.stringMatching(/^now, not started yet {2}dev +NotStarted +1 +0 +0 +–$/),
    expect.stringMatching(/^now, not started yet {2}prod +NotStarted/),
  ]);
  expect(rows(await pages(10))).toEqual([
    expect.stringMatching(/\| 20260601-120500-now \| dev \| Done \| 1 \| 1 \| 0 \|/),
    expect.stringMatching(/\| prod \| Waiting \| 1 \| 0 \| 0 \| prod: Scheduled, WaveSoaking: /),
  ]);
  expect(toldRows()).toEqual([
    expect.stringMatching(/^20260601-120500-now {2}dev +Done +1 +1 +0 +–$/),
    expect.stringMatching(/^20260601-120500-now {2}prod +Waiting +1 +0 +0 +prod: Scheduled, WaveSoaking: /),
  ]);
  expect(rows(await pages(20)).map((row) => /\| (dev|prod) \| (\w+) \|/.exec(row)?.[2])).toEqual(['Done', 'Done']);
  expect(docs.get('prod')?.rollouts?.[0]?.runs[0]).toMatchObject({ id: '20260601-120500-now', state: 'Succeeded' });
});

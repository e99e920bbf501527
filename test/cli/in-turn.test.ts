// `oakum once` and `oakum plan` for a hub: each run is a new process that takes the clusters one after another, by name.
import { expect, it, onTestFinished, vi } from 'vitest';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSchemas } from '../../reconciler/adapters/assets.ts';
import { silentLog } from '../../reconciler/adapters/log.ts';
import { inTurn } from '../../reconciler/cli/in-turn.ts';
import { openPeers } from '../../reconciler/cli/peers.ts';
import { runProgram } from '../../reconciler/cli/program.ts';
import { createDesire } from '../../reconciler/desired/desired.ts';
import { AdapterError } from '../../reconciler/model/failure.ts';
import type { LedgerDocument } from '../../reconciler/model/ledger.ts';
import { ClusterLoop } from '../../reconciler/pass.ts';
import { realClock } from '../../reconciler/sim/clock.ts';
import { serveSim } from '../../reconciler/sim/server.ts';
import { createSim } from '../../reconciler/sim/sim.ts';
import { object, policy, snapshot } from '../desired/snapshot.ts';
import { commitFiles, startGitServer } from '../support/git-server.ts';
import { someSettings } from '../support/policies.ts';
import { TinyCluster } from '../support/tiny-cluster.ts';

const minute = 60_000;
const start = Date.UTC(2026, 5, 1, 12);
const quick = 'spec: { reboot: { stableFor: 1s }, rollout: { soak: 0s }, scan: { every: 0s } }\n';
const clusterFile = (name: string): Record<string, string> => ({
  [`clusters/${name}/cluster.yaml`]: object('Cluster', name, `spec: { labels: { env: ${name} } }\n`),
  [`clusters/${name}/policy.yaml`]: policy(name, quick),
});

/** A hub whose `once` comes from cron every five seconds. The wave of zone is first, that of area second: the names say otherwise. */
function aHub() {
  const names = ['area', 'zone'];
  const desired = createDesire(readSchemas())({
    ...snapshot({
      ...clusterFile('area'),
      ...clusterFile('zone'),
      'rollouts/now.yaml': object(
        'Rollout',
        'now',
        'spec: { start: 2026-06-01T12:01:00Z, waves: [{ name: first, selector: env=zone, soak: 1m }, { name: second, selector: env=area }] }\n',
      ),
    }),
    committedAt: start,
  });
  expect(desired.problems).toEqual([]);
  const source = { commit: desired.commit, committedAt: start, desired, hold: undefined };
  const hub = { now: start, down: '', uidOfZone: 'uid-zone', reasons: new Set<string>() };
  const ledgers = new Map<string, LedgerDocument>();
  const tiny = new Map(names.map((name) => [name, new TinyCluster(() => hub.now)]));
  for (const [name, one] of tiny) one.addNode(`${name}-1`);

  async function once(): Promise<readonly string[]> {
    const peers = openPeers({
      git: { readStatus: () => Promise.reject(new Error('a hub need not ask the branch')) },
      clock: { now: () => hub.now, sleep: async () => undefined },
      own: (name) => loops.find((loop) => loop.name === name),
    });
    const loops: ClusterLoop[] = names.map((name) => {
      const cluster = {
        observe: (interest: Parameters<TinyCluster['observe']>[0]) => theTiny(name).observe(interest),
        act: (action: Parameters<TinyCluster['act']>[0]) => theTiny(name).act(action),
        identity: async () => {
          if (name === hub.down) throw new AdapterError('transient', 'Down', 'connection refused');
          return name === 'zone' ? hub.uidOfZone : `uid-${name}`;
        },
        changed: async () => undefined,
        close: async () => undefined,
      };
      const ledger = {
        load: async () => ledgers.get(name),
        save: async (_before: LedgerDocument | undefined, after: LedgerDocument) =>
          void ledgers.set(name, structuredClone(after)),
      };
      const lease = { held: () => true, holder: () => undefined, release: async () => undefined };
      return new ClusterLoop({ name, cluster, ledger, lease, peers }, someSettings(), silentLog);
    });
    const { results, failed } = await inTurn(loops, (loop) => loop.pass(source, hub.now));
    for (const { reason } of results.get('area')?.plan.nodes ?? []) hub.reasons.add(reason);
    return [...failed].map(([name, { message }]) => `${name}: ${message}`);
  }
  const theTiny = (name: string): TinyCluster => {
    const found = tiny.get(name);
    if (!found) throw new Error(`no cluster ${name}`);
    return found;
  };
  return {
    hub,
    /** All that failed in so many minutes, each once. */
    run: async (minutes: number): Promise<readonly string[]> => {
      const said = new Set<string>();
      for (const end = hub.now + minutes * minute; hub.now < end; hub.now += 5_000)
        for (const line of await once()) said.add(line);
      return [...said];
    },
    states: () =>
      names.map((name) =>
        Object.values(ledgers.get(name)?.runs ?? {})
          .map(({ state }) => state)
          .join(),
      ),
  };
}

it('hears a wave whose cluster has its turn later', async () => {
  const { hub, run, states } = aHub();
  expect(await run(20)).toEqual([]);
  expect(states()).toEqual(['Succeeded', 'Succeeded']);
  expect(hub.reasons).not.toContain('WaveUnknown');
});

it('goes on with the others when a cluster cannot be reached, and says so', async () => {
  const { hub, run, states } = aHub();
  hub.down = 'area';
  expect(await run(10)).toEqual(['area: connection refused']);
  expect(states()).toEqual(['', 'Succeeded']);
});

it('still believes no ledger of another cluster', async () => {
  const { hub, run, states } = aHub();
  await run(2);
  hub.uidOfZone = 'uid-other';
  await run(20);
  expect(states()).toEqual(['Scheduled', expect.any(String)]);
  expect(hub.reasons).toContain('WaveUnknown');
});

it('plans what it can reach, says what it cannot, and ends with 1', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'oakum-in-turn-'));
  const git = await startGitServer();
  onTestFinished(async () => {
    await git.stop();
    rmSync(folder, { recursive: true });
  });
  commitFiles(git.repository, 'main', { ...clusterFile('area'), ...clusterFile('zone') });
  for (const name of ['area', 'zone']) {
    const sim = createSim({ clock: realClock() });
    if (name === 'area') sim.faults.add({ fault: { kind: 'error', status: 403, message: 'not for you' } });
    const served = await serveSim(sim);
    onTestFinished(() => served.close());
    writeFileSync(join(folder, `${name}.yaml`), served.kubeconfig());
  }
  const out = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const err = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const before = process.exitCode;
  try {
    const code = await runProgram([
      'node',
      'oakum',
      'plan',
      '--repo',
      git.url,
      '--kubeconfig-dir',
      folder,
      '-o',
      'json',
    ]);
    const said = (of: typeof out): string => of.mock.calls.map(([text]) => String(text)).join('');
    expect(JSON.parse(said(out))).toEqual([expect.objectContaining({ cluster: 'zone' })]);
    expect(said(err)).toMatch(/^oakum: area: .*not for you/);
    expect(code).toBe(1);
  } finally {
    process.exitCode = before;
    for (const one of [out, err]) one.mockRestore();
  }
});

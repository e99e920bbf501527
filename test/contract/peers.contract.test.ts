// Peers of a rollout through a real status branch: what one agent publishes is what another one waits for, and nothing else lets it begin.
import { expect, it } from 'vitest';
import { openPeers } from '../../reconciler/cli/peers.ts';
import { silentLog } from '../../reconciler/adapters/log.ts';
import { AdapterError } from '../../reconciler/model/failure.ts';
import type { PeerReadings } from '../../reconciler/model/rollout.ts';
import { ClusterLoop } from '../../reconciler/pass.ts';
import { statusYaml } from '../../reconciler/report/files.ts';
import { aRollout, aWave, FleetWorld } from '../support/fleet-world.ts';
import { aFleet, someSettings } from '../support/policies.ts';
import { commitFiles } from '../support/git-server.ts';
import { documentOf, resultOf } from '../report/built.ts';
import { adapter, server } from './git-support.ts';

const minute = 60_000;
const hour = 60 * minute;
const start = Date.UTC(2026, 5, 1, 12);

it('an agent of a later wave waits until the branch says that the wave before has ended, and reads it at most once a minute', async () => {
  const remote = await server();
  commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
  const git = adapter(remote);
  const waves = [aWave('dev', ['dev'], { soakMs: hour }), aWave('prod', ['prod'])];
  const fleet = new FleetWorld(start, aRollout(waves, { start: start + hour }));
  let heard: PeerReadings = new Map();
  fleet.hear = (_truth, from, to) => (to === 'prod' ? heard.get(from) : undefined);
  let asked = 0;
  const peers = openPeers({
    git: {
      readStatus: (prefix) => {
        asked++;
        return git.readStatus(prefix);
      },
    },
    clock: { now: () => fleet.now, sleep: async () => undefined },
    own: () => undefined,
  });
  const publish = async (): Promise<void> => {
    const dev = fleet.world('dev');
    const plan = await dev.pass();
    const text = statusYaml(documentOf(await resultOf(dev, plan)));
    const others = { 'clusters/dev/runs/old.yaml': 'x\n', 'README.md': 'x\n' };
    await git.publish({
      files: new Map(Object.entries({ 'clusters/dev/status.yaml': text, ...others })),
      message: 'status',
    });
  };
  const listen = async (): Promise<void> => {
    heard = await peers.read(['dev']);
  };

  await listen();
  expect(heard.get('dev')).toEqual({ kind: 'unread', message: 'it has published no status' });
  await fleet.run(10 * minute);
  await publish();
  await listen();
  await fleet.run(4 * hour);
  // Dev has ended long ago, and its agent has not said so yet.
  expect(fleet.states()).toEqual(['dev: Succeeded/Completed', 'prod: Scheduled/WaveUnknown']);
  await publish();
  await listen();
  await listen();
  expect(asked).toBe(3);
  await fleet.run(hour);
  expect(fleet.theRun('prod').state).toBe('Succeeded');
  await git.close();
});

it('a branch that cannot be read for a quarter of an hour says nothing any more', async () => {
  let now = start;
  let broken = false;
  const peers = openPeers({
    git: {
      readStatus: async () => {
        if (broken) throw new AdapterError('transient', 'GitUnreachable', 'no route');
        return { commit: 'c', files: new Map([['clusters/dev/status.yaml', 'kind: [']]) };
      },
    },
    clock: { now: () => now, sleep: async () => undefined },
    own: () => undefined,
  });
  const read = async (): Promise<unknown> => (await peers.read(['dev'])).get('dev');
  expect(await read()).toEqual({ kind: 'unread', message: 'its status.yaml cannot be read by this version' });
  broken = true;
  now += 20 * minute;
  expect(await read()).toEqual({ kind: 'unread', message: 'the status branch cannot be read: no route' });
});

it.each([
  ['an agent publishes it', false],
  ['a hub reads it', true],
])('the ledger of another cluster behind a wrong address counts for nobody, when %s', async (_how, hub) => {
  const remote = await server();
  commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
  const git = adapter(remote);
  const waves = [aWave('dev', ['dev', 'qa']), aWave('prod', ['prod'])];
  const fleet = new FleetWorld(start, aRollout(waves, { start: start + hour }));
  // The agent of dev cannot get at its cluster: its address is that of qa, which has ended well.
  const silent = (name: string): boolean => name === 'dev';
  fleet.hear = (truth, from) => (silent(from) ? undefined : truth);
  await fleet.run(3 * hour);
  const { ledger } = fleet.world('qa');
  expect(ledger?.cluster).toBe('qa');
  const clock = { now: () => fleet.now, sleep: async () => undefined };
  const loop = new ClusterLoop(
    {
      name: 'dev',
      cluster: {
        observe: (interest) => fleet.world('qa').cluster.observe(interest),
        act: () => Promise.reject(new Error('nothing may be done there')),
        identity: async () => 'cluster-uid',
        changed: async () => undefined,
        close: async () => undefined,
      },
      ledger: { load: async () => ledger, save: () => Promise.reject(new Error('nothing may be written there')) },
      lease: { held: () => true, holder: () => undefined, release: async () => undefined },
    },
    someSettings(),
    silentLog,
  );
  const { commit, committedAt, desired } = fleet.world('dev');
  const clusters = new Map([['dev', desired]]);
  const source = { commit, committedAt, hold: undefined };
  const peers = openPeers({ git, clock, own: (name) => (hub && name === 'dev' ? loop : undefined) });
  const result = await loop.pass(
    { ...source, desired: { commit, committedAt, fleet: aFleet, clusters, problems: [] } },
    fleet.now,
  );
  expect(result.plan.holds[0]?.reason).toBe('WrongCluster');
  const text = statusYaml(documentOf(result));
  await git.publish({ files: new Map([['clusters/dev/status.yaml', text]]), message: 'status' });
  const heard = await peers.read(['dev']);
  fleet.hear = (truth, from) => (silent(from) ? heard.get(from) : truth);
  await fleet.run(hour);
  expect(fleet.theRun('prod')).toMatchObject({ reason: 'WaveUnknown', startedAt: undefined });
  await git.close();
});

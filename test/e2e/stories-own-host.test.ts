// Two replicas on a real API server: the node of the one that acts is patched by the other one, which got the Lease for it.
import { expect, it } from 'vitest';
import { jobNamespace, leaseName, standbyAnnotation } from '../../reconciler/model/names.ts';
import type { ApiObject } from '../lab/api.ts';
import { follow } from '../lab/follow.ts';
import { answered } from './seen.ts';
import { openStage } from './stage.ts';
import { policy, request } from './wishes.ts';

const on = openStage();

interface SeenLease {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: { readonly holderIdentity?: string };
}

function lease(): Promise<SeenLease> {
  return on.stage.plane.admin.get(`/apis/coordination.k8s.io/v1/namespaces/${jobNamespace}/leases/${leaseName}`);
}

/** Who holds the Lease now: the name that was given with `--identity`. */
async function holder(): Promise<string | undefined> {
  return (await lease()).spec.holderIdentity?.split('_')[0];
}

/** Follows who holds the Lease; the answer tells who held it at an instant of this machine's clock. */
async function followHolder(): Promise<{ at(instant: number): string | undefined; stop(): Promise<void> }> {
  const changes: { readonly at: number; readonly holder: string | undefined }[] = [];
  const path = `/apis/coordination.k8s.io/v1/namespaces/${jobNamespace}/leases`;
  const follower = follow<SeenLease & ApiObject>(on.stage.plane.admin, path, {
    seen: ({ metadata, spec }) => {
      const name = spec.holderIdentity?.split('_')[0];
      if (metadata.name === leaseName && changes.at(-1)?.holder !== name)
        changes.push({ at: Date.now(), holder: name });
    },
    gone: () => undefined,
  });
  await follower.ready;
  return { at: (instant) => changes.findLast(({ at }) => at <= instant)?.holder, stop: () => follower.stop() };
}

it('the one that acts hands its own node over, and does not miss the Lease when its node is down', async () => {
  const story = await on.tell({ count: 3 });
  const first = story.oakum(['--identity', 'first', '--node-name', 'light-001']);
  await story.until('the first one holds the Lease', async () => (await holder().catch(() => undefined)) === 'first');
  story.oakum(['--identity', 'second', '--node-name', 'light-002']);
  story.commit({ 'clusters/prod/policy.yaml': policy(), ...request('first') });

  // The others go first, by the hand of the one that held the Lease at the start.
  await story.until('the own node is cordoned', async () => (await story.cordoned()).includes('light-001'), 180_000);
  expect(await holder()).toBe('second');
  expect(story.saw('light-002', 'uncordoned')).toHaveLength(1);
  expect(story.saw('light-003', 'uncordoned')).toHaveLength(1);
  // Its pod goes with the node.
  await first.kill();
  expect(await holder()).toBe('second');
  await story.says('the request is done', answered('first', 'Done'));
  await story.provenOnce();
  expect(story.witness.mostOut()).toBe(1);
  expect(story.saw('light-001', 'cordoned')).toHaveLength(1);

  // The pod comes back on its node, waits, and has nothing to do.
  story.oakum(['--identity', 'third', '--node-name', 'light-001']);
  const heard = new Set<string>();
  await story.until('it is heard of twice', async () => {
    const said = (await lease()).metadata.annotations?.[standbyAnnotation] ?? '';
    if (said.includes('third')) heard.add(said);
    return heard.size > 2;
  });
  const held = await followHolder();
  try {
    story.commit(request('again', { action: 'reboot', nodes: ['light-002'] }));
    await story.says('the other node goes by the hand of the one that came back', answered('again', 'Done'));
  } finally {
    await held.stop();
  }
  // When its node was cordoned, not now: on a busy machine a Lease may be lost and go back.
  const went = story.saw('light-002', 'cordoned')[1] ?? 0;
  expect(held.at(went), story.log()).toBe('third');
  expect(story.lights.node('light-002').boots()).toBe(2);
  expect(story.lights.node('light-001').boots()).toBe(1);
});

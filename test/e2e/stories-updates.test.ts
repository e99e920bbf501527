// Which updates go in, on a real API server: what scans see, what is too young, and the same versions on every node.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { git } from '../support/git-server.ts';
import { openStage } from './stage.ts';
import { policy, request } from './wishes.ts';

const on = openStage();
const names = ['light-001', 'light-002'];
const curl = ['curl', '7.88.1-10+deb12u8', '7.88.1-10+deb12u12'] as const;

it('scans every node without disturbing it, leaves out what is too young, and installs the same versions everywhere', async () => {
  const story = await on.tell({ count: 2 });
  story.oakum(['--max-scans', '2']);
  const wishes = { scan: { every: '1h' }, updates: { minAge: '20s', lock: true }, rollout: { concurrency: 2 } };
  story.commit({ 'clusters/prod/policy.yaml': policy(wishes) }, 'a policy');
  await story.says('both nodes were scanned', (status) => status.nodes.every((node) => node.pendingUpdates === 3));
  expect(story.patch.calls.map(({ node, mode }) => `${node} ${mode}`).sort()).toEqual([
    'light-001 scan',
    'light-002 scan',
  ]);
  expect(story.witness.sightings).toEqual([]);
  for (const name of names) {
    const { metadata } = await story.node(name);
    expect(JSON.parse(metadata.annotations['oakum.dev/pending-updates'] ?? '{}')).toMatchObject({
      count: 3,
      rebootRequired: false,
    });
  }

  // What was seen is old enough now; then something new comes into the mirror.
  await sleep(21_000);
  for (const name of names) story.patch.system(name).pending.push(curl);
  story.commit(request('now'), 'patch now');
  // While the first node goes, the mirror moves on for the second one: not for this run.
  await story.until('the first node is patched', () => names.some((name) => story.patch.installs(name) === 1));
  const status = await story.runIs('Succeeded');
  for (const name of names) {
    expect(story.patch.system(name).pending).toEqual([curl]);
    expect(story.patch.system(name).installed).toHaveLength(3);
  }
  const [run] = status.runs;
  const [first] = story.patch.calls.filter(({ mode }) => mode === 'patch');
  const archive = await git(story.git.repository, 'show', `oakum/status:clusters/prod/runs/${run?.id ?? ''}.yaml`);
  expect(parse(archive)).toMatchObject({
    status: {
      locks: [
        {
          node: first?.node,
          packages: ['libssl3 3.0.17-1~deb12u2', 'linux-image-amd64 6.1.140-1', 'openssh-server 1:9.2p1-2+deb12u6'],
        },
      ],
    },
  });
  // Only the second node was given the list, as a file of its pod.
  const locked = (await story.jobs('patch')).filter((job) => JSON.stringify(job).includes('OSP_LOCK_FILE'));
  expect(locked.map((job) => job.metadata.annotations['oakum.dev/node'])).toEqual(
    names.filter((name) => name !== first?.node),
  );
  expect(locked[0]?.spec?.template.metadata.annotations['oakum.dev/lock']).toContain(
    'openssh-server 1:9.2p1-2+deb12u6\n',
  );
  // The witness saw them go one after the other although two might have gone together.
  expect(story.witness.mostOut()).toBe(1);
});

// The main job on a real API server: a commit, patched nodes, status in Git; and what holds it, with Oakum as a process of its own.
import { describe, expect, it } from 'vitest';
import { openStage } from './stage.ts';
import { policy, request } from './wishes.ts';

const on = openStage();

describe('the main job', () => {
  it('patches and reboots every node that a request asks for, and says so in Git and on the nodes', async () => {
    const story = await on.tell({ count: 2 });
    story.oakum();
    story.commit({ 'clusters/prod/policy.yaml': policy() }, 'a policy');
    const idle = await story.says('both nodes wait for a request', (status) =>
      status.nodes.every((node) => node.phase === 'Idle' && node.reason === 'NotYet'),
    );
    expect(idle.runs).toEqual([]);
    expect(story.patch.calls).toEqual([]);

    const commit = story.commit(request('first'), 'patch now');
    const status = await story.runIs('Succeeded');
    expect(status.observedCommit).toBe(commit);
    expect(status.runs).toHaveLength(1);
    expect(status.requests).toMatchObject([{ name: 'first', state: 'Done', reason: 'Completed' }]);
    for (const name of ['light-001', 'light-002']) {
      expect(story.patch.installs(name)).toBe(1);
      expect(story.lights.node(name).boots()).toBe(1);
      const { metadata, spec } = await story.node(name);
      expect(spec.unschedulable).toBeUndefined();
      expect(metadata.labels).not.toHaveProperty('oakum.dev/phase');
      expect(metadata.annotations).toMatchObject({
        'oakum.dev/patched-version': 'debian 12.12, kernel 6.1.0-56-amd64',
      });
      expect(metadata.annotations['oakum.dev/last-patched']).toMatch(/^20\d\d-\d\d-\d\dT/);
    }
    // One after the other: the witness never saw two nodes out.
    expect(story.witness.mostOut()).toBe(1);

    // Asking again with nothing new to install is answered, and disturbs nobody.
    const seen = story.witness.sightings.length;
    story.commit(request('again'), 'patch again');
    const again = await story.says('the second request is done', (one) =>
      one.requests.some((asked) => asked.name === 'again' && asked.state === 'Done'),
    );
    expect(again.runs.map((run) => run.state).sort()).toEqual(['NothingToDo', 'Succeeded']);
    expect(story.witness.sightings.slice(seen)).toEqual([]);
    expect(story.patch.rebootsAsked('light-001')).toBe(1);
  });

  it('reads well with kubectl, while a node is under way and after', async () => {
    const story = await on.tell({ count: 2 });
    story.patch.system('light-001').durationMs = { patch: 4_000 };
    story.oakum();
    story.commit({ 'clusters/prod/policy.yaml': policy(), ...request('first') });
    await story.until('the patch Job runs', async () => (await story.jobs('patch'))?.length === 1);
    const columns = ['get', 'nodes', '-L', 'oakum.dev/run,oakum.dev/phase'];
    const during = await story.kubectl(...columns);
    await story.runIs('Succeeded');
    const after = await story.kubectl(...columns);
    const described = await story.kubectl('describe', 'node', 'light-001');
    console.log([during, after, described].join('\n'));
    expect(during).toMatch(/light-001 +Ready,SchedulingDisabled .* Patching\n/);
    expect(after).toMatch(/light-001 +Ready +<none> .* [0-9a-f]{10} *\n/);
    expect(after).not.toMatch(/SchedulingDisabled|Patching/);
    for (const line of [
      /oakum\.dev\/run=[0-9a-f]{10}/,
      /oakum\.dev\/last-patched: 20/,
      /oakum\.dev\/patched-version: debian 12\.12, kernel 6\.1\.0-56-amd64/,
      /Normal +Cordoning .*oakum.* 3 updates are pending; the node is about to be cordoned and drained \(run /,
      /Normal +Patching .* updates are being installed/,
      /Normal +Rebooting .* is being rebooted; boot id before: /,
      /Normal +Rejoining .* came up with a new boot id/,
      /Normal +Patched .* 3 packages changed, rebooted into 6\.1\.0-56-amd64/,
    ])
      expect(described).toMatch(line);
    expect(described).not.toContain('oakum.dev/progress');
    // In the order in which it happened, although some of it happened in one second.
    const told = [...described.matchAll(/^ +(?:Normal|Warning) +(\w+) .* oakum /gm)].map(([, reason]) => reason);
    expect(told).toEqual(['Cordoning', 'Patching', 'Rebooting', 'Rejoining', 'Patched']);
  });

  it('starts by the clock within the minute that the schedule names', async () => {
    const story = await on.tell({ count: 1 });
    story.oakum();
    story.commit({ 'clusters/prod/policy.yaml': policy({ schedule: { cron: '* * * * *', timeZone: 'UTC' } }) });
    const status = await story.says('a scheduled run has patched the node', (one) =>
      one.runs.some((run) => run.id.endsWith('-schedule') && run.state === 'Succeeded'),
    );
    const run = status.runs.find((one) => one.state === 'Succeeded');
    expect(run?.id).toMatch(/^\d{8}-\d{4}00-schedule$/);
    const [first] = story.patch.calls;
    const minute = new Date(first?.at ?? 0).toISOString().slice(0, 16).replace(/[-:]/g, '').replace('T', '-');
    expect(`${minute}00-schedule`).toBe(run?.id);
  });
});

describe('what holds', () => {
  it('waits under a FREEZE file, says so, and goes on when it is taken away', async () => {
    const story = await on.tell({ count: 1 });
    story.oakum();
    story.commit({ 'clusters/prod/policy.yaml': policy(), FREEZE: '', ...request('first') });
    const frozen = await story.says('the run is held by the freeze', (status) =>
      status.runs.some((run) => run.state === 'Scheduled' && run.reason === 'Frozen'),
    );
    expect(frozen.nodes).toMatchObject([{ name: 'light-001', phase: 'Pending', reason: 'Frozen' }]);
    expect(story.patch.calls).toEqual([]);
    story.commit({ FREEZE: undefined }, 'thaw');
    await story.runIs('Succeeded');
    expect(story.patch.installs('light-001')).toBe(1);
  });

  it('does nothing while a file is wrong, and names the place', async () => {
    const story = await on.tell({ count: 1 });
    story.oakum();
    const broken = policy().replace('"concurrency"', '"concurency"');
    const commit = story.commit({ 'clusters/prod/policy.yaml': broken, ...request('first') });
    const held = await story.says('the mistake is named', (status) =>
      status.nodes.some((node) => node.reason === 'ConfigInvalid'),
    );
    expect(held.observedCommit).toBe(commit);
    expect(held.nodes[0]?.message).toMatch(/clusters\/prod\/policy\.yaml:\d+:\d+: .*concurency/);
    expect(held.runs).toEqual([]);
    story.commit({ 'clusters/prod/policy.yaml': policy() }, 'corrected');
    await story.runIs('Succeeded');
  });

  it('acts once where two run, and the other takes over when the first is killed', async () => {
    const story = await on.tell({ count: 2 });
    const [one, two] = [story.oakum(), story.oakum()];
    await story.until('one of the two holds the Lease', () => /the Lease is ours/.test(one.log() + two.log()));
    story.commit({ 'clusters/prod/policy.yaml': policy(), ...request('first') });
    await story.until('a node is being patched', async () => (await story.jobs('patch'))?.length === 1);
    const [active, idle] = /the Lease is ours/.test(one.log()) ? [one, two] : [two, one];
    expect(idle.log()).not.toContain('"action"');
    await active.kill();
    await story.runIs('Succeeded');
    expect(idle.log()).toContain('the Lease is ours');
    for (const name of ['light-001', 'light-002']) {
      expect(story.patch.installs(name)).toBe(1);
      expect(story.patch.rebootsAsked(name)).toBe(1);
    }
    expect(await story.cordoned()).toEqual([]);
  });
});

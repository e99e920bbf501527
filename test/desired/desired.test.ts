import { describe, expect, test } from 'vitest';
import { readSchemas } from '../../reconciler/adapters/assets.ts';
import { createDesire } from '../../reconciler/desired/desired.ts';
import { desire, object, policy, snapshot } from './snapshot.ts';

describe('desired', () => {
  test('the smallest repository is a policy with all defaults', () => {
    const prod = desire({
      'clusters/prod/policy.yaml': policy('prod', 'spec: { schedule: { preset: weekly } }\n'),
    }).clusters.get('prod');
    expect(prod?.policy).toMatchObject({
      name: 'prod',
      schedule: {
        schedule: { kind: 'weekly', at: '00:00', timeZone: 'UTC' },
        startingDeadlineMs: 43_200_000,
        validForMs: undefined,
      },
      onBoot: { enabled: false, timeoutMs: 1_200_000, onFailure: 'release' },
      updates: { scope: 'security', holdRuntime: true, minAgeMs: 0 },
      reboot: { when: 'ifRequired', returnTimeoutMs: 900_000, stableForMs: 60_000, maxPerDay: 2 },
      drain: { when: 'beforePatch', timeoutMs: 900_000, onTimeout: 'skip', force: false },
      rollout: { concurrency: { kind: 'count', value: 1 }, maxFailures: 1, controlPlane: 'last' },
      approval: { mode: 'merge', minApprovals: 1 },
      strategy: 'InPlace',
      onFailure: 'quarantine',
    });
    expect(prod?.problems).toEqual([]);
  });

  test('maps merge, lists replace, null takes away, cron replaces a preset', () => {
    const desired = desire({
      'policies/base.yaml': policy(
        'base',
        'spec:\n  schedule: { preset: weekly, at: "03:00", timeZone: Europe/Berlin }\n  windows: [{ start: "22:00", duration: 4h }]\n  updates: { scope: all, hold: [a, b] }\n',
      ),
      'policies/middle.yaml': policy('middle', 'spec: { extends: base, updates: { minAge: 3d } }\n'),
      'clusters/prod/policy.yaml': policy(
        'prod',
        'spec: { extends: middle, schedule: { cron: "0 2 * * 2#2" }, windows: null, updates: { hold: [c] } }\n',
      ),
    });
    expect(desired.problems).toEqual([]);
    expect(desired.clusters.get('prod')?.policy).toMatchObject({
      schedule: { schedule: { kind: 'cron', timeZone: 'Europe/Berlin' } },
      windows: [],
      updates: { scope: 'all', hold: ['c'], minAgeMs: 259_200_000 },
    });
    expect(desired.clusters.get('prod')?.inputs.map(({ path }) => path)).toEqual([
      'clusters/prod/policy.yaml',
      'policies/base.yaml',
      'policies/middle.yaml',
    ]);
  });

  test('the keys of those who may sign are inputs of every cluster, and nothing else of their folder is', () => {
    const desired = desire({
      'clusters/prod/policy.yaml': policy('prod'),
      'signers/allowed_signers': 'ann@example.org ssh-ed25519 AAAA\n',
      'signers/bob.asc': 'a key\n',
      'signers/README.md': 'who is who\n',
      'signers/old/carl.asc': 'a key\n',
    });
    expect(desired.problems).toEqual([]);
    expect(desired.clusters.get('prod')?.inputs.map(({ path }) => path)).toEqual([
      'clusters/prod/policy.yaml',
      'signers/allowed_signers',
      'signers/bob.asc',
    ]);
  });

  test('windows and freezes take the zone of the schedule', () => {
    const { clusters } = desire({
      'clusters/a/policy.yaml': policy(
        'a',
        'spec: { schedule: { preset: weekly, timeZone: Asia/Tokyo }, windows: [{ start: "22:00", duration: 4h }], freezes: [{ from: 2026-12-18, to: 2026-12-19 }] }\n',
      ),
    });
    expect(clusters.get('a')?.policy?.windows[0]?.timeZone).toBe('Asia/Tokyo');
    expect(clusters.get('a')?.policy?.freezes[0]).toMatchObject({
      from: Date.UTC(2026, 11, 17, 15),
      until: Date.UTC(2026, 11, 19, 15),
    });
  });

  test('a fault holds whom it concerns and no other', () => {
    const files = {
      'policies/shared.yaml': policy('shared', 'spec: { nonsense: 1 }\n'),
      'clusters/user/policy.yaml': policy('user', 'spec: { extends: shared }\n'),
      'clusters/alone/policy.yaml': policy('alone'),
      'clusters/asks/policy.yaml': policy('asks'),
      'clusters/asks/requests/x.yaml': 'nonsense',
    };
    const held = [...desire(files).clusters.values()].map(({ name, problems, policy: own }) => [
      name,
      problems.length,
      own !== undefined,
    ]);
    expect(held).toEqual([
      ['alone', 0, true],
      ['asks', 1, true],
      ['user', 1, false],
    ]);
    expect(desire(files).problems).toHaveLength(2);
    const all = desire({ ...files, 'oakum.yaml': 'nonsense' });
    expect([...all.clusters.values()].every(({ problems }) => problems.length > 0)).toBe(true);
  });

  test('FREEZE stops all or one, whatever is in it', () => {
    const files = {
      'clusters/a/policy.yaml': policy('a'),
      'clusters/b/policy.yaml': policy('b'),
      'clusters/b/FREEZE': { kind: 'binary' as const },
    };
    const frozen = (more: Record<string, string>) =>
      [...desire({ ...files, ...more }).clusters.values()].map((cluster) => cluster.frozen);
    expect(frozen({})).toEqual([undefined, 'cluster']);
    expect(frozen({ FREEZE: '{{ not yaml' })).toEqual(['fleet', 'fleet']);
  });

  test('a request is read with its defaults', () => {
    const { clusters } = desire({ 'clusters/a/requests/now.yaml': object('PatchRequest', 'now') });
    expect(clusters.get('a')?.requests).toMatchObject([
      {
        name: 'now',
        file: 'clusters/a/requests/now.yaml',
        action: 'patch',
        nodes: [],
        notBefore: undefined,
        expiresAfterMs: 86_400_000,
      },
    ]);
  });

  test('reading step by step gives what reading at once gives, and keeps what did not change', () => {
    const read = createDesire(readSchemas());
    const files: Record<string, string> = {
      'clusters/a/policy.yaml': policy('a', 'spec: { extends: s }\n'),
      'clusters/b/policy.yaml': policy('b'),
    };
    let before = read(snapshot(files));
    const steps: [string, string | undefined][] = [
      ['policies/s.yaml', policy('s', 'spec: { suspend: true }\n')],
      ['policies/s.yaml', policy('s', 'spec: { extends: t }\n')],
      ['policies/t.yaml', policy('t', 'spec: { strategy: RebootOnly }\n')],
      ['clusters/c/policy.yaml', policy('c')],
      ['oakum.yaml', object('Fleet', 'x', 'spec: { suspend: true }\n')],
      ['oakum.yaml', 'broken'],
      ['oakum.yaml', undefined],
      ['FREEZE', ''],
      ['FREEZE', undefined],
      ['rollouts/a.yaml', ''],
      ['rollouts/a.yaml', undefined],
      ['clusters/c/policy.yaml', undefined],
      ['policies/t.yaml', undefined],
      ['policies/s.yaml', undefined],
    ];
    for (const [path, text] of steps) {
      if (text === undefined) delete files[path];
      else files[path] = text;
      const step = read(snapshot(files, [path]));
      expect(step).toEqual(desire(files));
      if (path.startsWith('policies/')) expect(step.clusters.get('b')).toBe(before.clusters.get('b'));
      before = step;
    }
  });

  test('a change that was not told is found all the same', () => {
    const read = createDesire(readSchemas());
    read(snapshot({ 'clusters/a/policy.yaml': policy('a') }));
    expect([
      ...read(
        snapshot({ 'clusters/a/policy.yaml': policy('a'), 'clusters/b/policy.yaml': policy('b') }, []),
      ).clusters.keys(),
    ]).toEqual(['a', 'b']);
  });
});

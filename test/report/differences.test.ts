// The table of differences on a pull request: whatever the planner judges has a row.
import { describe, expect, it } from 'vitest';
import type { ClusterDesired, Fleet } from '../../reconciler/model/desired.ts';
import { parseSelector } from '../../reconciler/model/selector.ts';
import { differencesBetween } from '../../reconciler/report/differences.ts';
import { aRollout, aWave } from '../support/fleet-world.ts';
import { aCluster, aFleet, aPolicy, aRequest } from '../support/policies.ts';

const hour = 3_600_000;

interface Given extends Partial<ClusterDesired> {
  readonly fleet?: Partial<Fleet>;
}

/** Rows as `path: before → after`. */
function rows(before: Given, after: Given): string[] {
  const [old, next] = [before, after].map(({ fleet, ...given }) => ({
    cluster: aCluster(given),
    fleet: { ...aFleet, ...fleet },
  }));
  if (!old || !next) throw new Error('two wishes');
  return differencesBetween(old, next).map((one) => `${one.path}: ${one.before} → ${one.after}`);
}

const dev = aWave('dev', ['one'], { soakMs: 24 * hour });
const prod = aWave('prod', ['prod', 'two'], { concurrency: 1, approval: true });
const monthly = aRollout([dev, prod]);
const pause = aRequest('rest', { action: 'pause', nodes: ['n1', 'n2'], until: Date.UTC(2026, 10, 9) });
const db = parseSelector('tier=db');
if (!db.ok) throw new Error(db.message);

describe('what has a row', () => {
  it.each<[string, Given, Given, string[]]>([
    ['nothing', { rollouts: [monthly] }, { rollouts: [monthly] }, []],
    [
      'a shorter soak of a wave before',
      { rollouts: [monthly] },
      { rollouts: [aRollout([{ ...dev, soakMs: hour }, prod], { oid: 'other' })] },
      ['rollouts/monthly.waves.dev.soak: 1d → 1h'],
    ],
    [
      'fields of its own wave',
      { rollouts: [monthly] },
      { rollouts: [aRollout([dev, { ...prod, approval: false, concurrency: undefined, maxFailures: 2 }])] },
      [
        'rollouts/monthly.waves.prod.approval: true → false',
        'rollouts/monthly.waves.prod.concurrency: 1 → all',
        'rollouts/monthly.waves.prod.maxFailures: 1 → 2',
      ],
    ],
    [
      'another wave for the cluster',
      { rollouts: [monthly] },
      { rollouts: [aRollout([aWave('dev', ['one', 'prod'], { soakMs: 24 * hour }), { ...prod, clusters: ['two'] }])] },
      [
        'rollouts/monthly.wave: prod → dev',
        'rollouts/monthly.waves.dev.clusters: one → one, prod',
        'rollouts/monthly.waves.prod.clusters: prod, two → two',
      ],
    ],
    [
      'the go for a run, a cluster that is skipped, a lifted suspend',
      { rollouts: [{ ...monthly, suspend: true }] },
      {
        rollouts: [
          {
            ...monthly,
            approved: [{ run: 'r1', wave: 'prod' }],
            skip: [{ run: 'r1', cluster: 'one', reason: 'gone' }],
          },
        ],
      },
      [
        'rollouts/monthly.approved: – → r1 prod',
        'rollouts/monthly.skip: – → r1 one (gone)',
        'rollouts/monthly.suspend: true → false',
      ],
    ],
    [
      'other words in a rollout',
      { rollouts: [monthly] },
      { rollouts: [{ ...monthly, oid: 'oid-of-it' }] },
      ['rollouts/monthly.yaml: oid-monthl → oid-of-it'],
    ],
    ['suspend of the fleet', { fleet: { suspend: true } }, {}, ['fleet.suspend: true → false']],
    [
      'a pause that is made smaller',
      { requests: [pause] },
      { requests: [{ ...pause, oid: 'other', nodes: ['n1'], until: Date.UTC(2026, 10, 8) }] },
      ['requests/rest.nodes: n1, n2 → n1', 'requests/rest.until: 2026-11-09T00:00:00Z → 2026-11-08T00:00:00Z'],
    ],
    [
      'whom a request is about, and until when it is good',
      { requests: [aRequest('now')] },
      { requests: [aRequest('now', { selector: db.selector, expiresAfterMs: hour, notBefore: 0 })] },
      [
        'requests/now.expiresAfter: 1d → 1h',
        'requests/now.notBefore: – → 1970-01-01T00:00:00Z',
        'requests/now.selector: – → tier=db',
      ],
    ],
    [
      'one of two files FREEZE',
      { frozen: 'fleet', frozenTwice: true },
      { frozen: 'fleet' },
      ['FREEZE: fleet and cluster → fleet'],
    ],
    [
      'keys and owners, beside fields',
      {
        inputs: [
          { path: 'signers/allowed_signers', oid: 'a'.repeat(40) },
          { path: 'clusters/prod/policy.yaml', oid: 'a' },
        ],
      },
      {
        policy: aPolicy({ suspend: true }),
        inputs: [
          { path: 'signers/allowed_signers', oid: 'b'.repeat(40) },
          { path: '.github/CODEOWNERS', oid: 'c'.repeat(40) },
          { path: 'clusters/prod/policy.yaml', oid: 'b' },
        ],
      },
      [
        '.github/CODEOWNERS: – → cccccccccc',
        'policy.suspend: false → true',
        'signers/allowed_signers: aaaaaaaaaa → bbbbbbbbbb',
      ],
    ],
    [
      'a file that means the same in other words',
      { inputs: [{ path: 'clusters/prod/policy.yaml', oid: 'a' }] },
      { inputs: [{ path: 'clusters/prod/policy.yaml', oid: 'b' }] },
      ['clusters/prod/policy.yaml: a → b'],
    ],
    [
      'labels of a peer that leave the waves as they are: none',
      { rollouts: [monthly], fleetFiles: { 'clusters/one/cluster.yaml': 'a' } },
      { rollouts: [monthly], fleetFiles: { 'clusters/one/cluster.yaml': 'b' } },
      [],
    ],
  ])('%s', (_name, before, after, expected) => {
    expect(rows(before, after)).toEqual(expected);
  });

  it('shows of long values the part where they differ', () => {
    const many = Array.from({ length: 60 }, (_, at) => `cluster-${at}`);
    const rollout = (clusters: readonly string[]): Given => ({ rollouts: [aRollout([aWave('dev', clusters), prod])] });
    const [row = '', ...more] = rows(rollout(many), rollout(many.slice(0, -1)));
    expect(more).toEqual([]);
    expect(row).toMatch(/^rollouts\/monthly\.waves\.dev\.clusters: ….*cluster-59 → ….*cluster-58$/);
  });

  it('shows a cluster that is new, or gone, by its fields', () => {
    const whole = { cluster: aCluster({ inputs: [{ path: 'signers/x.asc', oid: 'a' }] }), fleet: aFleet };
    const none = { cluster: undefined, fleet: aFleet };
    expect(differencesBetween(none, whole)).toContainEqual({ path: 'policy.suspend', before: '–', after: 'false' });
    expect(differencesBetween(whole, none)).toContainEqual({ path: 'policy.suspend', before: 'false', after: '–' });
    expect(differencesBetween(none, whole).map(({ path }) => path)).not.toContain('signers/x.asc');
  });
});

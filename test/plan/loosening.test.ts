// What counts as looser: each rule both ways, and everything that is the same or tighter is silent.
import { describe, expect, it } from 'vitest';
import type { AcceptedRules } from '../../reconciler/model/accepted-rules.ts';
import { acceptedRules } from '../../reconciler/model/accepted-rules.ts';
import { loosens } from '../../reconciler/plan/loosening.ts';
import { aCluster, aFleet, aPolicy } from '../support/policies.ts';

function theRules(): AcceptedRules {
  const rules = acceptedRules(aCluster({ policy: aPolicy() }), aFleet);
  if (!rules) throw new Error('no rules');
  return rules;
}

const base = theRules();
const approval = { mode: 'review', minApprovals: 2, approvers: ['@alice', '@bob'], leadTimeMs: 0 } as const;
const quiet = { kind: 'quiet', forMs: 1_000 } as const;
const canary = { nodes: 2, soakMs: 60_000 };

/** The tighter side, the looser side, and a word of the sentence. */
const pairs: readonly [string, Partial<AcceptedRules>, Partial<AcceptedRules>][] = [
  ['approval.mode', { approval }, { approval: { ...approval, mode: 'merge' } }],
  ['approval.mode', { approval: { ...approval, mode: 'merge' } }, { approval: { ...approval, mode: 'none' } }],
  ['minApprovals', { approval }, { approval: { ...approval, minApprovals: 1 } }],
  ['codeOwners', { approval: { ...approval, codeOwners: true } }, { approval }],
  ['unknownAuthors', { approval }, { approval: { ...approval, unknownAuthors: 'ignore' } }],
  ['unknownAuthors', { approval: { ...approval, unknownAuthors: 'hold' } }, { approval }],
  ['FREEZE', { frozen: true }, { frozen: false }],
  ['suspend', { suspended: true }, { suspended: false }],
  ['gate', { gates: [quiet] }, { gates: [] }],
  ['hold', { hold: ['linux-*', 'nvidia'] }, { hold: ['linux-*'] }],
  ['runtime', { holdRuntime: true }, { holdRuntime: false }],
  ['concurrency', { concurrency: { kind: 'count', value: 1 } }, { concurrency: { kind: 'count', value: 2 } }],
  ['concurrency', { concurrency: { kind: 'count', value: 1 } }, { concurrency: { kind: 'percent', value: 10 } }],
  ['concurrency', { concurrency: { kind: 'percent', value: 10 } }, { concurrency: { kind: 'percent', value: 20 } }],
  ['topologyKey', { topologyKey: 'zone' }, { topologyKey: '' }],
  ['canary', { canary }, { canary: undefined }],
  ['canary', { canary }, { canary: { ...canary, nodes: 3 } }],
  ['canary', { canary }, { canary: { ...canary, soakMs: 1 } }],
  ['maxFailures', { maxFailures: 1 }, { maxFailures: 2 }],
  ['single control plane', { allowSingleControlPlane: false }, { allowSingleControlPlane: true }],
  ['drain.force', { force: false }, { force: true }],
  ['onTimeout', { forceOnTimeout: false }, { forceOnTimeout: true }],
  ['deleteEmptyDirData', { deleteEmptyDirData: false }, { deleteEmptyDirData: true }],
  ['maxPerDay', { maxRebootsPerDay: 2 }, { maxRebootsPerDay: 3 }],
  ['onFailure', { uncordonHalfChanged: false }, { uncordonHalfChanged: true }],
  ['onBoot', { boot: '' }, { boot: 'a-hash' }],
];

describe('loosens', () => {
  it.each(pairs)('says %s, and nothing on the way back', (word, tight, loose) => {
    const [before, after] = [
      { ...base, ...tight },
      { ...base, ...loose },
    ];
    expect(loosens(before, after).join('; ')).toContain(word);
    expect(loosens(after, before)).toEqual([]);
    expect(loosens(before, before)).toEqual([]);
    expect(loosens(after, after)).toEqual([]);
  });

  it('says every change of the keys that may sign: added, exchanged and taken away', () => {
    const one = { ...base, signers: { 'signers/allowed_signers': 'a' } };
    const other = { ...base, signers: { 'signers/allowed_signers': 'b', 'signers/bob.asc': 'c' } };
    expect(loosens(one, one)).toEqual([]);
    expect(loosens(base, one)).toEqual([expect.stringContaining('signers/allowed_signers')]);
    expect(loosens(one, base)).toEqual([expect.stringContaining('signers/allowed_signers')]);
    expect(loosens(one, other)).toEqual([expect.stringContaining('signers/allowed_signers, signers/bob.asc')]);
  });

  it('names each of several, also when others are tightened in the same change', () => {
    const found = loosens(
      { ...base, maxFailures: 1, maxRebootsPerDay: 3 },
      { ...base, maxFailures: 4, force: true, maxRebootsPerDay: 1 },
    );
    expect(found).toEqual(['rollout.maxFailures goes from 1 to 4', 'drain.force is on']);
  });

  it('takes approvers that come and that go for looser: the ones can agree, the others cannot object any more', () => {
    const other = { ...base, approval: { ...approval, approvers: ['@alice', '@eve'] } };
    expect(loosens({ ...base, approval }, other)).toEqual([
      'approval.approvers gains @eve',
      'approval.approvers loses @bob, who could object',
    ]);
  });

  it('takes what cannot be compared for looser, both ways', () => {
    const [count, percent] = [
      { ...base, concurrency: { kind: 'count', value: 5 } as const },
      { ...base, concurrency: { kind: 'percent', value: 10 } as const },
    ];
    expect(loosens(count, percent)).toHaveLength(1);
    expect(loosens(percent, count)).toHaveLength(1);
    const [one, other] = [
      { ...base, boot: 'one' },
      { ...base, boot: 'other' },
    ];
    expect(loosens(one, other)).toHaveLength(1);
    expect(loosens(other, one)).toHaveLength(1);
    expect(loosens({ ...base, gates: [quiet] }, { ...base, gates: [{ ...quiet, forMs: 1 }] })).toHaveLength(1);
  });
});

it('a cluster whose nodes are patched in place from now on is looser where nodes are patched when they join', () => {
  const rules = (platform: 'eks' | 'self-managed', enabled: boolean) => {
    const policy = aPolicy();
    const cluster = aCluster({ policy: { ...policy, onBoot: { ...policy.onBoot, enabled } } });
    const found = acceptedRules({ ...cluster, settings: { ...cluster.settings, platform } }, aFleet);
    if (!found) throw new Error('there are no rules');
    return found;
  };
  expect(loosens(rules('eks', true), rules('self-managed', true))).toEqual([
    'what is done to nodes that join (onBoot) changes',
  ]);
  expect(loosens(rules('self-managed', true), rules('eks', true))).toEqual([]);
  expect(loosens(rules('eks', false), rules('self-managed', false))).toEqual([]);
});

import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../reconciler/sim/object.ts';
import { fieldMatcher, labelMatcher, tolerates } from '../../reconciler/sim/selectors.ts';

const object = (labels: Record<string, string>, more: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'one', namespace: 'team', uid: 'u', resourceVersion: '1', creationTimestamp: '', labels },
  ...more,
});

describe('label selectors', () => {
  const cases: [text: string, fits: boolean][] = [
    ['a=1', true],
    ['a==1,b!=2', true],
    ['a!=1', false],
    ['a in (1, 2),x.example/y notin (z)', true],
    ['a notin (1)', false],
    ['a,!c', true],
    ['!a', false],
    ['missing', false],
  ];
  for (const [text, fits] of cases)
    it(`${text} ${fits ? 'fits' : 'does not fit'}`, () => {
      expect(labelMatcher(text)(object({ a: '1', b: '3' }))).toBe(fits);
    });

  it('refuses what cannot be read', () => {
    expect(() => labelMatcher('a in 1')).toThrow();
  });
});

describe('field selectors', () => {
  it('compare fields that the server indexes, and refuse the others', () => {
    const pod = object({}, { spec: { nodeName: 'n1' }, status: { phase: 'Running' } });
    expect(fieldMatcher('Pod', 'spec.nodeName=n1,status.phase!=Failed')(pod)).toBe(true);
    expect(fieldMatcher('Pod', 'metadata.name=two')(pod)).toBe(false);
    expect(() => fieldMatcher('Pod', 'spec.dnsPolicy=Default')).toThrow();
  });
});

describe('tolerations', () => {
  it('fit by key, value and effect; an empty key tolerates everything', () => {
    const taint = { key: 'k', value: 'v', effect: 'NoSchedule' };
    expect(tolerates([{ key: 'k', operator: 'Equal', value: 'v' }], taint)).toBe(true);
    expect(tolerates([{ key: 'k', value: 'other' }], taint)).toBe(false);
    expect(tolerates([{ key: 'k', operator: 'Exists', effect: 'NoExecute' }], taint)).toBe(false);
    expect(tolerates([{ operator: 'Exists' }], taint)).toBe(true);
  });
});

// Attack: trees that Git itself would refuse to check out: links, submodules, "..", ".git", names with slashes, great depth.
import { describe, expect, it } from 'vitest';
import { parseTree } from '../../reconciler/adapters/git-trees.ts';
import { placeOf } from '../../reconciler/desired/layout.ts';
import { desire, policy } from '../desired/snapshot.ts';

const hostile = [
  'clusters/../policy.yaml',
  'clusters/prod/../../etc/passwd',
  '../clusters/prod/policy.yaml',
  'clusters/.git/config',
  '.git/hooks/post-checkout',
  'clusters/prod/.git/hooks/x',
  'clusters/prod//policy.yaml',
  '/clusters/prod/policy.yaml',
  'clusters/prod/policy.yaml/x',
  'clusters/prod/requests/../policy.yaml',
  'clusters\\prod\\policy.yaml',
  'clusters/prod/policy.yaml\u0000.md',
  'C:/clusters/prod/policy.yaml',
];

describe('symlinks and trees', () => {
  it.each(hostile)('%j is no policy, no request and no settings of prod', (path) => {
    const place = placeOf(path);
    if (place.kind === 'object') expect(place.owner).not.toEqual({ kind: 'cluster', cluster: 'prod' });
    const files = { 'clusters/prod/policy.yaml': policy('prod', 'spec: { suspend: true }\n'), [path]: policy('prod') };
    const prod = desire(files).clusters.get('prod');
    expect(prod?.policy === undefined || prod.policy.suspend).toBe(true);
    expect(prod?.requests ?? []).toEqual([]);
  });

  it.each(['symlink', 'submodule', 'oversized', 'binary'] as const)(
    'a %s where a policy should be holds its cluster and no other, and nothing older is used',
    (kind) => {
      const { clusters } = desire({
        'clusters/prod/policy.yaml': { kind },
        'clusters/dev/policy.yaml': policy('dev'),
      });
      expect(clusters.get('prod')?.policy).toBeUndefined();
      expect(clusters.get('prod')?.problems.length).toBe(1);
      expect(clusters.get('dev')).toMatchObject({ problems: [], policy: { name: 'dev' } });
    },
  );

  it.each(['symlink', 'submodule'] as const)('a %s for a whole folder is named, not followed', (kind) => {
    const { clusters, problems } = desire({ 'clusters/prod': { kind }, 'clusters/dev/policy.yaml': policy('dev') });
    expect(problems.some(({ file }) => file === 'clusters/prod')).toBe(true);
    expect(clusters.get('dev')?.policy).toBeDefined();
  });

  it('a FREEZE that is a link freezes all the same: a stop needs no content', () => {
    const { clusters } = desire({ FREEZE: { kind: 'symlink' }, 'clusters/prod/policy.yaml': policy('prod') });
    expect(clusters.get('prod')?.frozen ?? clusters.get('prod')?.problems.length).toBeTruthy();
  });

  it.each([
    ['cut off after the mode', Buffer.from('100644')],
    ['without an object id', Buffer.from('100644 a\0')],
    ['with half an object id', Buffer.concat([Buffer.from('100644 a\0'), Buffer.alloc(19)])],
  ])('a tree %s is refused as damaged', (_what, content) => {
    expect(() => parseTree(content)).toThrow(/cut off/);
  });
});

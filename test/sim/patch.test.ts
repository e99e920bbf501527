import { describe, expect, it } from 'vitest';
import { jsonPatch, mergePatch } from '../../reconciler/sim/patch.ts';
import { strategicPatch } from '../../reconciler/sim/strategic.ts';

describe('JSON patch', () => {
  it('adds, removes, moves and escapes', () => {
    const document = { metadata: { labels: { 'a/b': '1' } }, list: [1, 2] };
    const patch = [
      { op: 'test', path: '/metadata/labels/a~1b', value: '1' },
      { op: 'remove', path: '/metadata/labels/a~1b' },
      { op: 'add', path: '/list/1', value: 9 },
      { op: 'add', path: '/list/-', value: 3 },
      { op: 'move', from: '/list/0', path: '/first' },
    ];
    expect(jsonPatch(document, patch)).toEqual({ metadata: { labels: {} }, list: [9, 2, 3], first: 1 });
  });

  it('refuses a step that does not fit', () => {
    expect(() => jsonPatch({}, [{ op: 'remove', path: '/a' }])).toThrow();
    expect(() => jsonPatch({ a: 1 }, [{ op: 'test', path: '/a', value: 2 }])).toThrow();
    expect(() => jsonPatch({}, { op: 'add' })).toThrow();
  });
});

describe('merge patch', () => {
  it('removes with null and replaces lists', () => {
    expect(mergePatch({ a: { b: 1, c: 2 }, l: [1] }, { a: { b: null }, l: [2] })).toEqual({ a: { c: 2 }, l: [2] });
  });
});

describe('strategic merge patch', () => {
  const node = {
    spec: {
      taints: [
        { key: 'a', effect: 'NoSchedule' },
        { key: 'b', effect: 'NoSchedule' },
      ],
    },
    status: { conditions: [{ type: 'Ready', status: 'True', reason: 'x' }] },
  };

  it('merges lists by their keys', () => {
    const patch = {
      status: {
        conditions: [
          { type: 'Ready', status: 'False' },
          { type: 'New', status: 'True' },
        ],
      },
    };
    expect(strategicPatch(node, patch)).toMatchObject({
      status: {
        conditions: [
          { type: 'Ready', status: 'False', reason: 'x' },
          { type: 'New', status: 'True' },
        ],
      },
    });
  });

  it('deletes an item, orders, and replaces on request', () => {
    const removed = strategicPatch(node, { spec: { taints: [{ key: 'a', $patch: 'delete' }] } });
    expect(removed).toMatchObject({ spec: { taints: [{ key: 'b' }] } });
    const ordered = strategicPatch(node, { spec: { '$setElementOrder/taints': [{ key: 'b' }, { key: 'a' }] } });
    expect(ordered).toMatchObject({ spec: { taints: [{ key: 'b' }, { key: 'a' }] } });
    const replaced = strategicPatch(node, {
      spec: { taints: [{ key: 'c', effect: 'NoExecute' }, { $patch: 'replace' }] },
    });
    expect(replaced).toMatchObject({ spec: { taints: [{ key: 'c' }] } });
  });

  it('takes finalizers away by value', () => {
    const object = { metadata: { finalizers: ['a', 'b'] } };
    expect(strategicPatch(object, { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'] } })).toEqual({
      metadata: { finalizers: ['b'] },
    });
  });
});

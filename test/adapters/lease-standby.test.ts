// What a standby says of itself on the Lease, by a clock that is set by hand: how long it is believed, and when another may speak.
import { describe, expect, it } from 'vitest';
import { readStandby, standbyText, watchStandby } from '../../reconciler/adapters/lease-standby.ts';
import { standbyAnnotation } from '../../reconciler/model/names.ts';

function watched() {
  let now = 0;
  const watch = watchStandby('one', { aliveMs: 30_000, takenMs: 15_000 }, () => now);
  const lease = (text: string | undefined) => ({
    metadata: { name: 'oakum', ...(text === undefined ? {} : { annotations: { [standbyAnnotation]: text } }) },
  });
  return {
    watch,
    pass: (ms: number) => (now += ms),
    says: (identity: string, at: string) => watch.note(lease(standbyText(identity, 'worker-2', at))),
    saysNothing: () => watch.note(lease(undefined)),
  };
}

describe('a standby', () => {
  it('is alive from the second thing it says on, for as long as a Lease is good for', () => {
    const { watch, says, pass } = watched();
    says('two', 't1');
    expect(watch.alive()).toBeUndefined();
    pass(5_000);
    says('two', 't2');
    expect(watch.alive()).toEqual({ identity: 'two', node: 'worker-2' });
    // Late with five renewals: still the better hand.
    pass(29_999);
    expect(watch.alive()?.identity).toBe('two');
    pass(1);
    expect(watch.alive()).toBeUndefined();
  });

  it('keeps the annotation for three renewals only, so that another standby may speak', () => {
    const { watch, says, pass } = watched();
    says('two', 't1');
    pass(14_999);
    expect(watch.taken()).toBe(true);
    pass(1);
    expect(watch.taken()).toBe(false);
    says('three', 't1');
    expect(watch.alive()).toBeUndefined();
    says('three', 't2');
    expect(watch.alive()?.identity).toBe('three');
  });

  it('is not ourselves, and nobody when nothing is said', () => {
    const { watch, says, saysNothing } = watched();
    says('one', 't1');
    says('one', 't2');
    expect([watch.alive(), watch.taken()]).toEqual([undefined, false]);
    says('two', 't1');
    says('two', 't2');
    saysNothing();
    expect([watch.alive(), watch.taken()]).toEqual([undefined, false]);
  });

  it('is read only in the form in which it is written', () => {
    expect(readStandby(standbyText('oakum-b_1', undefined, 't'))).toEqual({ identity: 'oakum-b_1', node: undefined });
    for (const text of [
      undefined,
      '',
      '{',
      '[]',
      '{"identity":1}',
      '{"identity":"a b"}',
      `{"identity":"${'a'.repeat(1_000)}"}`,
    ])
      expect(readStandby(text), text).toBeUndefined();
  });
});

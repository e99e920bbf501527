// Label selectors: the syntax of kubectl, and what Kubernetes means by it.
import { describe, expect, it } from 'vitest';
import { matches, parseSelector } from '../../reconciler/model/selector.ts';

const labels = { pool: 'web', 'topology.kubernetes.io/zone': 'a', spot: '' };

const good: [string, boolean][] = [
  ['', true],
  ['pool=web', true],
  ['pool==web', true],
  ['pool=db', false],
  ['pool!=db', true],
  ['gone!=db', true],
  ['pool in (web, db)', true],
  ['pool notin (web)', false],
  ['gone notin (web)', true],
  ['gone in (web)', false],
  ['spot', true],
  ['!spot', false],
  ['!gone', true],
  ['spot=', true],
  ['topology.kubernetes.io/zone=a,pool in (web,db),!gone', true],
  ['topology.kubernetes.io/zone=a,pool=db', false],
];

describe('a selector', () => {
  it.each(good)('%j matches: %j', (text, wanted) => {
    const parsed = parseSelector(text);
    expect(parsed.ok && matches(parsed.selector, labels)).toBe(wanted);
  });

  it.each([
    '=web',
    'pool=a=b',
    'pool=web,',
    ',pool',
    'pool in web',
    'pool in (a b)',
    'a b',
    '-x',
    'pool=-',
    'a/b/c=d',
    '!',
  ])('%j is refused with a sentence', (text) => {
    const parsed = parseSelector(text);
    expect(parsed.ok).toBe(false);
    if (!parsed.ok) expect(parsed.message).toContain('"');
  });

  it('knows no labels by inheritance', () => {
    const parsed = parseSelector('constructor');
    expect(parsed.ok && matches(parsed.selector, {})).toBe(false);
  });
});

// Sets of fields in the form that managedFields carries them (FieldsV1), and what can be done with them.
import { isRecord, same } from './object.ts';
import { applyListKind, isAtomicMap } from './schema.ts';

/** A set of fields: `f:name`, `k:{"key":"value"}`, `v:"value"`, and `.` for the thing itself. A leaf is an empty tree. */
export interface FieldTree {
  [key: string]: FieldTree;
}

/** One piece of a value under the key that FieldsV1 gives it, or undefined when the value is one piece. */
function pieces(value: unknown, field: string): [key: string, inner: unknown, field: string][] | undefined {
  if (Array.isArray(value)) {
    const items = value as unknown[];
    const list = applyListKind(field, items);
    if (list.kind === 'atomic') return undefined;
    if (list.kind === 'set') return items.map((item) => [`v:${JSON.stringify(item)}`, item, '']);
    return items.map((item) => {
      const keys: Record<string, unknown> = {};
      for (const key of list.keys) {
        const part = isRecord(item) ? item[key] : undefined;
        if (part !== undefined) keys[key] = part;
        else if (key === 'protocol') keys[key] = 'TCP';
      }
      return [`k:${JSON.stringify(keys)}`, item, ''];
    });
  }
  if (!isRecord(value) || isAtomicMap(field)) return undefined;
  return Object.entries(value).map(([key, inner]) => [`f:${key}`, inner, key]);
}

/** All fields of the value. */
export function fieldsOf(value: unknown, field = ''): FieldTree {
  const parts = pieces(value, field);
  if (parts === undefined) return {};
  const tree: FieldTree = {};
  for (const [key, inner, name] of parts) {
    const below = fieldsOf(inner, name);
    tree[key] = key.startsWith('k:') ? { '.': {}, ...below } : below;
  }
  return tree;
}

/** The fields whose values differ between the two: set or changed in the second (`changed`), missing there (`gone`). */
export function difference(
  before: unknown,
  after: unknown,
  field = '',
): { changed: FieldTree; gone: FieldTree } | undefined {
  if (before === after) return undefined;
  const left = pieces(before, field);
  const right = pieces(after, field);
  if (left === undefined || right === undefined)
    return same(before, after) ? undefined : { changed: fieldsOf(after, field), gone: {} };
  const old = new Map(left.map(([key, inner]) => [key, inner]));
  const changed: FieldTree = {};
  const gone: FieldTree = {};
  for (const [key, inner, name] of right) {
    if (!old.has(key)) {
      const below = fieldsOf(inner, name);
      changed[key] = key.startsWith('k:') ? { '.': {}, ...below } : below;
      continue;
    }
    const below = difference(old.get(key), inner, name);
    old.delete(key);
    if (below === undefined) continue;
    const whole = Object.keys(below.changed).length === 0 && Object.keys(below.gone).length === 0;
    if (whole || Object.keys(below.changed).length > 0) changed[key] = below.changed;
    if (Object.keys(below.gone).length > 0) gone[key] = below.gone;
  }
  for (const key of old.keys()) gone[key] = {};
  return Object.keys(changed).length + Object.keys(gone).length === 0 ? undefined : { changed, gone };
}

/** Both sets together. */
export function union(a: FieldTree, b: FieldTree): FieldTree {
  const result: FieldTree = { ...a };
  for (const [key, below] of Object.entries(b)) result[key] = union(result[key] ?? {}, below);
  return result;
}

const empty = (tree: FieldTree): boolean => Object.keys(tree).length === 0;

/** The first set without the second: a leaf of the second takes everything below it away. */
export function minus(a: FieldTree, b: FieldTree): FieldTree {
  return subtract(a, b, false);
}

/** The first set without the second, leaf by leaf: an empty map in the second takes nothing away that lies below it. */
export function minusLeaves(a: FieldTree, b: FieldTree): FieldTree {
  return subtract(a, b, true);
}

function subtract(a: FieldTree, b: FieldTree, leaves: boolean): FieldTree {
  const result: FieldTree = {};
  for (const [key, below] of Object.entries(a)) {
    const other = b[key];
    if (other === undefined || (leaves && !empty(below) && empty(other))) result[key] = below;
    else if (!empty(below) && !empty(other)) {
      const rest = subtract(below, other, leaves);
      if (!empty(rest)) result[key] = rest;
    }
  }
  return result;
}

/** Leaves that are in both sets, as paths of keys. */
export function common(a: FieldTree, b: FieldTree, path: string[] = []): string[][] {
  const found: string[][] = [];
  for (const [key, below] of Object.entries(a)) {
    const other = b[key];
    if (other === undefined || key === '.') continue;
    const here = [...path, key];
    if (empty(below) && empty(other)) found.push(here);
    else found.push(...common(below, other, here));
  }
  return found;
}

/** The value at a path of keys, or undefined. */
export function valueAt(value: unknown, path: readonly string[], field = ''): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const part = pieces(value, field)?.find(([name]) => name === key);
  return part === undefined ? undefined : valueAt(part[1], rest, part[2]);
}

/** The value without the fields of the set; maps and lists that become empty by it go too. */
export function prune(value: unknown, gone: FieldTree, field = ''): unknown {
  const parts = pieces(value, field);
  if (parts === undefined) return value;
  const kept: [string, unknown][] = [];
  for (const [key, inner, name] of parts) {
    const below = gone[key];
    if (below === undefined) kept.push([key, inner]);
    else if (!empty(below) && !('.' in below)) {
      const rest = prune(inner, below, name);
      if (!(typeof rest === 'object' && rest !== null && Object.keys(rest).length === 0)) kept.push([key, rest]);
    }
  }
  if (Array.isArray(value)) return kept.map(([, inner]) => inner);
  return Object.fromEntries(kept.map(([key, inner]) => [key.slice(2), inner]));
}

/** The path as messages write it: `.spec.taints`, `.status.conditions[type="Ready"]`. */
export function pathText(path: readonly string[]): string {
  return path
    .map((key) => {
      if (key.startsWith('f:')) return `.${key.slice(2)}`;
      if (key.startsWith('v:')) return `[=${key.slice(2)}]`;
      const keys: unknown = JSON.parse(key.slice(2));
      const parts = isRecord(keys) ? Object.entries(keys) : [];
      return `[${parts.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(',')}]`;
    })
    .join('');
}

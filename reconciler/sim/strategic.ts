// Strategic merge patches: merge patches that know the keys of the lists.
import { isRecord } from './object.ts';
import { isPatchSet, patchKeyOf } from './schema.ts';

const DIRECTIVE = /^\$(setElementOrder|deleteFromPrimitiveList|retainKeys|patch)/;

function mergeItems(old: readonly unknown[], patch: readonly unknown[], key: string): unknown[] {
  if (patch.some((item) => isRecord(item) && item['$patch'] === 'replace'))
    return patch.filter((item) => !(isRecord(item) && item['$patch'] === 'replace'));
  let result = [...old];
  for (const item of patch) {
    if (!isRecord(item)) continue;
    const at = result.findIndex((candidate) => isRecord(candidate) && candidate[key] === item[key]);
    if (item['$patch'] === 'delete') result = result.filter((_, i) => i !== at);
    else if (at < 0) result.push(mergeValue(undefined, item, ''));
    else result[at] = mergeValue(result[at], item, '');
  }
  return result;
}

function inOrder(items: unknown[], order: readonly unknown[], key: string | undefined): unknown[] {
  const place = (item: unknown): number => {
    const index = order.findIndex((wanted) =>
      key === undefined ? wanted === item : isRecord(wanted) && isRecord(item) && wanted[key] === item[key],
    );
    return index < 0 ? order.length : index;
  };
  return items
    .map((item, i) => ({ item, i }))
    .sort((a, b) => place(a.item) - place(b.item) || a.i - b.i)
    .map(({ item }) => item);
}

function mergeValue(old: unknown, patch: unknown, field: string): unknown {
  if (Array.isArray(patch)) {
    const before: unknown[] = Array.isArray(old) ? (old as unknown[]) : [];
    const items = patch as unknown[];
    if (isPatchSet(field)) return [...new Set([...before, ...items])];
    const key = patchKeyOf(field, [...before, ...items]);
    return key === undefined ? items : mergeItems(before, items, key);
  }
  return isRecord(patch) ? mergeMap(old, patch) : patch;
}

function mergeMap(old: unknown, patch: Record<string, unknown>): unknown {
  const base = patch['$patch'] === 'replace' || !isRecord(old) ? {} : old;
  if (patch['$patch'] === 'delete') return undefined;
  const result: Record<string, unknown> = { ...base };
  const retain = patch['$retainKeys'];
  if (Array.isArray(retain)) for (const key of Object.keys(result)) if (!retain.includes(key)) delete result[key];
  for (const [key, value] of Object.entries(patch)) {
    if (DIRECTIVE.test(key)) continue;
    const merged = value === null ? undefined : mergeValue(result[key], value, key);
    if (merged === undefined) Reflect.deleteProperty(result, key);
    else result[key] = merged;
  }
  for (const [key, value] of Object.entries(patch)) {
    const [directive, field] = key.split('/');
    const list = field === undefined ? undefined : result[field];
    if (field === undefined || !Array.isArray(list) || !Array.isArray(value)) continue;
    if (directive === '$deleteFromPrimitiveList') result[field] = list.filter((item: unknown) => !value.includes(item));
    if (directive === '$setElementOrder') result[field] = inOrder(list, value, patchKeyOf(field, list));
  }
  return result;
}

/** Applies a strategic merge patch. */
export function strategicPatch(document: unknown, patch: unknown): unknown {
  return mergeValue(document, patch, '');
}

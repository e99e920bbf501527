// JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386).
import { isRecord, same, without } from './object.ts';
import { badRequest, failure, Refusal } from './refusal.ts';

/** One step of a JSON Patch. */
interface Operation {
  op: string;
  path: string;
  from?: string;
  value?: unknown;
}

const unescape = (token: string): string => token.replaceAll('~1', '/').replaceAll('~0', '~');

function tokens(path: string): string[] {
  if (path === '') return [];
  if (!path.startsWith('/')) throw badRequest(`error decoding patch: invalid path ${path}`);
  return path.slice(1).split('/').map(unescape);
}

/** The real server answers a patch that does not fit with a bare 422 that names no field. */
const doesNotFit = (): Refusal =>
  new Refusal(failure(422, 'Invalid', 'the server rejected our request due to an error in our request', {}));

function read(document: unknown, path: string[]): unknown {
  let value = document;
  for (const token of path) {
    if (Array.isArray(value)) value = /^\d+$/.test(token) ? (value as unknown[])[Number(token)] : undefined;
    else value = isRecord(value) && Object.hasOwn(value, token) ? value[token] : undefined;
    if (value === undefined) throw doesNotFit();
  }
  return value;
}

type Edit = (holder: unknown, token: string) => unknown;

function edit(document: unknown, path: string[], change: Edit): unknown {
  const [token, ...rest] = path;
  if (token === undefined) throw doesNotFit();
  if (rest.length === 0) return change(document, token);
  const inner = edit(read(document, [token]), rest, change);
  if (Array.isArray(document)) return (document as unknown[]).map((item, i) => (i === Number(token) ? inner : item));
  return isRecord(document) ? { ...document, [token]: inner } : document;
}

const add =
  (value: unknown): Edit =>
  (holder, token) => {
    if (Array.isArray(holder)) {
      const index = token === '-' ? holder.length : Number(token);
      if (!Number.isInteger(index) || index < 0 || index > holder.length) throw doesNotFit();
      return [...(holder as unknown[]).slice(0, index), value, ...(holder as unknown[]).slice(index)];
    }
    if (!isRecord(holder)) throw doesNotFit();
    return { ...holder, [token]: value };
  };

const remove: Edit = (holder, token) => {
  if (Array.isArray(holder)) {
    const index = Number(token);
    if (!Number.isInteger(index) || index < 0 || index >= holder.length) throw doesNotFit();
    return (holder as unknown[]).filter((_, i) => i !== index);
  }
  if (!isRecord(holder) || !Object.hasOwn(holder, token)) throw doesNotFit();
  return without(holder, token);
};

const replace =
  (value: unknown): Edit =>
  (holder, token) => {
    read(holder, [token]);
    if (Array.isArray(holder)) return (holder as unknown[]).map((item, i) => (i === Number(token) ? value : item));
    return isRecord(holder) ? { ...holder, [token]: value } : holder;
  };

function step(document: unknown, operation: Operation): unknown {
  const path = tokens(operation.path);
  switch (operation.op) {
    case 'test': {
      if (!same(readOrNothing(document, path), operation.value ?? null)) throw doesNotFit();
      return document;
    }
    case 'add':
      return path.length === 0 ? operation.value : edit(document, path, add(operation.value));
    case 'remove':
      return edit(document, path, remove);
    case 'replace':
      return path.length === 0 ? operation.value : edit(document, path, replace(operation.value));
    case 'move': {
      const from = tokens(operation.from ?? '');
      const value = read(document, from);
      return edit(edit(document, from, remove), path, add(value));
    }
    case 'copy':
      return edit(document, path, add(read(document, tokens(operation.from ?? ''))));
    default:
      throw badRequest(`error decoding patch: unexpected kind: ${operation.op}`);
  }
}

/** A test against null succeeds where nothing is, as in the library that the real server uses. */
function readOrNothing(document: unknown, path: string[]): unknown {
  try {
    return read(document, path);
  } catch {
    return null;
  }
}

/** Applies a JSON Patch. Throws a Refusal: 422 when a step does not fit or a test fails, 400 when it is no patch at all. */
export function jsonPatch(document: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest('error decoding patch: json: cannot unmarshal object into a JSON patch');
  let result = document;
  for (const operation of patch as unknown[]) {
    if (!isRecord(operation) || typeof operation['op'] !== 'string' || typeof operation['path'] !== 'string')
      throw badRequest('error decoding patch: an operation needs op and path');
    const { op, path, from, value } = operation;
    result = step(result, { op, path, ...(typeof from === 'string' ? { from } : {}), value });
  }
  return result;
}

/** Applies a merge patch: null removes, objects merge, everything else replaces. */
export function mergePatch(document: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const result: Record<string, unknown> = isRecord(document) ? { ...document } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) Reflect.deleteProperty(result, key);
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

// Lists: selectors, pages that stay consistent, and what the server says about versions that it does not have.
import { apiVersionOf, type Resource } from './kinds.ts';
import { isRecord, type KubeObject } from './object.ts';
import { badRequest, expired, failure, Refusal } from './refusal.ts';
import { fieldMatcher, labelMatcher, type Matcher } from './selectors.ts';
import { present } from './new-events.ts';
import type { World } from './world.ts';

/** Lists cut in pages, kept as they were when the first page was handed out. */
export interface Snapshots {
  get(key: string): KubeObject[] | undefined;
  set(key: string, items: KubeObject[]): void;
  clear(): void;
}

/** How many cut lists are remembered at most. */
const KEPT = 50;

/** An empty memory of cut lists. */
export function createSnapshots(): Snapshots {
  const kept = new Map<string, KubeObject[]>();
  return {
    get: (key) => kept.get(key),
    set(key, items) {
      kept.set(key, items);
      const [oldest] = kept.keys();
      if (kept.size > KEPT && oldest !== undefined) kept.delete(oldest);
    },
    clear: () => {
      kept.clear();
    },
  };
}

/** The matcher of a request's selectors. */
export function matcherOf(resource: Resource, query: URLSearchParams): Matcher {
  const label = query.get('labelSelector');
  const field = query.get('fieldSelector');
  const byLabel = label === null || label === '' ? undefined : labelMatcher(label);
  const byField = field === null || field === '' ? undefined : fieldMatcher(resource.kind, field);
  return (object) => (byLabel?.(object) ?? true) && (byField?.(object) ?? true);
}

interface Token {
  version: number;
  start: string;
}

const keyOf = (object: KubeObject): string => `${object.metadata.namespace ?? ''}\u0000${object.metadata.name}`;

const tokenText = (token: Token): string =>
  Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: token.version, start: token.start })).toString('base64url');

function tokenOf(text: string): Token {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    if (isRecord(value) && typeof value['rv'] === 'number' && typeof value['start'] === 'string')
      return { version: value['rv'], start: value['start'] };
  } catch {
    // Not a token of ours: told below.
  }
  throw badRequest('continue key is not valid');
}

/** 504 for a version that lies ahead. */
function tooLarge(wanted: number, current: number): Refusal {
  return new Refusal(
    failure(504, 'Timeout', `Too large resource version: ${wanted}, current: ${current}`, {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
      retryAfterSeconds: 1,
    }),
  );
}

function checkVersion(world: World, query: URLSearchParams): void {
  const text = query.get('resourceVersion') ?? '';
  const match = query.get('resourceVersionMatch');
  if (match !== null && text === '')
    throw badRequest('resourceVersionMatch is forbidden unless resourceVersion is provided');
  if (text === '' || text === '0') return;
  const wanted = Number(text);
  if (!Number.isInteger(wanted))
    throw badRequest(`Invalid value: "${text}": strconv.ParseUint: parsing "${text}": invalid syntax`);
  const current = world.store.version();
  if (wanted > current) throw tooLarge(wanted, current);
  if (match === 'Exact' && wanted !== current)
    throw new Refusal(expired(`The resourceVersion for the provided list is too old.`));
}

/** Answers a list request. Throws a Refusal: 400, 410 with a fresh token for the rest, 504 for a version ahead. */
export function listObjects(
  world: World,
  snapshots: Snapshots,
  resource: Resource,
  namespace: string | undefined,
  query: URLSearchParams,
): Record<string, unknown> {
  const matches = matcherOf(resource, query);
  const limit = Number(query.get('limit') ?? 0);
  const from = query.get('continue');
  if (from === null || from === '') checkVersion(world, query);
  const token = from === null || from === '' ? undefined : tokenOf(from);
  const version = token === undefined || token.version < 0 ? world.store.version() : token.version;
  const place = `${resource.storage} ${namespace ?? ''} ${version}`;
  let all = snapshots.get(place);
  if (all === undefined) {
    if (token !== undefined && token.version >= 0 && token.version !== world.store.version()) {
      const status = expired(
        'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
      );
      throw new Refusal({ ...status, metadata: { continue: tokenText({ version: -1, start: token.start }) } });
    }
    all = world.store.list(resource, namespace);
  }
  const rest = all.filter((object) => (token === undefined || keyOf(object) > token.start) && matches(object));
  const paged = limit > 0 && query.get('resourceVersion') !== '0' && rest.length > limit;
  const items = paged ? rest.slice(0, limit) : rest;
  const last = items.at(-1);
  if (paged) snapshots.set(place, all);
  const selective = query.get('labelSelector') ?? query.get('fieldSelector');
  return {
    kind: `${resource.kind}List`,
    apiVersion: apiVersionOf(resource),
    metadata: {
      resourceVersion: String(version),
      ...(paged && last !== undefined ? { continue: tokenText({ version, start: keyOf(last) }) } : {}),
      ...(paged && selective === null ? { remainingItemCount: rest.length - items.length } : {}),
    },
    items: items.map((object) => present(resource, object)),
  };
}

// What a request's path means: a resource, one object, a subresource, or one of the documents of discovery.
import type { Resource } from './kinds.ts';

/** A request as the simulation takes it. `path` may carry a query. */
export interface SimRequest {
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: unknown;
}

/** The answer. `body` is a JSON value, or text when the content type says so. */
export interface SimResponse {
  status: number;
  headers: Record<string, string>;
  body: unknown;
}

/** Where a request goes. */
export interface Target {
  resource: Resource;
  namespace: string | undefined;
  name: string | undefined;
  subresource: string | undefined;
}

/** The request's path cut in two. */
export function splitPath(path: string): { path: string; query: URLSearchParams } {
  const mark = path.indexOf('?');
  return mark < 0
    ? { path, query: new URLSearchParams() }
    : { path: path.slice(0, mark), query: new URLSearchParams(path.slice(mark + 1)) };
}

/** The resource that a path is about, or undefined when nothing serves it. */
export function routeOf(resources: readonly Resource[], path: string): Target | undefined {
  const parts = path
    .split('/')
    .filter((part) => part !== '')
    .map(decodeURIComponent);
  const root = parts.shift();
  if (root !== 'api' && root !== 'apis') return undefined;
  const group = root === 'api' ? '' : (parts.shift() ?? '');
  const version = parts.shift();
  let namespace: string | undefined;
  if (parts[0] === 'namespaces' && parts.length >= 3 && !['status', 'finalize'].includes(parts[2] ?? '')) {
    namespace = parts[1];
    parts.splice(0, 2);
  }
  const [plural, name, subresource, ...rest] = parts;
  const resource = resources.find((one) => one.group === group && one.version === version && one.plural === plural);
  if (resource === undefined || rest.length > 0) return undefined;
  if (namespace !== undefined && !resource.namespaced) return undefined;
  if (name !== undefined && resource.namespaced && namespace === undefined) return undefined;
  const known =
    subresource === undefined ||
    resource.subresources.includes(subresource) ||
    (subresource === 'status' && resource.status);
  return known ? { resource, namespace, name, subresource } : undefined;
}

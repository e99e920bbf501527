// Calls to an API server: what each refusal means, single objects, and lists page by page.
import { AdapterError } from '../model/failure.ts';
import type { AdapterErrorKind } from '../model/failure.ts';
import { requestInfo } from './kubernetes-transport.ts';
import type { KubeRequest, KubeResponse, Transport } from './kubernetes-transport.ts';

/** Fields that every Kubernetes object has, as far as they are used here. */
export interface KubeObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly [field: string]: unknown;
}

/** A `Status` of the API, when the body is one. */
export interface KubeStatus {
  readonly reason: string;
  readonly message: string;
  /** `reason` and `message` of each cause. */
  readonly causes: readonly { readonly reason: string; readonly message: string }[];
  readonly retryAfterSeconds: number | undefined;
}

/** Reads the body of a refusal; undefined when it is plain text, as the answer of API priority and fairness is. */
export function statusOf(body: unknown): KubeStatus | undefined {
  if (typeof body !== 'object' || body === null || !('kind' in body) || body.kind !== 'Status') return undefined;
  const status = body as {
    reason?: string;
    message?: string;
    details?: { causes?: { reason?: string; message?: string }[]; retryAfterSeconds?: number };
  };
  return {
    reason: status.reason ?? '',
    message: status.message ?? '',
    causes: (status.details?.causes ?? []).map(({ reason, message }) => ({
      reason: reason ?? '',
      message: message ?? '',
    })),
    retryAfterSeconds: status.details?.retryAfterSeconds,
  };
}

function kindOf(code: number, status: KubeStatus | undefined): AdapterErrorKind {
  if (code === 401) return 'denied';
  // Everything is forbidden in a namespace that is being deleted; that passes, unlike missing rights.
  if (code === 403)
    return status?.causes.some(({ reason }) => reason === 'NamespaceTerminating') ? 'transient' : 'denied';
  if (code === 404) return 'missing';
  if (code === 409 || code === 410) return 'conflict';
  if (code === 408 || code === 429 || code >= 500) return 'transient';
  return 'rejected';
}

/**
 * What a refusal means for the loop. A 504 is transient though its outcome is unknown: every action may be repeated.
 * The code is the reason of the Status, else `Throttled` (429 in plain text) or the number.
 */
export function refusal(
  request: { readonly method: string; readonly path: string },
  response: KubeResponse,
): AdapterError {
  const status = statusOf(response.body);
  const { verb, resource, namespace, name } = requestInfo(request.method, request.path);
  const object = [namespace, name].filter((part) => part !== undefined && part !== '').join('/');
  const text = status?.message ?? (typeof response.body === 'string' ? response.body.trim() : '');
  const fallback = response.status === 429 ? 'Throttled' : String(response.status);
  const seconds = status?.retryAfterSeconds ?? Number(response.headers['retry-after']);
  return new AdapterError(
    kindOf(response.status, status),
    status !== undefined && status.reason !== '' ? status.reason : fallback,
    `${verb} ${resource}${object === '' ? '' : ` ${object}`}: the API server answered ${response.status}` +
      (text === '' ? '' : `: ${text.slice(0, 500)}`),
    Number.isFinite(seconds) && seconds > 0 ? { retryAfterMs: seconds * 1000 } : {},
  );
}

/** Sends a request; statuses outside 2xx throw unless they are expected. */
export async function call(
  transport: Transport,
  request: KubeRequest,
  expected: readonly number[] = [],
): Promise<KubeResponse> {
  const response = await transport.request(request);
  const fine = (response.status >= 200 && response.status < 300) || expected.includes(response.status);
  if (!fine) throw refusal(request, response);
  return response;
}

/** The body as a Kubernetes object; an answer that is none is transient (a proxy in between, a cut answer). */
export function objectOf(response: KubeResponse): KubeObject {
  const { body } = response;
  if (typeof body === 'object' && body !== null && 'metadata' in body) return body as KubeObject;
  throw new AdapterError(
    'transient',
    'NotKubernetes',
    'the answer is not a Kubernetes object; is something in between?',
  );
}

/** Reads one object; undefined when it is not there. */
export async function read(transport: Transport, path: string): Promise<KubeObject | undefined> {
  const response = await call(transport, { method: 'GET', path }, [404]);
  return response.status === 404 ? undefined : objectOf(response);
}

/** The server's time of an answer, milliseconds, to half a second: the header has whole seconds. Undefined when there is no such header. */
export function dateOf(response: KubeResponse): number | undefined {
  const date = Date.parse(response.headers['date'] ?? '');
  return Number.isNaN(date) ? undefined : date + 500;
}

/** A list with its version and the time the server said it was. */
export interface KubeList {
  readonly resourceVersion: string;
  /** The header `Date`, milliseconds; undefined when there was none. */
  readonly date: number | undefined;
}

/**
 * Lists page by page, so that a large cluster never stands in memory whole: each item goes to `onItem` and is then forgotten. A list
 * whose continue token has expired (410) begins anew, at most twice; `onStart` is called at each beginning.
 */
export async function list(
  transport: Transport,
  path: string,
  query: Readonly<Record<string, string>>,
  onItem: (item: KubeObject) => void,
  onStart: () => void = () => undefined,
): Promise<KubeList> {
  for (let beginning = 1; ; beginning++) {
    onStart();
    let next = '';
    for (;;) {
      const parameters = new URLSearchParams({ ...query, limit: '500', ...(next === '' ? {} : { continue: next }) });
      const request: KubeRequest = { method: 'GET', path: `${path}?${parameters.toString()}` };
      const response = await transport.request(request);
      if (response.status === 410 && next !== '' && beginning < 3) break;
      if (response.status !== 200) throw refusal(request, response);
      const { items, metadata } = listOf(response.body);
      for (const item of items) onItem(item);
      next = metadata.continue ?? '';
      if (next === '') {
        return { resourceVersion: metadata.resourceVersion ?? '', date: dateOf(response) };
      }
    }
  }
}

function listOf(body: unknown): {
  items: readonly KubeObject[];
  metadata: { continue?: string; resourceVersion?: string };
} {
  const found = body as {
    items?: KubeObject[] | null;
    metadata?: { continue?: string; resourceVersion?: string };
  } | null;
  if (typeof found !== 'object' || found?.metadata === undefined)
    throw new AdapterError(
      'transient',
      'NotKubernetes',
      'the answer is not a Kubernetes list; is something in between?',
    );
  return { items: found.items ?? [], metadata: found.metadata };
}

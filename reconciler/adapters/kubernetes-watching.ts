// The watching source: nodes, Jobs, their pods and the namespace kept by watches, and never behind our own writes.
import type { Clock } from '../ports.ts';
import { reflect } from './kubernetes-reflector.ts';
import type { Reflector, Write } from './kubernetes-reflector.ts';
import { freezeOf, queries } from './kubernetes-source.ts';
import type { ClusterOptions, JobIdentity, PodIdentity, Source } from './kubernetes-source.ts';
import { dateOf } from './kubernetes-calls.ts';
import type { KubeObject } from './kubernetes-calls.ts';
import { requestInfo } from './kubernetes-transport.ts';
import type { KubeRequest, KubeResponse, Transport } from './kubernetes-transport.ts';

/** Starts the watches at the first look. */
export function watching<Facts extends JobIdentity, Pod extends PodIdentity>(
  options: ClusterOptions<Facts, Pod>,
  namespace: string,
): Source<Facts, Pod> {
  const { views, clock, log } = options;
  const random = options.random ?? Math.random;
  const stop = new AbortController();
  const { signal } = stop;
  const from = queries(namespace);
  let dirty = false;
  let waiters: (() => void)[] = [];
  let skew: number | undefined;
  const writes: { readonly resource: string; readonly write: Write }[] = [];

  const onChange = (): void => {
    dirty = true;
    const waiting = waiters;
    waiters = [];
    for (const wake of waiting) wake();
  };

  const transport = noting(options.transport, clock, namespace, {
    onWrite: (resource, write) => writes.push({ resource, write }),
    onDate: (ms) => (skew = ms),
  });

  const start = () => {
    const common = { transport, clock, log, random, signal, onChange };
    return {
      nodes: reflect({
        ...common,
        ...from.nodes,
        project: (raw) => views.nodeView(raw),
        same: (before, after) => views.onlyHeartbeat(before, after),
      }),
      jobs: reflect({ ...common, ...from.jobs, project: (raw) => views.jobFacts(raw), same: equal }),
      pods: reflect({ ...common, ...from.pods, project: (raw) => views.jobPod(raw), same: equal }),
      own: reflect({ ...common, ...from.namespace, project: (raw) => ({ freeze: freezeOf(raw) }), same: equal }),
    };
  };
  let reflectors: ReturnType<typeof start> | undefined;

  return {
    transport,
    look: async () => {
      reflectors ??= start();
      const { nodes, jobs, pods, own } = reflectors;
      const followed: Record<string, Reflector<unknown>> = { nodes, jobs };
      // Each write once: it is forgotten only when the copy has it.
      for (let next = writes[0]; next !== undefined; next = writes[0]) {
        await followed[next.resource]?.caughtUp(next.write);
        writes.shift();
      }
      // Changes that come from here on wake the next wait.
      dirty = false;
      const [, , jobPods, owns] = await Promise.all([nodes.values(), jobs.values(), pods.values(), own.values()]);
      return {
        nodes: await nodes.values(),
        jobs: await jobs.values(),
        pods: jobPods,
        freeze: owns[0]?.freeze,
        clockSkewMs: skew,
      };
    },
    changed: async (timeoutMs, outer) => {
      if (dirty || outer.aborted || signal.aborted) return;
      const timer = new AbortController();
      const wake = (): void => timer.abort();
      waiters.push(wake);
      outer.addEventListener('abort', wake, { once: true });
      signal.addEventListener('abort', wake, { once: true });
      try {
        await clock.sleep(timeoutMs, timer.signal);
      } finally {
        waiters = waiters.filter((waiter) => waiter !== wake);
        outer.removeEventListener('abort', wake);
        signal.removeEventListener('abort', wake);
      }
    },
    close: async () => {
      stop.abort();
      const { nodes, jobs, pods, own } = reflectors ?? {};
      await Promise.all([nodes?.ended, jobs?.ended, pods?.ended, own?.ended]);
    },
  };
}

function equal(before: unknown, after: unknown): boolean {
  return JSON.stringify(before) === JSON.stringify(after);
}

interface Notes {
  readonly onWrite: (resource: string, write: Write) => void;
  /** The server's time minus ours, milliseconds, to about a second. */
  readonly onDate: (skewMs: number) => void;
}

/**
 * The same transport, noting what is written to nodes and Jobs. A look that did not have our own writes yet could take a Job that was just
 * created for one that somebody deleted.
 */
function noting(inner: Transport, clock: Clock, jobsIn: string, notes: Notes): Transport {
  return {
    request: async (request) => {
      const response = await inner.request(request);
      const date = dateOf(response);
      if (date !== undefined) notes.onDate(date - clock.now());
      const { resource, namespace } = requestInfo(request.method, request.path);
      // Jobs of hooks lie elsewhere and are not followed.
      if (resource === 'nodes' || (resource === 'jobs' && namespace === jobsIn)) {
        const write = writeOf(request, response);
        if (write !== undefined) notes.onWrite(resource, write);
      }
      return response;
    },
    watch: (path, onEvent, options) => inner.watch(path, onEvent, options),
    close: () => inner.close(),
  };
}

function writeOf({ method }: KubeRequest, { status, body }: KubeResponse): Write | undefined {
  if (method === 'GET' || status >= 300 || typeof body !== 'object' || body === null) return undefined;
  const object = body as Partial<KubeObject> & { details?: { uid?: string } };
  const uid = object.metadata?.uid ?? object.details?.uid;
  if (uid === undefined) return undefined;
  // A deletion answers with the object as it was last, or with a Status.
  const deleted = method === 'DELETE';
  return { uid, resourceVersion: deleted ? undefined : object.metadata?.resourceVersion };
}

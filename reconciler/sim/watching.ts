// Watches: the window of changes played from a version on, bookmarks, the initial list, and the in-stream 410.
import { apiVersionOf, type Resource } from './kinds.ts';
import { matcherOf } from './listing.ts';
import { present } from './new-events.ts';
import type { KubeObject } from './object.ts';
import { badRequest, expired } from './refusal.ts';
import type { Change } from './store.ts';
import type { World } from './world.ts';

/** One event of a watch, as it is sent. */
export interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: object;
}

/** All watches that are open. */
export interface Watches {
  /** Starts a watch. Throws a Refusal for parameters that make no sense. The answer ends it. */
  open(
    resource: Resource,
    namespace: string | undefined,
    name: string | undefined,
    query: URLSearchParams,
    onEvent: (event: WatchEvent) => void,
    onEnd: () => void,
  ): () => void;
  /** Ends all of them, as a restart of the server does. */
  cut(): void;
  /** While mute, watches stay open and say nothing, as behind a server that is going down. */
  mute(silent: boolean): void;
  count(): number;
}

/** How long a watch lives that does not say so itself. */
const DEFAULT_TIMEOUT_S = 1800;

/** The registry of watches over one store. */
export function createWatches(world: World): Watches {
  const { clock, store } = world;
  const ends = new Set<() => void>();
  const feeds = new Map<string, Set<(change: Change) => void>>();
  let silent = false;
  store.subscribe((change) => {
    for (const feed of feeds.get(change.resource.storage) ?? []) feed(change);
  });

  return {
    open(resource, namespace, name, query, onEvent, onEnd) {
      const matches = matcherOf(resource, query);
      const bookmarks = query.get('allowWatchBookmarks') === 'true' || query.get('allowWatchBookmarks') === '1';
      const initial = query.get('sendInitialEvents') === 'true';
      if (initial && query.get('resourceVersionMatch') !== 'NotOlderThan')
        throw badRequest('sendInitialEvents requires setting resourceVersionMatch to NotOlderThan');
      const from = query.get('resourceVersion') ?? '';
      if (!/^\d*$/.test(from)) throw badRequest(`Invalid value: "${from}": strconv.ParseUint: invalid syntax`);
      const mine = (object: KubeObject): boolean =>
        (namespace === undefined || object.metadata.namespace === namespace) &&
        (name === undefined || object.metadata.name === name) &&
        matches(object);

      let open = true;
      let queue: WatchEvent[] = [];
      let ending = false;
      let flushing: (() => void) | undefined;
      const cancels: (() => void)[] = [];
      const stop = (): void => {
        if (!open) return;
        open = false;
        ends.delete(end);
        feeds.get(resource.storage)?.delete(feed);
        for (const cancel of cancels) cancel();
        flushing?.();
      };
      const end = (): void => {
        if (!open) return;
        stop();
        onEnd();
      };
      const flush = (): void => {
        flushing = undefined;
        const events = queue;
        queue = [];
        for (const event of events) if (open && !silent) onEvent(event);
        if (ending) end();
      };
      // Events leave on the clock's next turn, so that no listener runs in the middle of a write.
      const send = (event: WatchEvent): void => {
        queue.push(event);
        flushing ??= clock.after(0, flush);
      };
      let seen = from === '' || from === '0' || initial ? store.version() : Number(from);
      const feed = (change: Change): void => {
        if (change.version <= seen) return;
        seen = change.version;
        const was = change.previous !== undefined && mine(change.previous);
        const is = change.type !== 'DELETED' && mine(change.object);
        if (!was && !is) return;
        send({ type: is ? (was ? 'MODIFIED' : 'ADDED') : 'DELETED', object: present(resource, change.object) });
      };
      const bookmark = (annotations?: Record<string, string>): void => {
        send({
          type: 'BOOKMARK',
          object: {
            kind: resource.kind,
            apiVersion: apiVersionOf(resource),
            metadata: {
              resourceVersion: String(Math.max(seen, store.version())),
              creationTimestamp: null,
              ...(annotations === undefined ? {} : { annotations }),
            },
          },
        });
      };

      ends.add(end);
      if (from === '' || from === '0' || initial) {
        for (const object of store.list(resource, namespace))
          if (mine(object)) send({ type: 'ADDED', object: present(resource, object) });
        if (initial && bookmarks) bookmark({ 'k8s.io/initial-events-end': 'true' });
      } else if (Number(from) < store.forgotten()) {
        const why = `too old resource version: ${from} (${store.forgotten() + 1})`;
        send({ type: 'ERROR', object: expired(why) });
        ending = true;
      } else {
        for (const change of store.since(seen)) if (change.resource.storage === resource.storage) feed(change);
      }
      feeds.set(resource.storage, (feeds.get(resource.storage) ?? new Set()).add(feed));
      const timeoutMs = Number(query.get('timeoutSeconds') ?? DEFAULT_TIMEOUT_S) * 1000;
      cancels.push(clock.after(timeoutMs, end));
      if (bookmarks) {
        let cancel: (() => void) | undefined;
        const repeat = (): void => {
          cancel = clock.after(world.settings.bookmarkMs, () => {
            bookmark();
            repeat();
          });
        };
        repeat();
        cancels.push(() => cancel?.());
      }
      return stop;
    },
    cut() {
      for (const end of [...ends]) end();
    },
    mute(state) {
      silent = state;
    },
    count: () => ends.size,
  };
}

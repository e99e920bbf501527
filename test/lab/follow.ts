// Follows a list of objects for as long as the lab lives: list, watch, and again from the start whenever the watch is lost.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Api, ApiObject } from './api.ts';

/** What a follower is told. `gone` also comes for objects that vanished while no watch was open. */
export interface FollowHandlers<T> {
  seen(object: T): void;
  gone(object: T): void;
}

/** A running follower. */
export interface Follower<T> {
  /** The objects as last seen, by uid. */
  readonly objects: ReadonlyMap<string, T>;
  /** Resolves when the first list was handed over. */
  readonly ready: Promise<void>;
  stop(): Promise<void>;
}

/** Follows `path` (with its query, if any). Errors only mean another try: an API server that restarts is part of the stories. */
export function follow<T extends ApiObject>(api: Api, path: string, handlers: FollowHandlers<T>): Follower<T> {
  const objects = new Map<string, T>();
  const stopping = new AbortController();
  const join = path.includes('?') ? '&' : '?';
  let markReady: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    markReady = resolve;
  });

  const see = (object: T): void => {
    objects.set(object.metadata.uid, object);
    handlers.seen(object);
  };
  const lose = (object: T): void => {
    if (objects.delete(object.metadata.uid)) handlers.gone(object);
  };

  async function once(): Promise<void> {
    const list = await api.get<{ metadata: { resourceVersion: string }; items: T[] }>(path);
    const present = new Set(list.items.map((item) => item.metadata.uid));
    for (const object of [...objects.values()]) if (!present.has(object.metadata.uid)) lose(object);
    for (const object of list.items) see(object);
    markReady();
    let version = list.metadata.resourceVersion;
    while (!stopping.signal.aborted) {
      let expired = false;
      // A watch that is silent for longer than its own timeout is dead: the server may have been killed without a word.
      const limit = AbortSignal.any([stopping.signal, AbortSignal.timeout(80_000)]);
      const query = `${join}watch=1&allowWatchBookmarks=true&timeoutSeconds=60&resourceVersion=${version}`;
      const end = await api.watch<T>(
        `${path}${query}`,
        (event) => {
          if (event.type === 'ERROR') expired = true;
          else {
            version = event.object.metadata.resourceVersion;
            if (event.type === 'DELETED') lose(event.object);
            else if (event.type !== 'BOOKMARK') see(event.object);
          }
        },
        limit,
      );
      if (expired || end.status !== 200) return;
    }
  }

  const loop = (async () => {
    while (!stopping.signal.aborted) {
      await once().catch(() => undefined);
      await sleep(200, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  })();
  return {
    objects,
    ready,
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}

// The wire without a wire: requests go to a function of the same process, so that time may be virtual.
import { AdapterError } from '../model/failure.ts';
import type { KubeResponse, Transport, WatchEvent } from './kubernetes-transport.ts';

/** What answers requests; the simulated cluster has this form. */
export interface RequestHandler {
  handle(request: {
    readonly method: string;
    readonly path: string;
    readonly headers?: Record<string, string>;
    readonly body?: unknown;
  }): KubeResponse;
  /** Calls back for each event until it is stopped. */
  readonly watch?: (path: string, onEvent: (event: WatchEvent) => void) => () => void;
}

/** A transport over a handler in the same process. Bodies are copied, so that neither side sees the other's objects. */
export function inProcessTransport(handler: RequestHandler): Transport {
  return {
    request: async (request) => {
      const response = handler.handle({
        method: request.method,
        path: request.path,
        headers: { accept: 'application/json', 'content-type': request.contentType ?? 'application/json' },
        ...(request.body === undefined ? {} : { body: copy(request.body) }),
      });
      return { status: response.status, headers: response.headers, body: copy(response.body) };
    },
    watch: (path, onEvent, { signal, onOpen }) => {
      if (handler.watch === undefined)
        return Promise.reject(new AdapterError('rejected', 'NoWatch', 'this cluster has no watches; observe by lists'));
      const { watch } = handler;
      onOpen?.();
      return new Promise((resolve, reject) => {
        let stop: () => void = () => undefined;
        const end = (finish: () => void): void => {
          stop();
          finish();
        };
        stop = watch(path, (event) => {
          try {
            onEvent(copy(event) as WatchEvent);
          } catch (error) {
            end(() => reject(error instanceof Error ? error : new Error(String(error))));
          }
        });
        if (signal.aborted) end(resolve);
        else signal.addEventListener('abort', () => end(resolve), { once: true });
      });
    },
    close: async () => undefined,
  };
}

function copy(value: unknown): unknown {
  return value === undefined || typeof value === 'string' ? value : structuredClone(value);
}

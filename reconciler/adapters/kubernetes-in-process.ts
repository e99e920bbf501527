// The wire without a wire: requests go to a function of the same process, so that time may be virtual.
import { AdapterError } from '../model/failure.ts';
import { refusal } from './kubernetes-calls.ts';
import type { KubeResponse, Transport, WatchEvent } from './kubernetes-transport.ts';

interface PlainRequest {
  readonly method: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

interface PlainResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** What answers requests; the simulated cluster has this form. */
export interface RequestHandler {
  /** Answers at once; throws where a connection would break. */
  handle(request: PlainRequest): PlainResponse;
  /** Opens a watch, or answers as a server that refuses it. Absent: there are no watches. */
  readonly open?: (
    request: PlainRequest,
    onEvent: (event: WatchEvent) => void,
    onEnd: () => void,
  ) => { readonly response: PlainResponse } | { readonly stop: () => void };
}

/**
 * A transport over a handler in the same process. Bodies are copied, so that neither side sees the other's objects. Nothing can be late here, so
 * time limits do not apply: a watch that falls silent stays so.
 */
export function inProcessTransport(handler: RequestHandler): Transport {
  return {
    request: async (request) => {
      const headers = { accept: 'application/json', 'content-type': request.contentType ?? 'application/json' };
      const body = request.body === undefined ? {} : { body: copy(request.body) };
      try {
        return answer(handler.handle({ method: request.method, path: request.path, headers, ...body }));
      } catch (error) {
        throw cut(error, request.method, request.path);
      }
    },
    watch: async (path, onEvent, { signal, onOpen }) => {
      const { open } = handler;
      if (open === undefined)
        throw new AdapterError('rejected', 'NoWatch', 'this cluster has no watches; observe by lists');
      await new Promise<void>((resolve, reject) => {
        let stop: () => void = () => undefined;
        const end = (finish: () => void): void => {
          stop();
          signal.removeEventListener('abort', aborted);
          finish();
        };
        const aborted = (): void => end(resolve);
        const take = (event: WatchEvent): void => {
          try {
            onEvent(copy(event) as WatchEvent);
          } catch (error) {
            end(() => reject(error instanceof Error ? error : new Error(String(error))));
          }
        };
        const request = { method: 'GET', path } as const;
        const opened = open(request, take, () => end(resolve));
        if ('response' in opened) return reject(refusal(request, answer(opened.response)));
        stop = opened.stop;
        onOpen?.();
        if (signal.aborted) aborted();
        else signal.addEventListener('abort', aborted, { once: true });
      });
    },
    close: async () => undefined,
  };
}

function answer(response: PlainResponse): KubeResponse {
  return { status: response.status, headers: response.headers, body: copy(response.body) };
}

function cut(error: unknown, method: string, path: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (typeof code !== 'string') return error;
  return new AdapterError(
    'transient',
    code,
    `${method} ${path.split('?')[0] ?? path}: the connection failed (${code})`,
    {
      cause: error,
    },
  );
}

function copy(value: unknown): unknown {
  return value === undefined || typeof value === 'string' ? value : structuredClone(value);
}

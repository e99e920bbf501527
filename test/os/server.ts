// A web server for package archives that can also fail in the ways that real mirrors do.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { join, normalize } from 'node:path';

/**
 * A running server. Paths that begin with a status (`/503/...`) answer with it; `/stall/...` never answers; `/withheld/...` answers all but
 * the packages themselves; the rest are files. Asked as a proxy, it answers as if it were the host that was meant.
 */
export interface Served {
  readonly url: string;
  readonly port: number;
  /** Every path that was asked for, in order. */
  readonly asked: string[];
  readonly close: () => Promise<void>;
}

/** Serves a directory on a free port of 127.0.0.1. */
export async function serve(directory: string): Promise<Served> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://host');
    const full = normalize(decodeURIComponent(url.pathname));
    asked.push(url.hostname === 'host' ? full : `${url.hostname}${full}`);
    if (full.startsWith('/withheld/') && /\.(deb|rpm)$/.test(full)) return;
    const path = full.replace(/^\/withheld\//, '/');
    const status = /^\/(\d{3})\//.exec(path)?.[1];
    if (status !== undefined) {
      response.writeHead(Number(status)).end();
      return;
    }
    if (path.startsWith('/stall/')) return;
    const file = join(directory, path);
    stat(file).then(
      (found) => {
        if (!found.isFile()) {
          response.writeHead(404).end();
          return;
        }
        response.writeHead(200, { 'content-length': found.size, 'last-modified': found.mtime.toUTCString() });
        createReadStream(file).pipe(response);
      },
      () => response.writeHead(404).end(),
    );
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return {
    url: `http://127.0.0.1:${String(address.port)}`,
    port: address.port,
    asked,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

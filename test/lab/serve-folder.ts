// A folder over HTTP, read-only: the package mirror of the machines under test.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';

/** Serves plain files on a free port of an address of this machine. */
export async function serveFolder(
  folder: string,
  address: string,
): Promise<{ readonly url: string; readonly port: number; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const file = join(folder, normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://host').pathname)));
    stat(file).then(
      (found) => {
        if (!found.isFile()) return response.writeHead(404).end();
        response.writeHead(200, { 'content-length': found.size, 'last-modified': found.mtime.toUTCString() });
        return createReadStream(file).pipe(response);
      },
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, address, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${address}:${port}`,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

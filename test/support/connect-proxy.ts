// A small HTTP proxy that opens tunnels (RFC 9110, CONNECT), wants a password, and remembers what it saw.
import http from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

export interface ConnectProxy {
  /** With user and password, as it stands in HTTPS_PROXY. */
  readonly url: string;
  readonly urlWithoutPassword: string;
  /** `host:port` of every tunnel that was asked for. */
  readonly asked: string[];
  /** Every byte that came from clients, as Latin-1. */
  seen(): string;
  /** Answers this to every tunnel in place of opening it. */
  refuse: number | undefined;
  stop(): Promise<void>;
}

const user = 'proxy-user';
const password = 'canary-password-of-the-proxy';

/** Serves on the loopback interface. */
export async function startConnectProxy(): Promise<ConnectProxy> {
  const open = new Set<Duplex>();
  let bytes = '';
  const server = http.createServer((_request, response) => response.writeHead(405).end());
  server.on('connect', (request: http.IncomingMessage, client: Duplex, head: Buffer) => {
    const target = request.url ?? '';
    proxy.asked.push(target);
    open.add(client);
    client.on('error', () => undefined).on('close', () => open.delete(client));
    const wanted = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
    const status = proxy.refuse ?? (request.headers['proxy-authorization'] === wanted ? 200 : 407);
    if (status !== 200) return void client.end(`HTTP/1.1 ${status} No\r\ncontent-length: 0\r\n\r\n`);
    const [host = '', port = ''] = target.split(':');
    const onward = net.connect(Number(port), host, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.write(head);
      client.on('data', (chunk: Buffer) => (bytes += chunk.toString('latin1')));
      client.pipe(onward).pipe(client);
    });
    open.add(onward);
    onward.on('error', () => client.destroy()).on('close', () => open.delete(onward));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const proxy: ConnectProxy = {
    url: `http://${user}:${password}@127.0.0.1:${port}`,
    urlWithoutPassword: `http://127.0.0.1:${port}`,
    asked: [],
    seen: () => bytes,
    refuse: undefined,
    stop: () => {
      for (const one of open) one.destroy();
      return new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      });
    },
  };
  return proxy;
}

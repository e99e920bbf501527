// A small SOCKS 5 proxy (RFC 1928, CONNECT only) that wants a password (RFC 1929), and remembers where it was asked to go.
import net from 'node:net';
import type { AddressInfo } from 'node:net';

export interface SocksProxy {
  /** With user and password, as it stands in HTTPS_PROXY. */
  readonly url: string;
  /** `host:port` of every connection that was asked for. */
  readonly asked: string[];
  /** Every byte that came from clients after the way was open, as Latin-1. */
  seen(): string;
  /** Answers this (RFC 1928, section 6) in place of opening the way. */
  refuse: number | undefined;
  stop(): Promise<void>;
}

const [user, password] = ['proxy-user', 'canary-password-of-the-proxy'];

/** Serves on the loopback interface. */
export async function startSocksProxy(): Promise<SocksProxy> {
  const open = new Set<net.Socket>();
  let bytes = '';
  const converse = (client: net.Socket): void => {
    open.add(client);
    client.on('error', () => undefined).on('close', () => open.delete(client));
    // Each message of a client comes alone, since it waits for the answer to the one before.
    client.once('data', (greeting) => {
      if (!greeting.subarray(2).includes(2)) return void client.end(Buffer.from([5, 0xff]));
      client.write(Buffer.from([5, 2]));
      client.once('data', (login) => {
        const told = Buffer.concat([
          Buffer.from([1, user.length]),
          Buffer.from(user),
          Buffer.from([password.length]),
          Buffer.from(password),
        ]);
        if (!told.equals(login)) return void client.end(Buffer.from([1, 1]));
        client.write(Buffer.from([1, 0]));
        client.once('data', (wish) => {
          const name = wish[3] === 3;
          const host = name ? wish.toString('latin1', 5, 5 + wish.readUInt8(4)) : wish.subarray(4, 8).join('.');
          const port = wish.readUInt16BE(wish.length - 2);
          proxy.asked.push(`${host}:${port}`);
          const answer = (reply: number): Buffer => Buffer.from([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]);
          if (proxy.refuse !== undefined) return void client.end(answer(proxy.refuse));
          const onward = net.connect(port, host, () => {
            client.write(answer(0));
            client.on('data', (chunk: Buffer) => (bytes += chunk.toString('latin1')));
            client.pipe(onward).pipe(client);
          });
          open.add(onward);
          onward.on('error', () => client.destroy()).on('close', () => open.delete(onward));
        });
      });
    });
  };
  const server = net.createServer(converse);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const proxy: SocksProxy = {
    url: `socks5://${user}:${password}@127.0.0.1:${port}`,
    asked: [],
    seen: () => bytes,
    refuse: undefined,
    stop: () => {
      for (const one of open) one.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return proxy;
}

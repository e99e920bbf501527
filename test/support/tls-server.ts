// HTTPS on the loopback interface: answers itself, or hands every connection on to a port of this machine that speaks plain HTTP.
import https from 'node:https';
import type { RequestListener } from 'node:http';
import net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import tls from 'node:tls';

export interface TlsServer {
  readonly port: number;
  stop(): Promise<void>;
}

/** `behind`: what answers a request, or the port that everything is handed on to. */
export async function startTlsServer(
  pair: { readonly certificate: string; readonly key: string },
  behind: RequestListener | string,
): Promise<TlsServer> {
  const open = new Set<Socket>();
  const remember = (socket: Socket): void => {
    open.add(socket);
    socket.on('error', () => socket.destroy()).on('close', () => open.delete(socket));
  };
  const options = { cert: pair.certificate, key: pair.key };
  const server =
    typeof behind === 'string'
      ? tls.createServer(options, (socket) => {
          const onward = net.connect(Number(behind), '127.0.0.1');
          remember(onward);
          socket.on('close', () => onward.destroy());
          onward.on('close', () => socket.destroy());
          socket.pipe(onward).pipe(socket);
        })
      : https.createServer(options, behind);
  server.on('connection', remember);
  server.on('secureConnection', remember);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

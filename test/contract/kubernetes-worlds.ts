// The simulation as a world for the contract suites: in process and virtual time, or over HTTP and real time.
import { httpTransport } from '../../reconciler/adapters/kubernetes-http.ts';
import { inProcessTransport } from '../../reconciler/adapters/kubernetes-in-process.ts';
import { realClock, virtualClock } from '../../reconciler/sim/clock.ts';
import { createSim } from '../../reconciler/sim/sim.ts';
import { serveSim } from '../../reconciler/sim/server.ts';
import type { Clock } from '../../reconciler/ports.ts';
import { wallClock } from './kubernetes-suite.ts';
import type { ClusterWorld } from './kubernetes-suite.ts';

/** Virtual time that runs by itself, as fast as it can, as long as the world is open. */
export async function inProcess(): Promise<ClusterWorld> {
  const time = virtualClock();
  const sim = createSim({ clock: time });
  let open = true;
  const drive = (): void => {
    if (!open) return;
    time.advance(5);
    setImmediate(drive);
  };
  drive();
  const clock: Clock = {
    now: () => time.now(),
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        const cancel = time.after(ms, resolve);
        const stop = (): void => {
          cancel();
          resolve();
        };
        if (signal?.aborted) stop();
        else signal?.addEventListener('abort', stop, { once: true });
      }),
  };
  return {
    transport: inProcessTransport(sim),
    clock,
    pass: (ms) => clock.sleep(ms),
    close: async () => {
      open = false;
    },
  };
}

export async function overHttp(): Promise<ClusterWorld> {
  const served = await serveSim(createSim({ clock: realClock() }));
  const transport = httpTransport(
    { kind: 'text', text: served.kubeconfig() },
    { rate: { perSecond: 2_000, burst: 2_000 } },
  );
  return {
    transport,
    clock: wallClock,
    pass: (ms) => wallClock.sleep(ms),
    close: async () => {
      await transport.close();
      await served.close();
    },
  };
}

// The Lease port: one Oakum at a time acts on a cluster, by a coordination Lease that is renewed or lost.
import { AdapterError } from '../model/failure.ts';
import { fieldManager, jobNamespace, leaseName, managedBy, managedByLabel, standbyAnnotation } from '../model/names.ts';
import type { Clock, Lease, Log } from '../ports.ts';
import { call, read, refusal } from './kubernetes-calls.ts';
import type { KubeObject } from './kubernetes-calls.ts';
import { readStandby, standbyText, watchStandby, withStandby } from './lease-standby.ts';
import type { KubeRequest, Transport } from './kubernetes-transport.ts';

export interface LeaseOptions {
  /** Who we are; two processes never share one (pod name and a random part). */
  readonly identity: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Namespace of the Lease; default `os-patch`. */
  readonly namespace?: string;
  /** Name of the Lease; default `oakum`. */
  readonly name?: string;
  /** How long a holder that is not heard of keeps it; default 30 s. */
  readonly durationMs?: number;
  /** How often it is renewed, and looked at while another holds it; default 5 s. */
  readonly renewMs?: number;
  /**
   * Milliseconds from any beginning, which nobody sets back: how long the Lease is still good for is measured with it. Default: the clock,
   * which is right only where nobody sets it (virtual time).
   */
  readonly elapsed?: () => number;
  /** A number in [0, 1) for the spread of the looks; default Math.random. */
  readonly random?: () => number;
  /** Node that hosts this process; said to the holder while we wait. */
  readonly node?: string;
  /** Called after the Lease was won or lost. */
  readonly onChange?: (held: boolean) => void;
}

/** The spec of a Lease, as far as it is used. */
interface LeaseSpec {
  readonly holderIdentity?: string | null;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string | null;
  readonly renewTime?: string | null;
  readonly leaseTransitions?: number;
}

/** A renewal is worth nothing when it is answered later than this. */
const requestMs = 5_000;

/** The next try after a fault that may pass. */
const retryMs = 1_000;

/** After it was handed over the Lease is left to others for so long. */
const restMs = 30_000;

/** After so many renewals in which a standby said nothing new, another one may speak in its place. */
const standbyRenewals = 3;

/** MicroTime of the API: exactly six digits of a second, else the API server answers 400. */
export function microTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.(\d{3})Z$/, '.$1000Z');
}

/**
 * Begins to try for the Lease, and renews it until it is released.
 *
 * The clocks of two machines are never compared: another's Lease counts as expired when its record has not changed for its duration as measured
 * here, from when this process saw it first (the rule of client-go's leaderelection). Ours counts from when the renewal that was answered last was
 * sent, less a spare for one more request; so we stop before anybody else may begin.
 *
 * Whoever waits says so in an annotation of the Lease, one at a time. That changes the Lease under the holder, so each renewal reads it first.
 */
export function openLease(transport: Transport, options: LeaseOptions): Lease {
  const { identity, clock, log } = options;
  const namespace = options.namespace ?? jobNamespace;
  const name = options.name ?? leaseName;
  const durationMs = options.durationMs ?? 30_000;
  const renewMs = options.renewMs ?? 5_000;
  const spareMs = Math.min(requestMs, durationMs / 4);
  const random = options.random ?? Math.random;
  const elapsed = options.elapsed ?? (() => clock.now());
  const collection = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/leases`;
  const path = `${collection}/${encodeURIComponent(name)}`;
  const stop = new AbortController();
  /** When the renewal that was answered last was sent; undefined: not ours. */
  let renewedAt: number | undefined;
  let current: KubeObject | undefined;
  /** How often it became ours, also when nobody had noticed that it was not. */
  let term = 0;
  let observed: { readonly record: string; readonly at: number } | undefined;
  let holder: string | undefined;
  let told = false;
  /** It is to be given away: from then on it does not count as held. */
  let giving = false;
  /** Given away: not taken before this instant of `elapsed`. */
  let restUntil: number | undefined;
  let nudge = new AbortController();
  // A standby has as long as a holder has: one that is late for a moment is still the better hand for our own node.
  const waiters = watchStandby(identity, { aliveMs: durationMs, takenMs: standbyRenewals * renewMs }, elapsed);

  const held = (): boolean => renewedAt !== undefined && !giving && elapsed() - renewedAt < durationMs - spareMs;

  const tell = (): void => {
    const is = held();
    if (is === told) return;
    told = is;
    log.info(
      { lease: `${namespace}/${name}`, held: is, holder: holder ?? '' },
      is ? 'the Lease is ours' : 'the Lease is not ours',
    );
    options.onChange?.(is);
  };

  const lose = (): void => {
    renewedAt = undefined;
    current = undefined;
  };

  const note = (lease: KubeObject): LeaseSpec => {
    current = lease;
    const spec = (lease['spec'] ?? {}) as LeaseSpec;
    const record = JSON.stringify([spec.holderIdentity, spec.renewTime, spec.acquireTime, spec.leaseTransitions]);
    if (observed?.record !== record) observed = { record, at: elapsed() };
    holder = spec.holderIdentity || undefined;
    waiters.note(lease);
    return spec;
  };

  const specFor = (before: LeaseSpec | undefined, now: number): LeaseSpec => {
    const still = before?.holderIdentity === identity;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(durationMs / 1000),
      acquireTime: still && before.acquireTime ? before.acquireTime : microTime(now),
      renewTime: microTime(now),
      leaseTransitions: (before?.leaseTransitions ?? 0) + (still || before === undefined ? 0 : 1),
    };
  };

  const send = async (request: Omit<KubeRequest, 'timeoutMs' | 'urgent'>): Promise<KubeObject | undefined> => {
    const response = await call(transport, { ...request, timeoutMs: requestMs, urgent: true }, [409]);
    if (response.status === 409) {
      // Somebody else was faster: what we know is not so any more.
      lose();
      log.debug({ lease: `${namespace}/${name}` }, refusal(request, response).message);
      return undefined;
    }
    return response.body as KubeObject;
  };

  const base = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' };
  const put = (lease: KubeObject, metadata: KubeObject['metadata'], spec: unknown): Promise<KubeObject | undefined> =>
    send({
      method: 'PUT',
      path: `${path}?fieldManager=${fieldManager}`,
      body: { ...base, metadata: { ...metadata, resourceVersion: lease.metadata.resourceVersion }, spec },
    });

  /** False when somebody else wrote in between. */
  const write = async (): Promise<boolean> => {
    const began = elapsed();
    const kept = held();
    const before = current;
    const spec = specFor(before === undefined ? undefined : (before['spec'] as LeaseSpec | undefined), clock.now());
    const lease =
      before === undefined
        ? await send({
            method: 'POST',
            path: `${collection}?fieldManager=${fieldManager}`,
            body: { ...base, metadata: { name, namespace, labels: { [managedByLabel]: managedBy } }, spec },
          })
        : // What we said while we waited goes; what another says stays.
          await put(before, waiters.taken() ? before.metadata : withStandby(before.metadata, undefined), {
            ...(before['spec'] as object),
            ...spec,
          });
    if (lease === undefined) return false;
    note(lease);
    // From the beginning of the request: it may have taken long, and the others count from when it was carried out.
    if (!kept) term++;
    renewedAt = began;
    return true;
  };

  /** Says that we wait, unless another standby does. The version guards it: a renewal in between is never undone. */
  const announce = async (lease: KubeObject): Promise<boolean> => {
    if (waiters.taken()) return true;
    const text = standbyText(identity, options.node, microTime(clock.now()));
    return (await put(lease, withStandby(lease.metadata, text), lease['spec'])) !== undefined;
  };

  /**
   * One look: renew what is ours, else take what is free or has expired, else say that we wait. After a conflict it looks once more: the
   * other writer may have been ourselves, by a request whose answer was lost, or a standby that said so.
   */
  const turn = async (again = true): Promise<void> => {
    const lease = await readUrgently();
    const spec = lease && note(lease);
    const ours = spec?.holderIdentity === identity;
    if (!ours) renewedAt = undefined;
    if (lease === undefined) lose();
    else {
      const { holderIdentity, leaseDurationSeconds } = spec ?? {};
      const theirs = Boolean(holderIdentity) && !ours;
      const limitMs = (leaseDurationSeconds ?? durationMs / 1000) * 1000;
      if (theirs && elapsed() - (observed?.at ?? 0) < limitMs) {
        if (!(await announce(lease)) && again) await turn(false);
        return;
      }
    }
    if (!ours && restUntil !== undefined && elapsed() < restUntil) return;
    if (!(await write()) && again) await turn(false);
  };

  /** Empties the Lease if it is ours. A standby may write at the same time, so a conflict is tried again. */
  const giveBack = async (): Promise<void> => {
    for (let tries = 0; tries < 3; tries++) {
      const lease = await readUrgently();
      if (lease === undefined || note(lease).holderIdentity !== identity) break;
      const renewTime = microTime(clock.now());
      const spec = { ...(lease['spec'] as LeaseSpec), holderIdentity: '', renewTime, leaseDurationSeconds: 1 };
      const given = await put(lease, lease.metadata, spec);
      if (given === undefined) continue;
      note(given);
      break;
    }
    lose();
  };

  /** Takes back that we wait, so that nothing is given to us any more. The holder may write at the same time, so a conflict is tried again. */
  const withdraw = async (): Promise<void> => {
    for (let tries = 0; tries < 3; tries++) {
      const lease = await readUrgently();
      const said = readStandby(lease?.metadata.annotations?.[standbyAnnotation]);
      if (lease === undefined || said?.identity !== identity) return;
      if ((await put(lease, withStandby(lease.metadata, undefined), lease['spec'])) !== undefined) return;
    }
  };

  const readUrgently = async (): Promise<KubeObject | undefined> => {
    const urgent: Transport = {
      ...transport,
      request: (request) => transport.request({ ...request, timeoutMs: requestMs, urgent: true }),
    };
    return read(urgent, path);
  };

  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      let next = renewMs;
      nudge = new AbortController();
      try {
        if (giving) {
          await giveBack();
          giving = false;
          restUntil = elapsed() + restMs;
        } else await turn();
      } catch (error) {
        const found = error instanceof AdapterError ? error : undefined;
        // Not ours any more for certain; anything else runs out by itself.
        if (found?.kind === 'denied' || found?.kind === 'missing' || found?.kind === 'conflict') lose();
        // A server that throttles refuses many in a row: few tries in the life of a Lease would all be among them.
        if (found?.kind === 'transient') next = Math.min(renewMs, retryMs);
        log.warn(
          { lease: `${namespace}/${name}`, code: found?.code ?? 'unknown' },
          `the Lease could not be renewed: ${String(error)}`,
        );
      }
      tell();
      await clock.sleep(next * (0.8 + 0.4 * random()), AbortSignal.any([stop.signal, nudge.signal]));
    }
  };
  const running = run();

  return {
    held: () => !stop.signal.aborted && held(),
    holder: () => holder,
    term: () => term,
    release: async () => {
      stop.abort();
      await running;
      if (renewedAt === undefined) return withdraw();
      renewedAt = undefined;
      holder = undefined;
      await giveBack();
      tell();
    },
    standby: () => (!stop.signal.aborted && held() ? waiters.alive() : undefined),
    handOver: () => {
      if (!held()) return;
      giving = true;
      nudge.abort();
    },
  };
}

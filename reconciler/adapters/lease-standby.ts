// What a standby says of itself on the Lease: written by the one that waits, believed by the holder only while it is seen to change.
import { standbyAnnotation } from '../model/names.ts';
import type { StandbyView } from '../model/observed.ts';
import type { KubeObject } from './kubernetes-calls.ts';

/** The value of the annotation. The time is for people and makes each one differ; no clock is compared with it. */
export function standbyText(identity: string, node: string | undefined, at: string): string {
  return JSON.stringify({ identity, ...(node ? { node } : {}), at });
}

/** Reads the annotation; undefined for anything that no Oakum writes. */
export function readStandby(text: string | undefined): StandbyView | undefined {
  if (text === undefined || text.length > 1_000) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('identity' in value)) return undefined;
  const node = 'node' in value ? value.node : undefined;
  if (!isName(value.identity) || !(node === undefined || isName(node))) return undefined;
  return { identity: value.identity, node };
}

/** Names of hosts and pods, with the random part of an identity: nothing that could mean something in a page. */
function isName(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9._-]{1,253}$/.test(value);
}

/** The metadata of a Lease with another announcement, or with none. */
export function withStandby(metadata: KubeObject['metadata'], text: string | undefined): KubeObject['metadata'] {
  const { [standbyAnnotation]: _before, ...annotations } = metadata.annotations ?? {};
  return { ...metadata, annotations: text === undefined ? annotations : { ...annotations, [standbyAnnotation]: text } };
}

/** How long, in milliseconds, what another says is believed. */
export interface StandbyLimits {
  /** Until a standby that says nothing new counts as gone: the Lease is not given to it any more. */
  readonly aliveMs: number;
  /** Until the annotation may be taken from a standby that says nothing new. */
  readonly takenMs: number;
}

export interface StandbyWatch {
  /** Takes in the Lease as it was just read. */
  note(lease: KubeObject): void;
  /** The standby that was seen to say something new within the limit: it is alive. */
  alive(): StandbyView | undefined;
  /** Another standby has the annotation, and it is not known to be gone. */
  taken(): boolean;
}

/** Watches the announcement of others. `elapsed` is our own clock: the clocks of two machines are never compared. */
export function watchStandby(identity: string, limits: StandbyLimits, elapsed: () => number): StandbyWatch {
  let seen: { readonly text: string; readonly who: StandbyView; readonly at: number; changed: boolean } | undefined;
  const heard = (withinMs: number): boolean => seen !== undefined && elapsed() - seen.at < withinMs;
  return {
    note: (lease) => {
      const text = lease.metadata.annotations?.[standbyAnnotation];
      const who = readStandby(text);
      if (text === undefined || who === undefined || who.identity === identity) seen = undefined;
      // What is seen for the first time may have been written by somebody who is long gone.
      else if (seen?.who.identity !== who.identity) seen = { text, who, at: elapsed(), changed: false };
      else if (seen.text !== text) seen = { text, who, at: elapsed(), changed: true };
    },
    alive: () => (heard(limits.aliveMs) && seen?.changed ? seen.who : undefined),
    taken: () => heard(limits.takenMs),
  };
}

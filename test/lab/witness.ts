// An independent watcher: it looks at the nodes themselves and never asks the program under test.
import type { Api, ApiObject } from './api.ts';
import { follow } from './follow.ts';

/** A node as the witness sees it. */
export interface WitnessedNode extends ApiObject {
  readonly spec: { readonly unschedulable?: boolean };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly nodeInfo?: { readonly bootID: string; readonly kernelVersion: string };
  };
}

/** What was seen, in order. */
export interface Sighting {
  readonly node: string;
  readonly change: 'cordoned' | 'uncordoned' | 'notReady' | 'ready' | 'booted' | 'gone';
  /** Nodes that were out (cordoned, not Ready or gone) right after this. */
  readonly out: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** The watcher. */
export interface Witness {
  /** The most nodes that were out at the same time. */
  mostOut(): number;
  out(): readonly string[];
  readonly sightings: readonly Sighting[];
  stop(): Promise<void>;
}

/** Watches all nodes from now on. */
export async function startWitness(api: Api): Promise<Witness> {
  const sightings: Sighting[] = [];
  const last = new Map<string, { cordoned: boolean; ready: boolean; boot: string }>();
  const out = new Set<string>();
  let most = 0;
  const note = (node: string, change: Sighting['change']): void => {
    most = Math.max(most, out.size);
    sightings.push({ node, change, out: out.size, at: Date.now() });
  };
  const follower = follow<WitnessedNode>(api, '/api/v1/nodes', {
    seen(node) {
      const { name } = node.metadata;
      const before = last.get(name);
      const ready = node.status?.conditions?.find((entry) => entry.type === 'Ready')?.status === 'True';
      const state = { cordoned: node.spec.unschedulable === true, ready, boot: node.status?.nodeInfo?.bootID ?? '' };
      last.set(name, state);
      if (state.cordoned || !ready) out.add(name);
      else out.delete(name);
      most = Math.max(most, out.size);
      if (before === undefined) return;
      if (before.boot !== '' && before.boot !== state.boot) note(name, 'booted');
      if (before.cordoned !== state.cordoned) note(name, state.cordoned ? 'cordoned' : 'uncordoned');
      if (before.ready !== ready) note(name, ready ? 'ready' : 'notReady');
    },
    gone(node) {
      out.delete(node.metadata.name);
      last.delete(node.metadata.name);
      note(node.metadata.name, 'gone');
    },
  });
  await follower.ready;
  return { mostOut: () => most, out: () => [...out].sort(), sightings, stop: () => follower.stop() };
}

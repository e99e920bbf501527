// Many light nodes on a real control plane: the scheduler and the Job controller are real, the machines are not.
import type { Api } from './api.ts';
import { follow } from './follow.ts';
import { startLightNode, type LightNode } from './light-node.ts';
import type { PodTimes } from './light-pod.ts';
import type { LabPod, Program } from './light-program.ts';

/** How many, where, and what their containers do. */
export interface LightNodesOptions {
  readonly count: number;
  /** Nodes are dealt to the zones in turn. Default: no zone label. */
  readonly zones?: readonly string[];
  /** Names are the prefix and a number of three digits, from 001. Default `light-`. */
  readonly prefix?: string;
  /** Default: every pod that is meant to end does so after 200 ms, with exit code 0. */
  readonly program?: Program;
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  readonly kernel?: string;
  readonly osImage?: string;
  readonly notReadyMs?: number;
  readonly times?: Partial<PodTimes>;
}

/** The nodes of one story. */
export interface LightNodes {
  readonly nodes: ReadonlyMap<string, LightNode>;
  /** Throws when there is no such node. */
  node(name: string): LightNode;
  /** One more, for instance one that autoscaling brings. */
  add(
    name: string,
    options?: Pick<LightNodesOptions, 'labels' | 'taints' | 'kernel'> & { readonly zone?: string },
  ): Promise<LightNode>;
  /** Ends the heartbeats and the containers; the Node objects stay. */
  stop(): Promise<void>;
}

/** Registers the nodes (ten at a time) and resolves when all have been reported Ready. */
export async function startLightNodes(api: Api, options: LightNodesOptions): Promise<LightNodes> {
  const nodes = new Map<string, LightNode>();
  const times: PodTimes = { startMs: 100, readyMs: 100, terminationMs: 200, ...options.times };
  const program: Program = options.program ?? (async () => ({ exitCode: 0, durationMs: 200 }));
  const prefix = options.prefix ?? 'light-';
  const zones = options.zones ?? [];
  let made = 0;

  const pods = follow<LabPod>(api, '/api/v1/pods?fieldSelector=spec.nodeName!%3D', {
    seen: (pod) => nodes.get(pod.spec.nodeName ?? '')?.see(pod),
    gone: (pod) => nodes.get(pod.spec.nodeName ?? '')?.forget(pod.metadata.uid),
  });
  await pods.ready;

  const add: LightNodes['add'] = async (name, more = {}) => {
    made += 1;
    const index = made;
    const zone = more.zone ?? zones[(index - 1) % Math.max(zones.length, 1)];
    const taints = more.taints ?? options.taints;
    const node = await startLightNode(
      api,
      {
        name,
        index,
        labels: { ...options.labels, ...more.labels },
        kernel: more.kernel ?? options.kernel ?? '6.1.0-50-amd64',
        osImage: options.osImage ?? 'Debian GNU/Linux 12 (bookworm)',
        notReadyMs: options.notReadyMs ?? 200,
        ...(zone === undefined ? {} : { zone }),
        ...(taints === undefined ? {} : { taints }),
      },
      program,
      times,
    );
    nodes.set(name, node);
    // A pod may have been assigned between the registration and this line.
    for (const pod of pods.objects.values()) if (pod.spec.nodeName === name) node.see(pod);
    return node;
  };
  const names = Array.from({ length: options.count }, (_, index) => `${prefix}${String(index + 1).padStart(3, '0')}`);
  for (let first = 0; first < names.length; first += 10)
    await Promise.all(names.slice(first, first + 10).map((name) => add(name)));

  return {
    nodes,
    node(name) {
      const found = nodes.get(name);
      if (found === undefined) throw new Error(`no light node is called ${name}`);
      return found;
    },
    add,
    async stop() {
      for (const node of nodes.values()) node.vanish();
      await pods.stop();
    },
  };
}

// A simulated cluster whose nodes have packages: what the demo shows and the scenarios play on.
import { lockAnnotation } from '../model/names.ts';
import type { SimClock } from '../sim/clock.ts';
import { createSim, type Sim } from '../sim/sim.ts';
import { imitate, type ImitatedNode } from './imitation.ts';

/** One node of the cluster. */
export interface ImitatedSpec {
  readonly name: string;
  readonly zone: string;
  readonly controlPlane?: boolean;
  readonly labels?: Readonly<Record<string, string>>;
  /** Taints that its registration brings. */
  readonly taints?: readonly { readonly key: string; readonly effect: 'NoSchedule' | 'NoExecute' }[];
  /** How long it is away in a reboot, milliseconds. */
  readonly rebootMs?: number;
  readonly system?: Partial<ImitatedNode>;
}

/** The simulation and the packages of its nodes, which a test or the demo may change at any time. */
export interface ImitatedCluster {
  readonly sim: Sim;
  readonly systems: ReadonlyMap<string, ImitatedNode>;
  /** What containers end with that are no patch Jobs (hooks), by the image's name; others end well after a second. */
  readonly programs: Map<string, { readonly durationMs: number; readonly exitCode: number }>;
  add(spec: ImitatedSpec): void;
  system(name: string): ImitatedNode;
}

/** What waits on a node of the demo: a library, a service, and for some a kernel. */
export const ordinaryUpdates: ImitatedNode['pending'] = [
  { name: 'libssl3', from: '3.0.15-1~deb12u1', to: '3.0.17-1~deb12u2' },
  { name: 'openssh-server', from: '1:9.2p1-2+deb12u3', to: '1:9.2p1-2+deb12u6' },
];
export const kernelUpdate: ImitatedNode['pending'][number] = {
  name: 'linux-image-amd64',
  from: '6.1.123-1',
  to: '6.1.140-1',
  needsReboot: true,
};

/** Makes the cluster with namespace `os-patch` and Oakum's own. */
export function imitatedCluster(clock: SimClock, namespaces: readonly string[]): ImitatedCluster {
  const systems = new Map<string, ImitatedNode>();
  const controlPlane = new Set<string>();
  const programs: ImitatedCluster['programs'] = new Map();
  const system = (name: string): ImitatedNode => {
    const found = systems.get(name);
    if (!found) throw new Error(`there is no node ${name}`);
    return found;
  };
  const sim = createSim({
    clock,
    program: (pod, node) => {
      const container = pod.spec.containers[0] as
        { image?: string; env?: { name: string; value?: string }[] } | undefined;
      const environment = Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value ?? '']));
      if (environment['OSP_MODE'] === undefined)
        return programs.get(container?.image ?? '') ?? { durationMs: 1_000, exitCode: 0 };
      const kernelNext = system(node.name).kernelNext;
      const machine = { bootId: node.bootId(), kernel: node.kernel() };
      const ran = imitate(environment, system(node.name), machine, pod.metadata.annotations?.[lockAnnotation]);
      return {
        durationMs: ran.durationMs,
        exitCode: ran.exitCode,
        message: ran.message,
        ...(ran.rebootAfterMs === undefined
          ? {}
          : { reboot: { afterMs: ran.rebootAfterMs, ...(kernelNext === undefined ? {} : { kernel: kernelNext }) } }),
      };
    },
  });
  for (const name of namespaces)
    sim.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  return {
    sim,
    systems,
    programs,
    system,
    add: (spec) => {
      systems.set(spec.name, {
        os: 'debian',
        osVersion: '12.15',
        pending: [...ordinaryUpdates],
        rebootRequired: false,
        kernelNext: '6.1.140-1-amd64',
        fault: undefined,
        jobMs: 400,
        ...spec.system,
      });
      if (spec.controlPlane === true && controlPlane.size === 0) nameApiServer(sim);
      if (spec.controlPlane === true) controlPlane.add(spec.name);
      sim.addNode({
        name: spec.name,
        zone: spec.zone,
        kernel: '6.1.123-1-amd64',
        labels: { ...spec.labels },
        ...(spec.taints ? { taints: [...spec.taints] } : {}),
        ...(spec.controlPlane ? { controlPlane: true } : {}),
        rebootMs: spec.rebootMs ?? 1_200,
      });
    },
  };
}

/** What the API server writes of itself: where it can be reached. */
function nameApiServer(sim: Sim): void {
  sim.create('/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'kubernetes', labels: { 'kubernetes.io/service-name': 'kubernetes' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true } }],
    ports: [{ name: 'https', port: 6443, protocol: 'TCP' }],
  });
}

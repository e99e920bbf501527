// KubeVirt as far as a drain meets it: its webhook on evictions, its machines and migrations, and its way to take an evacuation back.
import type { Sim } from '../../reconciler/sim/sim.ts';

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
}
interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

interface Machine {
  readonly namespace: string;
  readonly name: string;
  readonly pod: string;
  readonly node: string;
  evacuating: string | undefined;
}

/**
 * Stands before a simulated API server. The messages are those of KubeVirt's pod-eviction-admitter. A machine has moved `migrationMs` after its
 * evacuation was asked for; undefined: its migration stays in the phase Scheduling.
 */
export class KubeVirt {
  migrationMs: number | undefined = 30_000;
  readonly machines: Machine[] = [];
  private readonly sim: Sim;
  private readonly after: (ms: number, run: () => void) => void;

  constructor(sim: Sim, after: (ms: number, run: () => void) => void) {
    this.sim = sim;
    this.after = after;
  }

  /** A machine with its pod and the budget that KubeVirt keeps for it. */
  add(name: string, node: string, namespace = 'default'): void {
    const pod = `virt-launcher-${name}-x1`;
    this.machines.push({ namespace, name, pod, node, evacuating: undefined });
    this.sim.create(`/api/v1/namespaces/${namespace}/pods`, {
      metadata: {
        name: pod,
        labels: { 'kubevirt.io': 'virt-launcher', 'vm.kubevirt.io/name': name },
        ownerReferences: [
          { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstance', name, uid: `vmi-${name}`, controller: true },
        ],
      },
      spec: {
        nodeName: node,
        containers: [{ name: 'compute', image: 'virt-launcher' }],
        volumes: [{ name: 'private', emptyDir: {} }],
      },
    });
    this.sim.create(`/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`, {
      metadata: { name: `kubevirt-disruption-budget-${name}` },
      spec: { minAvailable: 1, selector: { matchLabels: { 'vm.kubevirt.io/name': name } } },
    });
  }

  /** Answers what KubeVirt answers; undefined: the API server does. */
  answer = (request: Asked): Answered | undefined => {
    const url = new URL(request.path, 'http://api');
    const eviction = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)\/eviction$/.exec(url.pathname);
    if (eviction) return this.evicted(eviction[1] ?? '', eviction[2] ?? '', url.searchParams.has('dryRun'));
    const cancel = /namespaces\/([^/]+)\/virtualmachineinstances\/([^/]+)\/evacuate\/cancel$/.exec(url.pathname);
    if (cancel && request.method === 'PUT') {
      const named = (request.body as { evacuationNodeName?: string } | undefined)?.evacuationNodeName;
      for (const machine of this.machines)
        if (machine.namespace === cancel[1] && machine.name === cancel[2] && machine.evacuating === named)
          machine.evacuating = undefined;
      return { status: 200, headers: {}, body: {} };
    }
    if (url.pathname === '/apis/kubevirt.io/v1/virtualmachineinstances') {
      const nodes = /nodeName in \(([^)]*)\)/.exec(url.searchParams.get('labelSelector') ?? '')?.[1]?.split(',') ?? [];
      return listOf(
        this.machines
          .filter((machine) => nodes.includes(machine.node))
          .map(({ namespace, name, node, evacuating }) => ({
            metadata: { namespace, name },
            status: { nodeName: node, ...(evacuating ? { evacuationNodeName: evacuating } : {}) },
          })),
      );
    }
    if (url.pathname === '/apis/kubevirt.io/v1/virtualmachineinstancemigrations')
      return listOf(
        this.machines
          .filter((machine) => machine.evacuating !== undefined)
          .map(({ namespace, name }) => ({
            metadata: { namespace, name: `kubevirt-evacuation-${name}` },
            spec: { vmiName: name },
            status: { phase: 'Scheduling' },
          })),
      );
    return undefined;
  };

  private evicted(namespace: string, pod: string, dryRun: boolean): Answered | undefined {
    const machine = this.machines.find((one) => one.namespace === namespace && one.pod === pod);
    if (!machine) return undefined;
    const words = `Eviction triggered evacuation of VMI "${namespace}/${machine.name}"`;
    const said = machine.evacuating === undefined ? words : `Evacuation in progress: ${words}`;
    if (!dryRun && machine.evacuating === undefined) {
      machine.evacuating = machine.node;
      if (this.migrationMs !== undefined)
        this.after(this.migrationMs, () => {
          this.machines.splice(this.machines.indexOf(machine), 1);
          this.sim.handle({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}/pods/${pod}` });
        });
    }
    const message = `admission webhook "virt-launcher-eviction-interceptor.kubevirt.io" denied the request: ${said}`;
    return { status: 429, headers: {}, body: { kind: 'Status', status: 'Failure', message, code: 429 } };
  }
}

function listOf(items: readonly object[]): Answered {
  return { status: 200, headers: {}, body: { kind: 'List', metadata: { resourceVersion: '1' }, items } };
}

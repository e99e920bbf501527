// What a drain must know beside pods: volumes that are still attached, and virtual machines of KubeVirt that move.
import type { Action } from '../model/action.ts';
import { AdapterError } from '../model/failure.ts';
import type { AttachmentView, VirtualMachineView } from '../model/observed.ts';
import type { ActionResult } from '../ports.ts';
import { call, list, read } from './kubernetes-calls.ts';
import type { Transport } from './kubernetes-transport.ts';

/** How these objects become views. */
export interface DrainViews {
  attachmentView(attachment: unknown, volume: unknown): AttachmentView;
  virtualMachineView(machine: unknown, migrations: readonly unknown[]): VirtualMachineView;
}

/** The volume attachments of these nodes, each with the claim that its volume is bound to. */
export async function readAttachments(
  transport: Transport,
  views: DrainViews,
  nodes: readonly string[],
): Promise<AttachmentView[]> {
  const found: unknown[] = [];
  await list(
    transport,
    '/apis/storage.k8s.io/v1/volumeattachments',
    {},
    (raw) => found.push(raw),
    () => (found.length = 0),
  );
  const attached: AttachmentView[] = [];
  for (const raw of found) {
    const bare = views.attachmentView(raw, undefined);
    if (!nodes.includes(bare.node)) continue;
    const volume = await read(transport, `/api/v1/persistentvolumes/${encodeURIComponent(bare.volume)}`);
    attached.push(views.attachmentView(raw, volume));
  }
  return attached.sort((a, b) => (a.name < b.name ? -1 : 1));
}

const kubevirt = '/apis/kubevirt.io/v1';

/** The virtual machines of these nodes; undefined where KubeVirt is not there or may not be read. */
export async function readVirtualMachines(
  transport: Transport,
  views: DrainViews,
  nodes: readonly string[],
): Promise<VirtualMachineView[] | undefined> {
  const machines: unknown[] = [];
  const migrations: unknown[] = [];
  try {
    // virt-controller keeps this label of every running machine.
    const query = { labelSelector: `kubevirt.io/nodeName in (${nodes.join(',')})` };
    for (const [resource, filter, into] of [
      ['virtualmachineinstances', query, machines],
      ['virtualmachineinstancemigrations', {}, migrations],
    ] as const)
      await list(
        transport,
        `${kubevirt}/${resource}`,
        filter,
        (raw) => into.push(raw),
        () => (into.length = 0),
      );
  } catch (error) {
    if (error instanceof AdapterError && (error.kind === 'missing' || error.kind === 'denied')) return undefined;
    throw error;
  }
  return machines.map((machine) => views.virtualMachineView(machine, migrations));
}

/**
 * Takes back the evacuation that an eviction of ours began (KubeVirt's subresource `evacuate/cancel`). It clears the machine's mark only if it still
 * names this node, so that no new migration begins; one that is under way goes on. KubeVirt before 1.8 does not have it and answers 404.
 */
export async function cancelEvacuation(
  transport: Transport,
  action: Extract<Action, { kind: 'cancelEvacuation' }>,
): Promise<ActionResult> {
  const [namespace, name] = [encodeURIComponent(action.namespace), encodeURIComponent(action.machine)];
  const path = `/apis/subresources.kubevirt.io/v1/namespaces/${namespace}/virtualmachineinstances/${name}/evacuate/cancel`;
  const response = await call(transport, { method: 'PUT', path, body: { evacuationNodeName: action.node } }, [404]);
  return { kind: response.status === 404 ? 'gone' : 'done' };
}

// What a drain waits for beside pods: volumes that are still attached, and virtual machines that move by live migration.
import type { Action } from '../model/action.ts';
import type { LedgerDocument, NodeRecord } from '../model/ledger.ts';
import type { AttachmentView, PodView, VirtualMachineView } from '../model/observed.ts';
import { isUnderWay } from '../model/node-phase.ts';

/** How long an evacuation is asked to end after its node was uncordoned; KubeVirt before 1.8 cannot be asked. */
const cancelMs = 60_000;

/** Which nodes need these facts in the next pass. */
export function drainInterest(ledger: LedgerDocument | undefined): {
  readonly volumesOn: readonly string[];
  readonly machinesOn: readonly string[];
} {
  const volumesOn: string[] = [];
  const machinesOn: string[] = [];
  for (const run of Object.values(ledger?.runs ?? {}))
    for (const record of Object.values(run.nodes)) {
      if (!isUnderWay(record.phase)) continue;
      if (record.phase === 'Draining' && record.reason === 'VolumesAttached') volumesOn.push(record.node);
      const leaves = ['Cordoning', 'Draining', 'Uncordoning'].includes(record.phase);
      if (leaves && record.evacuated !== undefined) machinesOn.push(record.node);
    }
  return { volumesOn: volumesOn.sort(), machinesOn: machinesOn.sort() };
}

/** Volumes of this node that no pod on it uses any more and that are attached nevertheless. */
export function leftAttached(
  node: string,
  volumes: readonly AttachmentView[],
  pods: readonly PodView[],
): AttachmentView[] {
  const used = new Set(
    pods
      .filter((pod) => pod.phase !== 'Succeeded' && pod.phase !== 'Failed')
      .flatMap((pod) => (pod.claims ?? []).map((claim) => `${pod.namespace}/${claim}`)),
  );
  return volumes.filter((one) => one.node === node && one.claim !== undefined && !used.has(one.claim));
}

/** A few volumes as one sentence. */
export function tellVolumes(volumes: readonly AttachmentView[], most = 3): string {
  const told = volumes.slice(0, most).map(({ claim, volume, trouble }) => {
    const name = `${claim ?? 'an unknown claim'} (${volume})`;
    return trouble === '' ? name : `${name}: ${trouble}`;
  });
  const rest = volumes.length - told.length;
  return `waits for volumes to be detached: ${told.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

/** The name of the machine that a pod runs, as `NAMESPACE/NAME`; undefined for any other pod. */
export function machineOf(pod: PodView): string | undefined {
  if (pod.virtualMachine === undefined) return undefined;
  const name = pod.owner?.kind === 'VirtualMachineInstance' ? pod.owner.name : pod.virtualMachine;
  return `${pod.namespace}/${name}`;
}

/** Where a machine stands that leaves its node: what KubeVirt said to the eviction, and what is known beside it. */
export function tellMigration(machine: string, said: string, views: readonly VirtualMachineView[] | undefined): string {
  const view = views?.find((one) => `${one.namespace}/${one.name}` === machine);
  if (view === undefined) return `virtual machine ${machine} is to move by live migration: ${said}`;
  const { migration, trouble } = view;
  const at = migration
    ? `migration ${migration.name} is ${migration.phase}`
    : trouble === ''
      ? 'its migration has not begun yet'
      : '';
  return `virtual machine ${machine} is to move by live migration: ${[at, trouble].filter((part) => part !== '').join('; ')}`;
}

/** The record with the machines whose evacuation is about to be asked for by us; those that somebody else evacuates are left out. */
export function noteEvacuations(
  record: NodeRecord,
  pods: readonly PodView[],
  views: readonly VirtualMachineView[] | undefined,
): NodeRecord {
  const theirs = new Set(
    (views ?? [])
      .filter((view) => view.evacuating !== undefined)
      .map((view) => `${view.namespace}/${view.name}`)
      .filter((name) => record.evacuated?.includes(name) !== true),
  );
  const ours = pods.flatMap((pod) => machineOf(pod) ?? []).filter((name) => !theirs.has(name));
  const all = [...new Set([...(record.evacuated ?? []), ...ours])].sort();
  return all.length === (record.evacuated?.length ?? 0) ? record : { ...record, evacuated: all };
}

/** What is left of the evacuations that a drain of ours began on a node that stays: what to ask, until when, and how to say it. */
export function evacuationsLeft(
  record: NodeRecord,
  views: readonly VirtualMachineView[] | undefined,
  now: number,
): { readonly actions: readonly Action[]; readonly until: number; readonly note: string } | undefined {
  const ours = record.evacuated ?? [];
  if (ours.length === 0 || views === undefined) return undefined;
  const left = views.filter(
    (view) => view.evacuating === record.node && ours.includes(`${view.namespace}/${view.name}`),
  );
  if (left.length === 0) return undefined;
  const names = left.map((view) => `${view.namespace}/${view.name}`).join(', ');
  return {
    actions:
      now < record.since + cancelMs
        ? left.map((view) => ({
            kind: 'cancelEvacuation',
            node: record.node,
            namespace: view.namespace,
            machine: view.name,
          }))
        : [],
    until: record.since + cancelMs,
    note: `KubeVirt still evacuates ${names} (KubeVirt before 1.8 cannot be asked to stop)`,
  };
}

// Pods: what a drain must know of a pod.
import { disposableVolumesAnnotation, mirrorPodAnnotation } from '../model/names.ts';
import type { EtcdMember, PodView } from '../model/observed.ts';
import { fields, instant, isTrue, items, text, texts } from './raw.ts';

/** The view of one Pod. */
export function podView(raw: unknown): PodView {
  const metadata = fields(raw, 'metadata');
  const labels = texts(raw, 'metadata', 'labels');
  const annotations = texts(raw, 'metadata', 'annotations');
  const disposable = (annotations[disposableVolumesAnnotation] ?? '').split(',').map((name) => name.trim());
  return {
    namespace: text(metadata, 'namespace'),
    name: text(metadata, 'name'),
    uid: text(metadata, 'uid'),
    labels,
    phase: text(fields(raw, 'status'), 'phase'),
    ready: isTrue(raw, 'Ready'),
    owner: controller(raw),
    mirror: Object.hasOwn(annotations, mirrorPodAnnotation),
    localData: items(raw, 'spec', 'volumes').some(
      (volume) => isOnDisk(volume) && !disposable.includes(text(volume, 'name')),
    ),
    terminatingSince: instant(metadata, 'deletionTimestamp'),
    virtualMachine: virtualMachine(labels),
    claims: items(raw, 'spec', 'volumes')
      .map((volume) => text(fields(volume, 'persistentVolumeClaim'), 'claimName'))
      .filter((claim) => claim !== ''),
  };
}

/** A pod of etcd. */
export function etcdMember(raw: unknown): EtcdMember {
  return { node: text(fields(raw, 'spec'), 'nodeName'), ready: isTrue(raw, 'Ready') };
}

/** Addresses with port of the API servers in one EndpointSlice of the Service `kubernetes`; those that are not ready are left out. */
export function sliceAddresses(raw: unknown): string[] {
  const port = items(raw, 'ports').find((one) => text(one, 'name') === 'https') ?? items(raw, 'ports')[0];
  const number = port?.['port'];
  if (typeof number !== 'number') return [];
  return items(raw, 'endpoints')
    .filter((endpoint) => fields(endpoint, 'conditions')['ready'] !== false)
    .flatMap((endpoint): readonly unknown[] => {
      const { addresses } = endpoint;
      return Array.isArray(addresses) ? addresses : [];
    })
    .filter((address) => typeof address === 'string')
    .map((address) => (address.includes(':') ? `[${address}]:${number}` : `${address}:${number}`));
}

function controller(raw: unknown): PodView['owner'] {
  const owner = items(raw, 'metadata', 'ownerReferences').find((reference) => reference['controller'] === true);
  return owner === undefined ? undefined : { kind: text(owner, 'kind'), name: text(owner, 'name') };
}

/** An emptyDir in memory is lost at every restart of the pod anyway; one on disk may hold data that somebody counts on. */
function isOnDisk(volume: Readonly<Record<string, unknown>>): boolean {
  return 'emptyDir' in volume && fields(volume, 'emptyDir')['medium'] !== 'Memory';
}

/** KubeVirt marks the pod that runs a virtual machine with its name (`kubevirt.io/domain` in older releases). */
function virtualMachine(labels: Readonly<Record<string, string>>): string | undefined {
  if (labels['kubevirt.io'] !== 'virt-launcher') return undefined;
  return labels['vm.kubevirt.io/name'] ?? labels['kubevirt.io/domain'] ?? 'unnamed';
}

// Writes on Nodes: cordon, uncordon, marks, taints; each is one guarded write that may be repeated.
import { AdapterError } from '../model/failure.ts';
import { cordonAnnotation, fieldManager } from '../model/names.ts';
import type { ActionResult } from '../ports.ts';
import { call, read, refusal } from './kubernetes-calls.ts';
import type { KubeObject } from './kubernetes-calls.ts';
import type { KubeResponse, Transport } from './kubernetes-transport.ts';

const done: ActionResult = { kind: 'done' };
const gone: ActionResult = { kind: 'gone' };

/** How often a guarded write is tried again after somebody else wrote in between (kubelets write every few seconds). */
const guardedTries = 8;

/** A taint as the API has it; written back as it was read. */
interface Taint {
  readonly key?: string;
}

function nodePath(name: string): string {
  return `/api/v1/nodes/${encodeURIComponent(name)}`;
}

function isUnschedulable(node: KubeObject): boolean {
  return (node['spec'] as { unschedulable?: boolean } | undefined)?.unschedulable === true;
}

/**
 * Reads the node, asks for a patch, sends it, and begins again when the node changed in between. Never creates a Node and never touches a
 * namesake: a node that is absent or has another UID is `gone`.
 */
async function guarded(
  transport: Transport,
  name: string,
  uid: string,
  contentType: string,
  patchFor: (node: KubeObject) => unknown,
): Promise<ActionResult> {
  const path = `${nodePath(name)}?fieldManager=${fieldManager}`;
  let last: KubeResponse | undefined;
  for (let attempt = 1; attempt <= guardedTries; attempt++) {
    const node = await read(transport, nodePath(name));
    if (node === undefined || node.metadata.uid !== uid) return gone;
    const body = patchFor(node);
    if (body === undefined) return done;
    const response = await call(transport, { method: 'PATCH', path, body, contentType }, [404, 409, 422]);
    if (response.status < 300) return done;
    if (response.status === 404) return gone;
    last = response;
    // A failed `test` of a JSON patch is a 422 without a message; any other 422 will not get better by asking again.
    if (response.status === 422 && contentType !== jsonPatch) break;
  }
  if (last === undefined) return done;
  throw refusal({ method: 'PATCH', path }, last);
}

const mergePatch = 'application/merge-patch+json';
const jsonPatch = 'application/json-patch+json';

/** Guards a merge patch by UID and version: the API server refuses it with 409 when either has changed. */
function guard(node: KubeObject): Record<string, unknown> {
  return { uid: node.metadata.uid, resourceVersion: node.metadata.resourceVersion };
}

/**
 * Our mark and `unschedulable` in one write, so that no cordon of ours is ever without its mark. Throws AdapterError conflict,
 * `CordonedByOther`, when the node is cordoned and the mark is not there.
 */
export function cordon(transport: Transport, name: string, uid: string, mark: string): Promise<ActionResult> {
  return guarded(transport, name, uid, mergePatch, (node) => {
    const present = node.metadata.annotations?.[cordonAnnotation];
    if (isUnschedulable(node)) {
      if (present === undefined)
        throw new AdapterError(
          'conflict',
          'CordonedByOther',
          `node ${name} was cordoned by somebody else in the meantime`,
        );
      if (present === mark) return undefined;
    }
    return { metadata: { ...guard(node), annotations: { [cordonAnnotation]: mark } }, spec: { unschedulable: true } };
  });
}

/** Takes mark and `unschedulable` away in one write; a node without our mark is left as it is. */
export function uncordon(transport: Transport, name: string, uid: string): Promise<ActionResult> {
  return guarded(transport, name, uid, mergePatch, (node) => {
    if (node.metadata.annotations?.[cordonAnnotation] === undefined) return undefined;
    return { metadata: { ...guard(node), annotations: { [cordonAnnotation]: null } }, spec: { unschedulable: null } };
  });
}

/**
 * Merges labels and annotations; null removes. One request, without a look at the node before it: marks are the most frequent of all writes,
 * a merge of what is there already changes nothing, and the UID in the patch keeps it from a namesake (refused as a change of an immutable field, or as a conflict: then the node is looked at).
 */
export async function markNode(
  transport: Transport,
  name: string,
  uid: string,
  labels: Readonly<Record<string, string | null>>,
  annotations: Readonly<Record<string, string | null>>,
): Promise<ActionResult> {
  const body = { metadata: { uid, labels, annotations } };
  const path = `${nodePath(name)}?fieldManager=${fieldManager}`;
  const response = await call(transport, { method: 'PATCH', path, body, contentType: mergePatch }, [404, 409, 422]);
  if (response.status < 300) return done;
  if (response.status === 404) return gone;
  return guarded(transport, name, uid, mergePatch, () => body);
}

/**
 * Takes our taint away and leaves all others as they are. `spec.taints` is one atomic field to server-side apply, so it is a JSON patch that
 * tests UID and the whole list first: a taint that somebody adds at the same moment is never lost.
 */
export function removeTaint(transport: Transport, name: string, uid: string, key: string): Promise<ActionResult> {
  return guarded(transport, name, uid, jsonPatch, (node) => {
    const taints = (node['spec'] as { taints?: readonly Taint[] } | undefined)?.taints ?? [];
    const kept = taints.filter((taint) => taint.key !== key);
    if (kept.length === taints.length) return undefined;
    return [
      { op: 'test', path: '/metadata/uid', value: uid },
      { op: 'test', path: '/spec/taints', value: taints },
      kept.length === 0 ? { op: 'remove', path: '/spec/taints' } : { op: 'replace', path: '/spec/taints', value: kept },
    ];
  });
}

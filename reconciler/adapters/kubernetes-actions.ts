// Every action on a cluster as the request that does it, and what each answer means.
import { createHash } from 'node:crypto';
import type { Action, JobManifest } from '../model/action.ts';
import { AdapterError, assertNever } from '../model/failure.ts';
import { fieldManager, managedBy, managedByLabel, nodeUidLabel, runLabel, stepLabel } from '../model/names.ts';
import type { ActionResult } from '../ports.ts';
import { cancelEvacuation } from './kubernetes-drain.ts';
import { createHookJob } from './kubernetes-hooks.ts';
import { cordon, markNode, removeTaint, uncordon } from './kubernetes-nodes.ts';
import { call, read, refusal, statusOf } from './kubernetes-calls.ts';
import type { KubeRequest, Transport } from './kubernetes-transport.ts';

/** What an action needs beside itself. */
export interface ActionContext {
  readonly transport: Transport;
  /** Namespace of Jobs and script. */
  readonly namespace: string;
}

const done: ActionResult = { kind: 'done' };
const gone: ActionResult = { kind: 'gone' };

/** The key under which the script stands in its ConfigMap, and so its file name in the Job. */
export const scriptFile = 'os-patch.sh';

/** Does one action. Repeating it does no more than doing it once. Throws AdapterError only. */
export async function act(context: ActionContext, action: Action): Promise<ActionResult> {
  const { transport, namespace } = context;
  switch (action.kind) {
    case 'putScript':
      return putScript(transport, namespace, action.name, action.text);
    case 'createJob':
      return createJob(transport, action.manifest);
    case 'createHookJob':
      return createHookJob(transport, action);
    case 'deleteJob':
      return deleteJob(transport, namespace, action.name, action.uid);
    case 'cordon':
      return cordon(transport, action.node, action.uid, action.mark);
    case 'uncordon':
      return uncordon(transport, action.node, action.uid);
    case 'markNode':
      return markNode(transport, action.node, action.uid, action.labels, action.annotations);
    case 'removeTaint':
      return removeTaint(transport, action.node, action.uid, action.key);
    case 'evict':
      return evict(transport, action);
    case 'cancelEvacuation':
      return cancelEvacuation(transport, action);
    case 'deletePod':
      return deletePod(transport, action);
    case 'event':
      return putEvent(context, action);
    default:
      return assertNever(action);
  }
}

function enc(part: string): string {
  return encodeURIComponent(part);
}

/**
 * An immutable ConfigMap, named by its content. One that is there already is compared: whoever may create ConfigMaps could have put another
 * text under that name, and the Jobs run it as root.
 */
async function putScript(transport: Transport, namespace: string, name: string, text: string): Promise<ActionResult> {
  const collection = `/api/v1/namespaces/${enc(namespace)}/configmaps`;
  const present = await read(transport, `${collection}/${enc(name)}`);
  if (present === undefined) {
    const body = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace, labels: { [managedByLabel]: managedBy } },
      immutable: true,
      data: { [scriptFile]: text },
    };
    const request: KubeRequest = { method: 'POST', path: `${collection}?fieldManager=${fieldManager}`, body };
    const response = await call(transport, request, [409]);
    if (response.status !== 409) return done;
  }
  const found = present ?? (await read(transport, `${collection}/${enc(name)}`));
  const data = found?.['data'] as Record<string, string> | undefined;
  if (found !== undefined && found['immutable'] === true && data?.[scriptFile] === text) return done;
  throw new AdapterError(
    found === undefined ? 'conflict' : 'rejected',
    'ScriptDiffers',
    `ConfigMap ${namespace}/${name} is not the script that it is named after; delete it and find out who wrote it`,
  );
}

/** The Job's name is computed from what it is for, so a Job that is there already is the one wanted, unless its labels say otherwise. */
async function createJob(transport: Transport, manifest: JobManifest): Promise<ActionResult> {
  const { name, namespace } = manifest.metadata;
  const collection = `/apis/batch/v1/namespaces/${enc(namespace)}/jobs`;
  const request: KubeRequest = { method: 'POST', path: `${collection}?fieldManager=${fieldManager}`, body: manifest };
  const response = await call(transport, request, [409]);
  if (response.status !== 409) return done;
  const present = await read(transport, `${collection}/${enc(name)}`);
  if (present === undefined || present.metadata.deletionTimestamp !== undefined)
    throw new AdapterError(
      'conflict',
      'JobTerminating',
      `Job ${namespace}/${name} of an earlier try is still being deleted`,
    );
  const same = [nodeUidLabel, runLabel, stepLabel, managedByLabel].every(
    (label) => present.metadata.labels?.[label] === manifest.metadata.labels[label],
  );
  if (same) return done;
  throw new AdapterError('rejected', 'JobNameTaken', `Job ${namespace}/${name} is there and is not ours; delete it`);
}

/** Without a propagation policy the API server would leave the Job's pods running. */
async function deleteJob(transport: Transport, namespace: string, name: string, uid: string): Promise<ActionResult> {
  const path = `/apis/batch/v1/namespaces/${enc(namespace)}/jobs/${enc(name)}`;
  const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background', preconditions: { uid } };
  const response = await call(transport, { method: 'DELETE', path, body }, [404, 409]);
  return response.status >= 300 ? gone : done;
}

function podPath(action: { readonly namespace: string; readonly pod: string }): string {
  return `/api/v1/namespaces/${enc(action.namespace)}/pods/${enc(action.pod)}`;
}

/**
 * Asks for an eviction (policy/v1). A 429 with a JSON Status is the budget's (or an admission webhook's, as KubeVirt's) "not now"; in plain
 * text it is the API server protecting itself. A pod with two budgets gets a 500 that no waiting will cure. A pod that is terminating already
 * is answered like a fresh eviction.
 */
async function evict(transport: Transport, action: Extract<Action, { kind: 'evict' }>): Promise<ActionResult> {
  const body = {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { name: action.pod, namespace: action.namespace },
    deleteOptions: {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      preconditions: { uid: action.uid },
      ...(action.gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds: action.gracePeriodSeconds }),
      ...(action.dryRun ? { dryRun: ['All'] } : {}),
    },
  };
  const request: KubeRequest = {
    method: 'POST',
    path: `${podPath(action)}/eviction${action.dryRun ? '?dryRun=All' : ''}`,
    body,
  };
  const response = await transport.request(request);
  if (response.status < 300) return done;
  // 409 is the UID precondition: the pod of that name is another one, so ours is gone.
  if (response.status === 404 || response.status === 409) return gone;
  const status = statusOf(response.body);
  if (response.status === 429 && status !== undefined) {
    // KubeVirt answers so, also to a dry run, when it will move (or moves) the machine instead; a descheduler relies on the same words.
    if (status.message.includes('triggered evacuation of VMI'))
      return { kind: 'blocked', reason: 'Migration', message: status.message };
    const cause = status.causes.find(({ reason }) => reason === 'DisruptionBudget');
    return { kind: 'blocked', reason: 'DisruptionBudget', message: cause?.message || status.message };
  }
  if (response.status === 500 && status?.message.includes('more than one PodDisruptionBudget'))
    return { kind: 'blocked', reason: 'TwoBudgets', message: status.message };
  throw refusal(request, response);
}

async function deletePod(transport: Transport, action: Extract<Action, { kind: 'deletePod' }>): Promise<ActionResult> {
  const body = {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    preconditions: { uid: action.uid },
    ...(action.gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds: action.gracePeriodSeconds }),
  };
  const response = await call(transport, { method: 'DELETE', path: podPath(action), body }, [404, 409]);
  return response.status >= 300 ? gone : done;
}

/** Events about cluster-wide objects live in `default`, where `kubectl describe node` looks for them. */
export const eventNamespace = 'default';

async function putEvent(context: ActionContext, action: Extract<Action, { kind: 'event' }>): Promise<ActionResult> {
  const hash = createHash('sha256').update(`${action.uid}\n${action.key}`).digest('hex').slice(0, 16);
  const at = new Date(action.at).toISOString().replace(/\.\d+Z$/, 'Z');
  // kubectl shows Events of one second in the order of their names, so that the name begins with the time.
  const order = action.at.toString(16).padStart(12, '0');
  const body = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${action.node.slice(0, 200)}.${order}${hash}`, namespace: eventNamespace },
    involvedObject: { apiVersion: 'v1', kind: 'Node', name: action.node, uid: action.uid },
    type: action.type,
    reason: action.reason,
    // The API allows 1,024 characters.
    message: action.message.slice(0, 1000),
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
    source: { component: fieldManager },
    reportingComponent: fieldManager,
    reportingInstance: fieldManager,
  };
  await call(context.transport, { method: 'POST', path: `/api/v1/namespaces/${eventNamespace}/events`, body }, [409]);
  return done;
}

// Hooks on the API server: reads the CronJobs that policies name, and makes Jobs from their templates.
import type { Action } from '../model/action.ts';
import { AdapterError } from '../model/failure.ts';
import { fieldManager, hookNamespace, managedBy, managedByLabel } from '../model/names.ts';
import type { HookFacts, HookView, JobView } from '../model/observed.ts';
import type { ActionResult } from '../ports.ts';
import { call, list, read } from './kubernetes-calls.ts';
import type { JobIdentity, PodIdentity, Views } from './kubernetes-source.ts';
import type { Transport } from './kubernetes-transport.ts';

const cronJobs = `/apis/batch/v1/namespaces/${hookNamespace}/cronjobs`;
const jobs = `/apis/batch/v1/namespaces/${hookNamespace}/jobs`;

/** A finished Job of a hook is kept for at least this long, so that its end is seen. */
const keptSeconds = 3_600;

/** Reads the CronJobs of these names, and our Jobs beside them. A namespace that may not be read is an answer, not an error. */
export async function readHooks<Facts extends JobIdentity, Pod extends PodIdentity>(
  transport: Transport,
  views: Views<Facts, Pod>,
  names: readonly string[],
): Promise<HookFacts> {
  const found = new Map<string, HookView>();
  const own: JobView[] = [];
  try {
    for (const name of names) {
      const raw = await read(transport, `${cronJobs}/${encodeURIComponent(name)}`);
      if (raw !== undefined) found.set(name, views.hookView(raw));
    }
    await list(
      transport,
      jobs,
      { labelSelector: `${managedByLabel}=${managedBy}` },
      (raw) => own.push(views.jobView(views.jobFacts(raw), [])),
      () => (own.length = 0),
    );
  } catch (error) {
    if (!(error instanceof AdapterError) || error.kind !== 'denied') throw error;
    return { cronJobs: found, jobs: [], unreadable: `${error.message} (chart value hooks.enabled)` };
  }
  return { cronJobs: found, jobs: own, unreadable: undefined };
}

/** As much of a CronJob as a Job is made from. */
interface CronJob {
  readonly metadata: { readonly uid?: string };
  readonly spec?: {
    readonly suspend?: boolean;
    readonly jobTemplate?: {
      readonly metadata?: { readonly labels?: Texts; readonly annotations?: Texts };
      readonly spec?: JobSpec;
    };
  };
}
type Texts = Readonly<Record<string, string>>;
interface JobSpec {
  readonly ttlSecondsAfterFinished?: number;
  readonly template?: { readonly spec?: { readonly containers?: Container[]; readonly initContainers?: Container[] } };
}
interface Container {
  readonly env?: readonly { readonly name: string }[];
}

/**
 * Makes a Job as `kubectl create job --from=cronjob/NAME` does, but without making the CronJob its owner: its controller would then count our
 * Jobs among its own and delete those beyond its history limits, maybe before their end was seen.
 */
export async function createHookJob(
  transport: Transport,
  action: Extract<Action, { kind: 'createHookJob' }>,
): Promise<ActionResult> {
  const raw = await read(transport, `${cronJobs}/${encodeURIComponent(action.hook)}`);
  const cronJob = raw as CronJob | undefined;
  const template = cronJob?.spec?.jobTemplate;
  if (cronJob?.metadata.uid !== action.hookUid || cronJob.spec?.suspend !== true || template?.spec === undefined)
    throw new AdapterError('conflict', 'HookChanged', `CronJob ${hookNamespace}/${action.hook} has just been changed`);
  const { spec } = template;
  const pod = spec.template?.spec;
  const body = {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name: action.name,
      namespace: hookNamespace,
      labels: { ...template.metadata?.labels, ...action.labels },
      annotations: {
        ...template.metadata?.annotations,
        'cronjob.kubernetes.io/instantiate': 'manual',
        ...action.annotations,
      },
    },
    spec: {
      ...spec,
      activeDeadlineSeconds: action.deadlineSeconds,
      ttlSecondsAfterFinished: Math.max(spec.ttlSecondsAfterFinished ?? 86_400, keptSeconds),
      template: {
        ...spec.template,
        spec: {
          ...pod,
          containers: (pod?.containers ?? []).map((one) => withEnv(one, action.env)),
          ...(pod?.initContainers === undefined
            ? {}
            : { initContainers: pod.initContainers.map((one) => withEnv(one, action.env)) }),
        },
      },
    },
  };
  const response = await call(transport, { method: 'POST', path: `${jobs}?fieldManager=${fieldManager}`, body }, [409]);
  if (response.status !== 409) return { kind: 'done' };
  const present = await read(transport, `${jobs}/${encodeURIComponent(action.name)}`);
  const labels = Object.entries(action.labels);
  if (present !== undefined && labels.every(([key, value]) => present.metadata.labels?.[key] === value))
    return { kind: 'done' };
  throw new AdapterError(
    present === undefined ? 'conflict' : 'rejected',
    'JobNameTaken',
    `Job ${hookNamespace}/${action.name} is there and is not ours; delete it`,
  );
}

function withEnv(container: Container, env: Texts): Container {
  const kept = (container.env ?? []).filter(({ name }) => !Object.hasOwn(env, name));
  return { ...container, env: [...Object.entries(env).map(([name, value]) => ({ name, value })), ...kept] };
}

// The Job controller: pods for Jobs, retries, deadlines, and conditions in the order in which the real one sets them.
import { JOBS, PODS } from './kinds.ts';
import {
  conditionOf,
  controllerOf,
  type Job,
  type KubeObject,
  type Pod,
  podEnded,
  podReady,
  same,
  withCondition,
  without,
} from './object.ts';
import { createQueue, splitKey } from './queue.ts';
import { Refusal } from './refusal.ts';
import { removeObject } from './removal.ts';
import { emitEvent, instantOf, timeOf, type World } from './world.ts';
import { createObject } from './writing.ts';

/** The finalizer by which the controller keeps pods until it has counted them. */
const TRACKING = 'batch.kubernetes.io/job-tracking';
/** Pause before a failed pod is replaced, doubled each time. */
const BACKOFF_MS = 10_000;

const finished = (job: Job): boolean =>
  ['Complete', 'Failed'].some((type) => conditionOf(job.status.conditions, type)?.status === 'True');

/** Creates a pod for an owner as its controller; undefined (and an Event on the owner) when it is refused. */
export function createOwnedPod(world: World, owner: KubeObject, pod: Pod, component: string): Pod | undefined {
  const writer = { manager: 'kube-controller-manager', subresource: undefined, time: timeOf(world) };
  try {
    const written = createObject(world, PODS, pod, {
      writer,
      dryRun: false,
      fieldValidation: 'Ignore',
      subresource: undefined,
      applied: false,
    });
    emitEvent(world, owner, 'Normal', 'SuccessfulCreate', `Created pod: ${written.object.metadata.name}`, component);
    return written.object as Pod;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    emitEvent(world, owner, 'Warning', 'FailedCreate', `Error creating: ${error.message}`, component);
    return undefined;
  }
}

/** Starts the Job controller. */
export function startJobs(world: World): void {
  const { store, clock } = world;

  const podsOf = (job: Job): Pod[] =>
    store
      .ownedBy(job.metadata.uid)
      .flatMap((one) => (one.resource.storage === PODS.storage ? [one.object as Pod] : []));
  const release = (pod: Pod): void => {
    const finalizers = (pod.metadata.finalizers ?? []).filter((name) => name !== TRACKING);
    if (finalizers.length === (pod.metadata.finalizers ?? []).length) return;
    const metadata = without(pod.metadata, 'finalizers');
    store.update(PODS, { ...pod, metadata: finalizers.length === 0 ? metadata : { ...metadata, finalizers } });
  };
  const newPod = (job: Job): Pod => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...job.spec.template.metadata,
      name: '',
      uid: '',
      resourceVersion: '',
      creationTimestamp: '',
      generateName: `${job.metadata.name}-`,
      namespace: job.metadata.namespace ?? '',
      finalizers: [...(job.spec.template.metadata?.finalizers ?? []), TRACKING],
      ownerReferences: [
        {
          apiVersion: 'batch/v1',
          kind: 'Job',
          name: job.metadata.name,
          uid: job.metadata.uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: job.spec.template.spec,
    status: { phase: 'Pending' },
  });
  const save = (job: Job, status: Job['status']): Job =>
    same(status, job.status) ? job : store.update(JOBS, { ...job, status });

  const afterEnd = (job: Job): void => {
    for (const pod of podsOf(job)) if (podEnded(pod)) release(pod);
    const ttl = job.spec.ttlSecondsAfterFinished;
    if (ttl === undefined || job.metadata.deletionTimestamp !== undefined) return;
    const ended = (job.status.conditions ?? []).find(
      (one) => one.type === 'Complete' || one.type === 'Failed',
    )?.lastTransitionTime;
    const left = instantOf(ended ?? timeOf(world)) + ttl * 1000 - clock.now();
    if (left <= 0) removeObject(world, JOBS, job, { propagationPolicy: 'Background', dryRun: false });
    else queue.add(keyOf(job), left);
  };
  const keyOf = (object: KubeObject): string => `${object.metadata.namespace ?? ''}/${object.metadata.name}`;

  const sync = (key: string): void => {
    const [namespace, name] = splitKey(key);
    const job = store.get(JOBS, namespace, name);
    if (job === undefined) return;
    if (finished(job)) {
      afterEnd(job);
      return;
    }
    if (job.metadata.deletionTimestamp !== undefined) return;
    const now = timeOf(world);
    const pods = podsOf(job);
    // Pods that ended are counted once, by the finalizer that they still carry.
    const fresh = pods.filter((pod) => podEnded(pod) && (pod.metadata.finalizers ?? []).includes(TRACKING));
    const succeeded = (job.status.succeeded ?? 0) + fresh.filter((pod) => pod.status.phase === 'Succeeded').length;
    const failed = (job.status.failed ?? 0) + fresh.filter((pod) => pod.status.phase === 'Failed').length;
    const alive = pods.filter((pod) => !podEnded(pod) && pod.metadata.deletionTimestamp === undefined);
    const terminating = pods.filter((pod) => !podEnded(pod) && pod.metadata.deletionTimestamp !== undefined);
    let conditions = job.status.conditions ?? [];
    const failing = conditionOf(conditions, 'FailureTarget') !== undefined;
    const succeeding = conditionOf(conditions, 'SuccessCriteriaMet') !== undefined;
    const startTime = job.status.startTime ?? (job.spec.suspend === true ? undefined : now);
    const deadline = job.spec.activeDeadlineSeconds;
    let why: { reason: string; message: string } | undefined;
    if (!failing && !succeeding) {
      const restarts = alive.reduce((sum, pod) => sum + (pod.status.containerStatuses?.[0]?.restartCount ?? 0), 0);
      if (
        failed > (job.spec.backoffLimit ?? 6) ||
        (job.spec.template.spec.restartPolicy === 'OnFailure' && restarts > (job.spec.backoffLimit ?? 6))
      )
        why = { reason: 'BackoffLimitExceeded', message: 'Job has reached the specified backoff limit' };
      else if (deadline !== undefined && startTime !== undefined && job.spec.suspend !== true) {
        const left = instantOf(startTime) + deadline * 1000 - clock.now();
        if (left <= 0) why = { reason: 'DeadlineExceeded', message: 'Job was active longer than specified deadline' };
        else queue.add(key, left);
      }
      if (why !== undefined) {
        conditions = withCondition(conditions, { type: 'FailureTarget', status: 'True', ...why }, now);
        for (const pod of alive) removeObject(world, PODS, pod, { dryRun: false });
      } else if (succeeded >= (job.spec.completions ?? 1)) {
        conditions = withCondition(
          conditions,
          {
            type: 'SuccessCriteriaMet',
            status: 'True',
            reason: 'CompletionsReached',
            message: 'Reached expected number of succeeded pods',
          },
          now,
        );
        for (const pod of alive) removeObject(world, PODS, pod, { dryRun: false });
      }
    }
    const ending = conditions.find((one) => one.type === 'FailureTarget' || one.type === 'SuccessCriteriaMet');
    let active = alive.length;
    if (ending !== undefined) {
      const removed = why !== undefined || (!succeeding && ending.type === 'SuccessCriteriaMet');
      const waiting = podsOf(job).filter((pod) => !podEnded(pod)).length;
      active = removed ? 0 : active;
      if (waiting === 0 && (failing || succeeding || fresh.length > 0 || pods.length === 0)) {
        const type = ending.type === 'FailureTarget' ? 'Failed' : 'Complete';
        if (failing || succeeding) {
          conditions = withCondition(
            conditions,
            { type, status: 'True', reason: ending.reason ?? '', message: ending.message ?? '' },
            now,
          );
          emitEvent(
            world,
            job,
            type === 'Failed' ? 'Warning' : 'Normal',
            type === 'Failed' ? (ending.reason ?? 'Failed') : 'Completed',
            type === 'Failed' ? (ending.message ?? '') : 'Job completed',
            'job-controller',
          );
        } else queue.add(key);
      }
    } else if (job.spec.suspend === true) {
      conditions = withCondition(
        conditions,
        { type: 'Suspended', status: 'True', reason: 'JobSuspended', message: 'Job suspended' },
        now,
      );
      for (const pod of alive) removeObject(world, PODS, pod, { dryRun: false });
    } else {
      if (conditionOf(conditions, 'Suspended')?.status === 'True')
        conditions = withCondition(
          conditions,
          { type: 'Suspended', status: 'False', reason: 'JobResumed', message: 'Job resumed' },
          now,
        );
      const busy = alive.length + (job.spec.podReplacementPolicy === 'Failed' ? terminating.length : 0);
      const wanted = Math.min(job.spec.parallelism ?? 1, (job.spec.completions ?? 1) - succeeded) - busy;
      const lastFailure = Math.max(
        0,
        ...pods
          .filter((pod) => pod.status.phase === 'Failed')
          .map((pod) =>
            instantOf(
              pod.status.containerStatuses?.[0]?.state.terminated?.finishedAt ?? pod.metadata.creationTimestamp,
            ),
          ),
      );
      const pause = failed === 0 ? 0 : lastFailure + Math.min(BACKOFF_MS * 2 ** (failed - 1), 600_000) - clock.now();
      if (wanted > 0 && pause > 0) queue.add(key, pause);
      else
        for (let i = 0; i < wanted; i++) {
          if (createOwnedPod(world, job, newPod(job), 'job-controller') === undefined) {
            queue.add(key, BACKOFF_MS);
            break;
          }
          active++;
        }
    }
    const going = podsOf(job).filter((pod) => !podEnded(pod) && pod.metadata.deletionTimestamp !== undefined).length;
    const complete = conditionOf(conditions, 'Complete') !== undefined;
    const status: Job['status'] = {
      ...(startTime === undefined ? {} : { startTime }),
      ...(complete ? { completionTime: job.status.completionTime ?? now } : {}),
      ...(active > 0 ? { active } : {}),
      ...(succeeded > 0 ? { succeeded } : {}),
      ...(failed > 0 ? { failed } : {}),
      ready: alive.filter(podReady).length,
      terminating: going,
      uncountedTerminatedPods: {},
      ...(conditions.length === 0 ? {} : { conditions }),
    };
    const saved = save(job, status);
    for (const pod of fresh) release(pod);
    if (finished(saved)) afterEnd(saved);
    else if (ending !== undefined && going === 0) queue.add(key);
  };
  const queue = createQueue(clock, world.settings.controllerMs, sync);

  store.subscribe((change) => {
    if (change.resource.storage === JOBS.storage && change.type !== 'DELETED') queue.add(keyOf(change.object));
    if (change.resource.storage !== PODS.storage) return;
    const owner = controllerOf(change.object);
    if (owner?.kind === 'Job') queue.add(`${change.object.metadata.namespace ?? ''}/${owner.name}`);
    // A pod whose Job is gone, or that was orphaned, is nobody's to count.
    const tracked = change.type !== 'DELETED' && (change.object.metadata.finalizers ?? []).includes(TRACKING);
    const kept =
      owner?.kind === 'Job' &&
      store.get(JOBS, change.object.metadata.namespace, owner.name)?.metadata.uid === owner.uid;
    if (tracked && !kept)
      clock.after(world.settings.controllerMs, () => {
        releaseLatest(change.object);
      });
  });
  const releaseLatest = (pod: KubeObject): void => {
    const now = store.get(PODS, pod.metadata.namespace, pod.metadata.name);
    if (now?.metadata.uid !== pod.metadata.uid) return;
    release(now);
  };
}

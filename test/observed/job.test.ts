import { describe, expect, it } from 'vitest';
import { complaint, jobFacts, jobPod, jobView } from '../../reconciler/observed/job.ts';
import type { JobPod } from '../../reconciler/observed/job.ts';

const job = (...conditions: { type: string; status?: string; reason?: string; message?: string }[]): unknown => ({
  metadata: {
    name: 'oakum-patch-1',
    uid: 'j1',
    creationTimestamp: '2026-11-21T04:00:00Z',
    labels: { 'oakum.dev/node-uid': 'n1', 'oakum.dev/step': 'patch' },
    annotations: { 'oakum.dev/run-id': 'run-1', 'oakum.dev/node': 'worker-1' },
  },
  status: {
    conditions: conditions.map((condition) => ({
      status: 'True',
      lastTransitionTime: '2026-11-21T04:05:00Z',
      ...condition,
    })),
  },
});

const pod = (status: object, uid = 'p1', createdAt = '2026-11-21T04:00:01Z'): JobPod =>
  jobPod({
    metadata: {
      uid,
      creationTimestamp: createdAt,
      ownerReferences: [{ kind: 'Job', name: 'oakum-patch-1', uid: 'j1' }],
    },
    status,
  });

const ended = (exitCode: number, message: string, phase = 'Succeeded'): object => ({
  phase,
  containerStatuses: [{ name: 'patch', state: { terminated: { exitCode, message } } }],
});

const seen = (raw: unknown, pods: readonly JobPod[] = []) => jobView(jobFacts(raw), pods);

describe('jobView', () => {
  it('reads a finished Job with its result', () => {
    expect(seen(job({ type: 'SuccessCriteriaMet' }, { type: 'Complete' }), [pod(ended(0, '{"status":"ok"}'))])).toEqual(
      {
        name: 'oakum-patch-1',
        uid: 'j1',
        runId: 'run-1',
        nodeName: 'worker-1',
        nodeUid: 'n1',
        step: 'patch',
        createdAt: Date.UTC(2026, 10, 21, 4),
        state: 'succeeded',
        finishedAt: Date.UTC(2026, 10, 21, 4, 5),
        result: '{"status":"ok"}',
        exitCode: 0,
        hasPod: true,
        trouble: '',
      },
    );
  });

  it('keeps the result of a failed Job', () => {
    const failed = job({
      type: 'Failed',
      reason: 'BackoffLimitExceeded',
      message: 'Job has reached the specified backoff limit',
    });
    expect(seen(failed, [pod(ended(42, '{"code":"DISK_FULL_VAR"}', 'Failed'))])).toMatchObject({
      state: 'failed',
      result: '{"code":"DISK_FULL_VAR"}',
      exitCode: 42,
      trouble: 'BackoffLimitExceeded: Job has reached the specified backoff limit',
    });
  });

  it('does not take FailureTarget or SuccessCriteriaMet for the end', () => {
    const running = pod({ phase: 'Running', containerStatuses: [{ state: { running: {} } }] });
    expect(seen(job({ type: 'FailureTarget' }), [running])).toMatchObject({ state: 'running', finishedAt: undefined });
    expect(seen(job({ type: 'SuccessCriteriaMet' }), [running]).state).toBe('running');
    expect(seen(job({ type: 'Failed', status: 'False' }), [running]).state).toBe('running');
  });

  it('says why a pod does not start', () => {
    const unschedulable = {
      phase: 'Pending',
      conditions: [
        { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/3 nodes are available' },
      ],
    };
    expect(seen(job(), [pod(unschedulable)])).toMatchObject({
      state: 'waiting',
      hasPod: true,
      trouble: 'Unschedulable: 0/3 nodes are available',
    });
    const waiting = (reason: string): object => ({
      phase: 'Pending',
      containerStatuses: [{ state: { waiting: { reason, message: 'no such image' } } }],
    });
    expect(seen(job(), [pod(waiting('ImagePullBackOff'))]).trouble).toBe('ImagePullBackOff: no such image');
    expect(seen(job(), [pod(waiting('ContainerCreating'))]).trouble).toBe('');
    const refused = { phase: 'Failed', reason: 'OutOfcpu', message: 'node has no room' };
    expect(seen(job(), [pod(refused)]).trouble).toBe('OutOfcpu: node has no room');
  });

  it('takes the newest complaint while nothing runs, and none afterwards', () => {
    const said = [
      { at: 1, text: 'FailedCreate: old' },
      { at: 2, text: 'FailedCreate: forbidden' },
    ];
    expect(jobView(jobFacts(job()), [], said)).toMatchObject({
      state: 'waiting',
      hasPod: false,
      trouble: 'FailedCreate: forbidden',
    });
    expect(jobView(jobFacts(job()), [pod({ phase: 'Pending' })], said).trouble).toBe('FailedCreate: forbidden');
    expect(jobView(jobFacts(job()), [pod({ phase: 'Running' })], said).trouble).toBe('');
  });

  it('believes the pod with a result, whatever came after it', () => {
    const later = pod({ phase: 'Pending' }, 'p2', '2026-11-21T04:03:00Z');
    expect(seen(job(), [later, pod(ended(0, 'result'))]).result).toBe('result');
  });

  it('ignores pods of another Job of the same name', () => {
    const other = jobPod({
      metadata: { uid: 'p', ownerReferences: [{ kind: 'Job', uid: 'older' }] },
      status: ended(0, 'old'),
    });
    expect(seen(job(), [other])).toMatchObject({ hasPod: false, result: undefined });
  });

  it('has no result for an empty termination message', () => {
    expect(seen(job({ type: 'Complete' }), [pod(ended(0, ''))])).toMatchObject({ result: undefined, exitCode: 0 });
  });
});

describe('complaint', () => {
  it('reads an Event of either age', () => {
    expect(complaint({ reason: 'FailedCreate', message: 'no', lastTimestamp: '2026-11-21T04:00:00Z' })).toEqual({
      at: Date.UTC(2026, 10, 21, 4),
      text: 'FailedCreate: no',
    });
    expect(complaint({ reason: 'FailedCreate', eventTime: '2026-11-21T04:00:00.000000Z' }).at).toBe(
      Date.UTC(2026, 10, 21, 4),
    );
  });
});

// Reasons about the Jobs that work on a node, and the hooks of the policy. A part of the closed list.

/** See {@link reasons} in reason.ts. */
export const jobReasons = {
  Working: {
    about: 'Work on the node is going on.',
    wayOut: 'Wait.',
  },
  WaitingForJob: {
    about: 'A Job is at work on the node, or about to start.',
    wayOut: 'Wait; follow it with `kubectl -n os-patch get jobs`.',
  },
  RetryLater: {
    about: 'A step failed for a reason that may pass; it will be tried again.',
    wayOut: 'Wait, or remove the cause that the message names.',
  },
  JobNotStarting: {
    about: 'The Job does not get a pod, or the pod does not start.',
    wayOut: 'The message says what the cluster answers (image, PodSecurity, quota, scheduling).',
  },
  NoResult: {
    about: 'The Job ended several times without a result, so it is not known what was done.',
    wayOut: 'Look at the pod and at /var/lib/os-patch on the node, then commit a request for it.',
  },
  ScriptFault: {
    about: 'The patch script ended in a way it should not.',
    wayOut: 'This is a bug: please report it with the message.',
  },
  HookMissing: {
    about:
      'A hook of the policy is not there: namespace `oakum-hooks` has no suspended CronJob of this name, or it cannot be read.',
    wayOut:
      'The message says what was found. Put the CronJob into namespace `oakum-hooks` with `suspend: true` (the chart makes the namespace with `hooks.enabled`), or take the name out of the policy.',
  },
  WaitingForHook: {
    about: 'A hook of the policy is at work for the node.',
    wayOut: 'Wait; follow it with `kubectl -n oakum-hooks get jobs`.',
  },
  HookFailed: {
    about:
      'The Job of a hook failed or did not end in time. Before the node was disturbed: the node is as it was. After it was verified: it stays cordoned.',
    wayOut:
      'The message names the Job: read `kubectl -n oakum-hooks logs job/NAME`, remove the cause, then commit a request: `action: retry` while the run is open, else `patch` for the node.',
  },
} as const;

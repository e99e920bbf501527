// Reasons why a run, or the next node of one, may not begin now. A part of the closed list.

/** See {@link reasons} in reason.ts. */
export const gateReasons = {
  NotYet: {
    about: 'Its time has not come: the next slot of the schedule, or `notBefore` of the request, is later.',
    wayOut: 'Wait for the time in the message, or commit a request.',
  },
  Due: {
    about: 'The run is due and will start as soon as it may.',
    wayOut: 'Wait.',
  },
  Suspended: {
    about: 'The policy, the cluster or the fleet says `suspend: true`.',
    wayOut: 'Commit `suspend: false`.',
  },
  Frozen: {
    about:
      'A freeze is in force (a FREEZE file, a freeze of the policy, or the annotation `oakum.dev/freeze` on namespace `os-patch`). No node starts and no reboot is asked for.',
    wayOut: 'Wait for the end of the freeze, or take it away.',
  },
  OutsideWindow: {
    about: 'No maintenance window is open now.',
    wayOut: 'Wait for the next opening, which the message names, or change `windows`.',
  },
  WindowTooShort: {
    about: 'A window is open, but a node is not expected to finish before it closes.',
    wayOut:
      'Wait for the next opening. If no window is long enough for a node, make it longer and abort the run: a run keeps the windows that it began with.',
  },
  ClusterUnhealthy: {
    about:
      'As many nodes are not Ready as may be out, so no run begins; or, for a control-plane node, another one is not Ready or cordoned, or its etcd is not Ready.',
    wayOut: 'Bring the nodes that the message names back.',
  },
  OtherRunActive: {
    about: 'Another run is under way on this cluster, or on this node. Runs that patch never overlap.',
    wayOut: 'Wait for it, or abort it. A paused run is under way, too: it waits for a person.',
  },
  GateBlocked: {
    about: 'A gate of the policy says no, or cannot be read.',
    wayOut:
      'The message names the gate and what it answered. An address must be allowed by the deployment (`--gate-allow`, chart value `gates.allow`).',
  },
  Paused: {
    about:
      'The run is paused: as many nodes failed as `rollout.maxFailures` says. Nodes under way finish, no other one starts.',
    wayOut: 'Look at the failed nodes, then commit a request with `action: resume`, `retry` or `abort`.',
  },
} as const;

// Builders: a policy, a request, a cluster's wishes, with everything that a test does not care about filled in.
import type { ClusterDesired, Fleet, Request } from '../../reconciler/model/desired.ts';
import type { Policy } from '../../reconciler/model/policy.ts';
import { everything } from '../../reconciler/model/selector.ts';
import { type PlanSettings, standardTiming } from '../../reconciler/plan/input.ts';

type Loose<T> = {
  readonly [K in keyof T]?: T[K] extends readonly unknown[] ? T[K] : T[K] extends object ? Partial<T[K]> : T[K];
};

/** A policy that patches one node at a time, at once, with no rests: tests say what they need beyond it. */
export function aPolicy(given: Loose<Policy> = {}): Policy {
  const base: Policy = {
    name: 'test',
    suspend: false,
    schedule: undefined,
    onBoot: { enabled: false, timeoutMs: 20 * 60_000, onFailure: 'release' },
    windows: [],
    freezes: [],
    nodes: { selector: everything, exclude: undefined },
    updates: {
      scope: 'security',
      hold: [],
      holdRuntime: true,
      include: [],
      exclude: [],
      minAgeMs: 0,
      lock: false,
      releasever: undefined,
    },
    reboot: { when: 'ifRequired', returnTimeoutMs: 15 * 60_000, stableForMs: 60_000, maxPerDay: 2 },
    drain: {
      when: 'beforePatch',
      timeoutMs: 15 * 60_000,
      onTimeout: 'skip',
      gracePeriodMs: undefined,
      deleteEmptyDirData: false,
      force: false,
      skipPods: undefined,
    },
    rollout: {
      concurrency: { kind: 'count', value: 1 },
      topologyKey: undefined,
      canary: undefined,
      soakMs: 0,
      maxFailures: 1,
      controlPlane: 'last',
      allowSingleControlPlane: false,
    },
    scan: { everyMs: 0 },
    maxAge: undefined,
    gates: [],
    approval: { mode: 'merge', minApprovals: 1, approvers: [], leadTimeMs: 0 },
    hooks: { before: [], after: [] },
    strategy: 'InPlace',
    onFailure: 'quarantine',
  };
  return {
    ...base,
    ...given,
    onBoot: { ...base.onBoot, ...given.onBoot },
    scan: { ...base.scan, ...given.scan },
    nodes: { ...base.nodes, ...given.nodes },
    updates: { ...base.updates, ...given.updates },
    reboot: { ...base.reboot, ...given.reboot },
    drain: { ...base.drain, ...given.drain },
    rollout: { ...base.rollout, ...given.rollout },
    approval: { ...base.approval, ...given.approval },
    hooks: { ...base.hooks, ...given.hooks },
  };
}

/** A request to patch everything now. */
export function aRequest(name: string, given: Partial<Request> = {}): Request {
  return {
    name,
    file: `clusters/prod/requests/${name}.yaml`,
    oid: `oid-${name}`,
    action: 'patch',
    reason: 'a test asks',
    nodes: [],
    selector: undefined,
    notBefore: undefined,
    expiresAfterMs: 24 * 3_600_000,
    until: undefined,
    run: undefined,
    ...given,
  };
}

/** What one commit asks of the cluster `prod`. */
export function aCluster(given: Partial<ClusterDesired> = {}): ClusterDesired {
  return {
    name: 'prod',
    problems: [],
    settings: { labels: {}, platform: 'self-managed', suspend: false, connection: undefined, uid: undefined },
    policy: aPolicy(),
    requests: [],
    runs: [],
    frozen: undefined,
    inputs: [],
    ...given,
  };
}

export const aFleet: Fleet = {
  name: 'fleet',
  status: { retentionRuns: 50, intervalMs: 30_000 },
  publisher: undefined,
  suspend: false,
};

/** Settings of a deployment without ceilings. */
export function someSettings(given: Partial<PlanSettings> = {}): PlanSettings {
  return {
    jobNamespace: 'os-patch',
    image: 'registry.test/busybox@sha256:0000000000000000000000000000000000000000000000000000000000000000',
    script: '#!/bin/sh\n',
    ownNode: undefined,
    jobEnv: {},
    approvalFloor: 'none',
    ceilings: { nodesPerHour: undefined, scansAtOnce: 0 },
    timing: standardTiming,
    ...given,
  };
}

// The rules of the commit accepted last: what a later commit may tighten by itself, and may loosen only with their own consent.
import { digest } from './digest.ts';
import { patchedInPlace, type ClusterDesired, type Fleet } from './desired.ts';
import type { ApprovalRules, Gate, Policy } from './policy.ts';
import { rolloutRules, type RolloutRules } from './rollout-rules.ts';
import type { Freeze, Window } from './window.ts';

/** The part of one cluster's wishes that says what may happen, who must agree, and when it must not. Plain JSON. */
export interface AcceptedRules {
  readonly approval: ApprovalRules;
  readonly windows: readonly Window[];
  readonly freezes: readonly Freeze[];
  /** A file FREEZE holds the cluster. */
  readonly frozen: boolean;
  readonly suspended: boolean;
  readonly gates: readonly Gate[];
  readonly hold: readonly string[];
  readonly holdRuntime: boolean;
  readonly concurrency: Policy['rollout']['concurrency'];
  readonly topologyKey: string;
  readonly canary: { readonly nodes: number; readonly soakMs: number } | undefined;
  readonly maxFailures: number;
  readonly allowSingleControlPlane: boolean;
  readonly force: boolean;
  readonly forceOnTimeout: boolean;
  readonly deleteEmptyDirData: boolean;
  readonly maxRebootsPerDay: number;
  readonly uncordonHalfChanged: boolean;
  /** Hash of everything that a node gets when it joins, without another approval; empty while `onBoot` is off, or nodes are not patched in place. */
  readonly boot: string;
  /** The UID that the cluster is pinned to; absent: it is not pinned. */
  readonly uid?: string;
  /** Object ids of the files with the keys of those who may sign, by path; absent: there are none. */
  readonly signers?: Readonly<Record<string, string>>;
  /** What people stopped by a file of its own (FREEZE, requests that pause nodes), by path; absent: nothing, or written before this was kept. */
  readonly stops?: Readonly<Record<string, Stop>>;
  /** What rollouts demand before the cluster's turn, by name; absent: none takes it along. */
  readonly rollouts?: Readonly<Record<string, RolloutRules>>;
}

/** One file that stops something for as long as it is there. */
export interface Stop {
  /** What it stops, to be compared. */
  readonly what: string;
  /** It ends by itself at this time; absent: never. */
  readonly until?: number;
}

/** What the ledger keeps of the commit that was accepted: its rules, and the files that they came from. */
export interface AcceptedState {
  readonly commit: string;
  readonly rules: AcceptedRules;
  /** Object ids of the files, by path. */
  readonly inputs: Readonly<Record<string, string>>;
  /** The file FREEZE that held the cluster, if one did. */
  readonly freeze?: string;
}

/** The rules of a cluster with a valid policy; undefined without one. */
export function acceptedRules(desired: ClusterDesired, fleet: Pick<Fleet, 'suspend'>): AcceptedRules | undefined {
  const { policy, settings } = desired;
  if (policy === undefined) return undefined;
  const { rollout, drain, updates, reboot } = policy;
  const keys = desired.inputs.filter(({ path }) => path.startsWith('signers/'));
  const signers = Object.fromEntries(keys.map(({ path, oid }) => [path, oid]));
  const stops = stopsOf(desired);
  const rollouts = rolloutRules(desired);
  return {
    approval: policy.approval,
    windows: policy.windows,
    freezes: policy.freezes,
    frozen: desired.frozen !== undefined,
    suspended: policy.suspend || settings.suspend || fleet.suspend,
    gates: policy.gates,
    hold: updates.hold,
    holdRuntime: updates.holdRuntime,
    concurrency: rollout.concurrency,
    topologyKey: rollout.topologyKey ?? '',
    canary: rollout.canary,
    maxFailures: rollout.maxFailures,
    allowSingleControlPlane: rollout.allowSingleControlPlane,
    force: drain.force,
    forceOnTimeout: drain.onTimeout === 'force',
    deleteEmptyDirData: drain.deleteEmptyDirData,
    maxRebootsPerDay: reboot.maxPerDay,
    uncordonHalfChanged: policy.onFailure === 'uncordon',
    ...(settings.uid === undefined ? {} : { uid: settings.uid }),
    boot:
      policy.onBoot.enabled && patchedInPlace(settings.platform)
        ? digest([policy.onBoot, policy.nodes, updates, reboot, drain, policy.hooks, policy.strategy])
        : '',
    ...(keys.length === 0 ? {} : { signers }),
    ...(Object.keys(stops).length === 0 ? {} : { stops }),
    ...(rollouts ? { rollouts } : {}),
  };
}

function stopsOf({ name, frozen, frozenTwice = false, requests }: ClusterDesired): Record<string, Stop> {
  const stops: Record<string, Stop> = {};
  if (frozen === 'fleet') stops['FREEZE'] = { what: 'freeze' };
  if (frozen === 'cluster' || frozenTwice) stops[`clusters/${name}/FREEZE`] = { what: 'freeze' };
  for (const { action, file, nodes, selector, notBefore, until } of requests) {
    if (action !== 'pause') continue;
    const what = digest([[...nodes].sort(), selector?.text ?? '', notBefore ?? 0]);
    stops[file] = { what, ...(until === undefined ? {} : { until }) };
  }
  return stops;
}

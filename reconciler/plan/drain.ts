// Which pods must leave a node, what holds them, and what to ask the eviction API next.
import { evictionKey, type Action } from '../model/action.ts';
import type { BudgetView, EvictionAnswer, PodView, VirtualMachineView } from '../model/observed.ts';
import type { DrainRules } from '../model/policy.ts';
import type { Reason } from '../model/reason.ts';
import { matches } from '../model/selector.ts';
import { machineOf, tellMigration } from './drain-beside.ts';

/** What stands between a node and an empty node. */
export interface Obstacle {
  readonly reason: Reason;
  readonly pod: string;
  readonly message: string;
}

/**
 * Pods that a drain has to move: not finished, not of a DaemonSet, not static, not skipped by the policy. The rules are those of
 * `kubectl drain` (Kubernetes documentation, "Safely Drain a Node").
 */
export function podsToMove(pods: readonly PodView[], rules: DrainRules, jobNamespace: string): PodView[] {
  return pods
    .filter((pod) => pod.phase !== 'Succeeded' && pod.phase !== 'Failed')
    .filter((pod) => !pod.mirror && pod.owner?.kind !== 'DaemonSet')
    .filter((pod) => !(rules.skipPods && matches(rules.skipPods, pod.labels)))
    .filter((pod) => !(pod.namespace === jobNamespace && pod.owner?.kind === 'Job'))
    .sort((a, b) => (podName(a) < podName(b) ? -1 : 1));
}

/** Obstacles that waiting does not remove: the configuration of pods or budgets must change first. */
export function standingObstacles(
  pods: readonly PodView[],
  budgets: readonly BudgetView[],
  rules: DrainRules,
): Obstacle[] {
  const found: Obstacle[] = [];
  for (const pod of pods) {
    if (pod.terminatingSince !== undefined) continue;
    const name = podName(pod);
    if (pod.owner === undefined && !rules.force) {
      found.push({
        reason: 'UnmanagedPod',
        pod: name,
        message: `pod ${name} has no controller that would create it again (drain.force: true evicts it)`,
      });
    }
    // Of a virtual machine, KubeVirt alone decides: it is moved or shut down, its emptyDir holds nothing that is its own.
    if (pod.virtualMachine !== undefined) continue;
    if (pod.localData && !rules.deleteEmptyDirData) {
      found.push({
        reason: 'LocalData',
        pod: name,
        message: `pod ${name} keeps data in an emptyDir (drain.deleteEmptyDirData: true gives it up)`,
      });
    }
    const covering = budgets.filter((budget) => covers(budget, pod));
    if (covering.length > 1) {
      found.push({
        reason: 'TwoBudgets',
        pod: name,
        message: `pod ${name} has ${covering.length} PodDisruptionBudgets (${covering.map((budget) => budget.name).join(', ')}); the eviction API refuses that`,
      });
    }
    const [budget] = covering;
    if (budget && covering.length === 1 && neverAllows(budget)) {
      found.push({
        reason: 'DisruptionBlocked',
        pod: name,
        message: `PodDisruptionBudget ${budget.namespace}/${budget.name} can never allow pod ${name} to go: it needs ${budget.desiredHealthy} of ${budget.expectedPods} pods`,
      });
    }
  }
  return found;
}

/** A budget that needs all of its pods allows no eviction however long one waits. */
function neverAllows(budget: BudgetView): boolean {
  return budget.expectedPods > 0 && budget.desiredHealthy >= budget.expectedPods;
}

/** True when the budget selects the pod. An empty selector of `policy/v1` selects every pod of the namespace. */
export function covers(budget: BudgetView, pod: PodView): boolean {
  if (budget.namespace !== pod.namespace) return false;
  for (const [key, value] of Object.entries(budget.matchLabels)) if (pod.labels[key] !== value) return false;
  return budget.matchExpressions.every(({ key, operator, values }) => {
    const value = pod.labels[key];
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value);
      case 'NotIn':
        return value === undefined || !values.includes(value);
      case 'Exists':
        return value !== undefined;
      case 'DoesNotExist':
        return value === undefined;
      default:
        return true;
    }
  });
}

/** What to ask the eviction API for these pods now, and why the rest waits. */
export interface EvictionRound {
  readonly actions: readonly Action[];
  readonly obstacles: readonly Obstacle[];
  /** Every pod was asked for and the last answer was yes. */
  readonly allAccepted: boolean;
}

/**
 * One round of evictions. A pod is asked for again only `retryMs` after its last refusal. With `dryRun` nothing is evicted:
 * the API server checks budgets and admission and answers as it would.
 */
export function evictionRound(
  node: string,
  pods: readonly PodView[],
  answers: ReadonlyMap<string, EvictionAnswer>,
  options: {
    readonly now: number;
    readonly since: number;
    readonly retryMs: number;
    readonly dryRun: boolean;
    readonly gracePeriodMs: number | undefined;
    readonly machines?: readonly VirtualMachineView[] | undefined;
  },
): EvictionRound {
  const actions: Action[] = [];
  const obstacles: Obstacle[] = [];
  let allAccepted = true;
  for (const pod of pods) {
    if (pod.terminatingSince !== undefined) continue;
    const answer = answers.get(evictionKey(pod.uid, options.dryRun));
    const known = answer !== undefined && answer.at >= options.since ? answer : undefined;
    // KubeVirt never lets the pod itself be evicted: that it would move the machine is all that a dry run can tell.
    if (options.dryRun && (known?.kind === 'accepted' || known?.kind === 'migration')) continue;
    allAccepted = false;
    if (known && known.kind !== 'accepted') obstacles.push(obstacle(pod, known, options.machines));
    // KubeVirt tries again by itself for as long as the machine is marked: it is asked only to see that it still is.
    const restMs = known?.kind === 'migration' ? 6 * options.retryMs : options.retryMs;
    if (known && options.now - known.at < restMs) continue;
    actions.push({
      kind: 'evict',
      node,
      namespace: pod.namespace,
      pod: pod.name,
      uid: pod.uid,
      gracePeriodSeconds: options.gracePeriodMs === undefined ? undefined : Math.ceil(options.gracePeriodMs / 1000),
      dryRun: options.dryRun,
    });
  }
  return { actions, obstacles, allAccepted };
}

function obstacle(pod: PodView, answer: EvictionAnswer, machines: readonly VirtualMachineView[] | undefined): Obstacle {
  const name = podName(pod);
  if (answer.kind === 'migration')
    return {
      reason: 'WaitingForMigration',
      pod: name,
      message: tellMigration(machineOf(pod) ?? name, answer.message, machines),
    };
  return {
    reason: answer.kind === 'two-budgets' ? 'TwoBudgets' : 'DisruptionBlocked',
    pod: name,
    message: `pod ${name}: ${answer.message}`,
  };
}

/** A few obstacles as one sentence. */
export function tellObstacles(obstacles: readonly Obstacle[], most = 3): string {
  const told = obstacles.slice(0, most).map((obstacle) => obstacle.message);
  const rest = obstacles.length - told.length;
  return told.join('; ') + (rest > 0 ? `; and ${rest} more` : '');
}

/** Namespace and name, as kubectl prints them. */
export function podName(pod: PodView): string {
  return `${pod.namespace}/${pod.name}`;
}

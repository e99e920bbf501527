// Cordon and drain: ask first without effect, then cordon, then evict, with a limit and a reason for every wait.
import type { NodeRecord } from '../model/ledger.ts';
import type { PodView } from '../model/observed.ts';
import { iso } from '../model/instant.ts';
import { cordonMark } from '../model/names.ts';
import { evictionRound, podName, podsToMove, standingObstacles, tellObstacles, type Obstacle } from './drain.ts';
import { leftAttached, noteEvacuations, tellVolumes } from './drain-beside.ts';
import { isUnpatched } from './boot.ts';
import { foreignMaintenance } from './foreign.ts';
import { handingOver, handOverDone } from './own-host.ts';
import { installs } from '../model/ledger.ts';
import { enter, isBootRun, waiting } from './records.ts';
import { cordonIsOurs, enterJobPhase, release, type StepContext, type StepResult } from './step-context.ts';

/** How often a node whose drain ran into its limit is tried again in one run. */
const mostDrains = 3;

/**
 * Before the cordon: the arithmetic of the budgets and a dry-run eviction of every pod. Only a node that can be emptied is cordoned, so a
 * blocked drain costs nobody a node.
 */
export function cordoning(context: StepContext): StepResult {
  const { node, now, run, settings } = context;
  let { record } = context;
  const rules = run.spec.policy.drain;
  if (record.cordoned && node.unschedulable && !cordonIsOurs(node)) {
    // Somebody else was faster: our write was refused, and the cordon is theirs to take away.
    const theirs = { ...record, cordoned: false, foreignCordon: true };
    return {
      record: enter(theirs, 'Draining', now, 'was cordoned by somebody else; pods are being evicted'),
      actions: [],
    };
  }
  if (record.cordoned || cordonIsOurs(node)) {
    const ours = { ...record, cordoned: true };
    if (node.unschedulable && cordonIsOurs(node))
      return { record: enter(ours, 'Draining', now, 'pods are being evicted'), actions: [] };
    return { record: waiting(ours, 'Working', 'is being cordoned'), actions: [cordon(context)] };
  }
  if (context.pods === undefined)
    return { record: waiting(record, 'Working', 'pods of the node are being read'), actions: [], until: now };
  const pods = podsToMove(context.pods, rules, settings.jobNamespace);
  // From here on the machines are read, so that an evacuation that somebody else began is known as theirs.
  if (record.evacuated === undefined && pods.some((pod) => pod.virtualMachine !== undefined))
    record = { ...record, evacuated: [] };
  if (pods.length === 0 && isBootRun(run) && isUnpatched(node)) {
    // Nothing is there to be disturbed and the taint keeps it so: a cordon would add nothing.
    return { record: enter(record, 'RebootPending', now, 'has no pods yet and waits to be rebooted'), actions: [] };
  }
  const foreign = foreignMaintenance(node);
  if (foreign) {
    const limit = record.since + rules.timeoutMs;
    if (now >= limit) return drainTimeout({ ...context, record }, foreign.message);
    return { record: waiting(record, foreign.reason, foreign.message), actions: [], until: limit };
  }
  const standing = standingObstacles(pods, context.budgets, rules);
  const round = evictionRound(node.name, pods, context.evictions, {
    now,
    since: record.since,
    retryMs: settings.timing.evictRetryMs,
    dryRun: true,
    gracePeriodMs: rules.gracePeriodMs,
  });
  const obstacles = [...standing, ...round.obstacles];
  const late = now >= record.since + rules.timeoutMs;
  const forced = late && rules.onTimeout === 'force' && !record.controlPlane && onlyBudgets(obstacles, pods);
  if ((obstacles.length > 0 || !round.allAccepted) && !forced) {
    if (late)
      return drainTimeout(
        { ...context, record },
        obstacles.length > 0 ? tellObstacles(obstacles) : 'the API server gave no answer',
      );
    const [first] = obstacles;
    const told = first
      ? waiting(record, first.reason, tellObstacles(obstacles))
      : waiting(record, 'Working', context.refusal ?? 'asks whether its pods may go (dry run)');
    return {
      record: told,
      actions: standing.length > 0 ? [] : round.actions,
      until: now + settings.timing.evictRetryMs,
    };
  }
  const handing = handingOver({ ...context, record });
  if (handing) return handing;
  record = handOverDone(record);
  if (node.unschedulable) {
    return {
      record: {
        ...enter(record, 'Draining', now, 'was cordoned by somebody else before; pods are being evicted'),
        foreignCordon: true,
      },
      actions: [],
    };
  }
  return { record: { ...waiting(record, 'Working', 'is being cordoned'), cordoned: true }, actions: [cordon(context)] };
}

/**
 * Nothing but budgets (or an admission webhook) is in the way: that is what `onTimeout: force` overrides. Pods that nothing would create again, local data
 * and virtual machines have switches, and a way of moving, of their own.
 */
function onlyBudgets(obstacles: readonly Obstacle[], pods: readonly PodView[]): boolean {
  const machines = new Set(pods.filter((pod) => pod.virtualMachine !== undefined).map(podName));
  return (
    obstacles.length > 0 &&
    obstacles.every(
      ({ reason, pod }) => (reason === 'DisruptionBlocked' || reason === 'TwoBudgets') && !machines.has(pod),
    )
  );
}

function cordon(context: StepContext): StepResult['actions'][number] {
  const mark = cordonMark(context.run.id, context.record.since);
  return { kind: 'cordon', node: context.node.name, uid: context.node.uid, mark };
}

/** Evicts through the eviction API until no pod is left that has to move. A budget's "no" is a wait, not an error. */
export function draining(context: StepContext): StepResult {
  const { node, now, run, settings } = context;
  let { record } = context;
  const rules = run.spec.policy.drain;
  if (context.pods === undefined)
    return { record: waiting(record, 'Working', 'pods of the node are being read'), actions: [], until: now };
  const pods = podsToMove(context.pods, rules, settings.jobNamespace);
  if (pods.length === 0) return detached(context, context.pods);
  record = noteEvacuations(record, pods, context.machines);
  if (record.volumes !== true && pods.some((pod) => (pod.claims ?? []).length > 0))
    record = { ...record, volumes: true };
  const standing = standingObstacles(pods, context.budgets, rules).filter(
    (obstacle) => obstacle.reason !== 'DisruptionBlocked',
  );
  const standingPods = new Set(standing.map((obstacle) => obstacle.pod));
  const movable = pods.filter((pod) => !standingPods.has(podName(pod)));
  const round = evictionRound(node.name, movable, context.evictions, {
    now,
    since: record.since,
    retryMs: settings.timing.evictRetryMs,
    dryRun: false,
    gracePeriodMs: rules.gracePeriodMs,
    machines: context.machines,
  });
  const obstacles = [...standing, ...round.obstacles];
  const limit = record.since + rules.timeoutMs;
  if (now >= limit) {
    if (rules.onTimeout === 'force' && !record.controlPlane) {
      const grace = rules.gracePeriodMs === undefined ? undefined : Math.ceil(rules.gracePeriodMs / 1000);
      const told = waiting(
        record,
        'DrainTimeout',
        `drain.timeout has passed and drain.onTimeout is "force": ${pods.length} pods are being deleted`,
      );
      return {
        record: told,
        actions: pods
          .filter((pod) => pod.terminatingSince === undefined)
          .map((pod) => ({
            kind: 'deletePod',
            node: node.name,
            namespace: pod.namespace,
            pod: pod.name,
            uid: pod.uid,
            gracePeriodSeconds: grace,
          })),
      };
    }
    return drainTimeout(
      { ...context, record },
      obstacles.length > 0 ? tellObstacles(obstacles) : `${pods.length} pods are left: ${some(pods.map(podName))}`,
    );
  }
  const [first] = obstacles;
  const terminating = pods.filter((pod) => pod.terminatingSince !== undefined);
  const told = first
    ? waiting(record, first.reason, tellObstacles(obstacles))
    : terminating.length === pods.length
      ? waiting(record, 'PodsTerminating', `waits for pods to end: ${some(terminating.map(podName))}`)
      : waiting(record, 'Working', context.refusal ?? `pods are being evicted (${pods.length} left)`);
  return { record: told, actions: round.actions, until: Math.min(limit, now + settings.timing.drainPollMs) };
}

/** The pods are gone; the volumes that they used must be off the node, too, before it goes down: a driver that is away cannot let go of them. */
function detached(context: StepContext, pods: readonly PodView[]): StepResult {
  const { record, node, now, run, settings } = context;
  if (record.volumes !== true) return drained(context);
  if (context.volumes === undefined)
    return {
      record: waiting(record, 'VolumesAttached', 'its pods are gone; its volumes are being read'),
      actions: [],
      until: now,
    };
  const left = leftAttached(node.name, context.volumes, pods);
  if (left.length === 0) return drained(context);
  const { timeoutMs, onTimeout } = run.spec.policy.drain;
  const limit = record.since + timeoutMs;
  const told = tellVolumes(left);
  if (now < limit)
    return {
      record: waiting(record, 'VolumesAttached', told),
      actions: [],
      until: Math.min(limit, now + settings.timing.evictRetryMs),
    };
  return onTimeout === 'force' && !record.controlPlane ? drained(context) : drainTimeout(context, told);
}

function drained(context: StepContext): StepResult {
  const { record, now, run } = context;
  if (run.action === 'maintenance')
    return { record: enter(record, 'Held', now, 'is empty and held out', 'HeldOut'), actions: [] };
  const patched = record.patch !== undefined;
  const nothingToInstall = !installs(run) || record.download?.left === 0;
  if (patched || nothingToInstall)
    return { record: enter(record, 'RebootPending', now, 'is empty and waits to be rebooted'), actions: [] };
  return { record: enterJobPhase(record, 'Patching', now, 'updates are being installed'), actions: [] };
}

/** Empty and out. The run that holds it says when it comes back; a person who uncordons the node has said so too. */
export function held(context: StepContext): StepResult {
  const { record, node, now, run } = context;
  if (!node.unschedulable)
    return {
      record: release(record, now, 'Skipped', 'SkippedByPerson', 'somebody uncordoned the node'),
      actions: [],
    };
  const told = `is empty and held out until ${iso(run.validUntil)}${run.spec.why ? `: ${run.spec.why}` : ''}`;
  return { record: waiting(record, 'HeldOut', told), actions: [], until: run.validUntil };
}

/** The limit of a drain: what was cordoned is uncordoned, and the policy says what the node becomes. */
function drainTimeout(context: StepContext, why: string): StepResult {
  const { now, run } = context;
  const rules = run.spec.policy.drain;
  const record: NodeRecord = { ...context.record, drainTries: context.record.drainTries + 1 };
  const patched = record.patch !== undefined && record.patch.applied > 0;
  if (patched) {
    // Drain before reboot: packages are installed, the reboot is owed. Nothing is wrong with the node, but it is not done.
    return {
      record: release(
        record,
        now,
        'Failed',
        'DrainTimeout',
        `updates are installed, but the drain before the reboot did not end: ${why}`,
      ),
      actions: [],
    };
  }
  if (rules.onTimeout === 'skip' && record.drainTries < mostDrains) {
    const notBefore = now + rules.timeoutMs * record.drainTries;
    const next = release(record, now, 'Pending', 'DrainTimeout', `try ${record.drainTries} of ${mostDrains}: ${why}`);
    return { record: { ...next, notBefore }, actions: [] };
  }
  const phase = rules.onTimeout === 'skip' ? 'Skipped' : 'Failed';
  return { record: release(record, now, phase, 'DrainTimeout', why), actions: [] };
}

function some(names: readonly string[], most = 3): string {
  const rest = names.length - most;
  return names.slice(0, most).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

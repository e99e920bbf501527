// What may stop a run: one ordered list of questions, the first "no" is shown.
import type { RunRecord } from '../model/ledger.ts';
import { freezeAnnotation } from '../model/names.ts';
import { spellDuration } from '../model/duration.ts';
import { patchedInPlace } from '../model/desired.ts';
import type { Policy } from '../model/policy.ts';
import type { Hold } from '../model/reason.ts';
import { formatInZone } from '../model/wall-clock.ts';
import { freezeAt, nextAllowed, nextOpening, windowAt } from '../model/window.ts';
import { seatLimit, unhealthy } from './budget.ts';
import { hookHold } from './hooks.ts';
import type { PlanInput } from './input.ts';
import { bootingNodes, isBeside, isMaintenance } from './records.ts';
import { closedGate } from './outside-gates.ts';
import { selectedNodes } from './select.ts';

/** What holds the whole cluster: with any of these nothing new is registered or started, whatever is due. */
export function clusterHolds(input: PlanInput): Hold[] {
  const holds: Hold[] = [];
  const { desired } = input;
  const say = (reason: Hold['reason'], message: string, until?: number): void =>
    void holds.push({ reason, message, until });
  if (input.sourceHold) holds.push(input.sourceHold);
  if (desired && desired.problems.length > 0) {
    const [first] = desired.problems;
    const more = desired.problems.length - 1;
    say(
      'ConfigInvalid',
      `${first ? `${first.file}:${first.line}:${first.column}: ${first.message}` : ''}${more > 0 ? ` (and ${more} more)` : ''}`,
    );
  }
  if (input.commit !== undefined && desired?.policy === undefined && holds.length === 0) {
    say(
      'NoPolicy',
      desired ? 'there is no policy.yaml for this cluster' : 'the config repository has no folder for this cluster',
    );
  }
  const platform = desired?.settings.platform;
  if (platform !== undefined && !patchedInPlace(platform)) {
    say('UnsupportedPlatform', `cluster.yaml says platform "${platform}"; nodes there are not patched in place`);
  }
  if (desired?.policy) {
    const fields = unsupported(desired.policy);
    if (fields.length > 0) say('UnsupportedFeature', `not carried out by this version: ${fields.join(', ')}`);
    const { mode } = desired.policy.approval;
    if (mode === 'none' && input.settings.approvalFloor === 'merge') {
      say('AwaitingApproval', 'the policy says approval.mode "none" and the deployment demands at least "merge"');
    }
  }
  return holds;
}

/** Fields of the policy that would change what happens and that this version does not carry out. */
export function unsupported(policy: Policy): string[] {
  const fields: string[] = [];
  if (policy.strategy === 'Replace') fields.push('strategy: Replace');
  return fields;
}

/** A freeze in force: no node starts and no reboot is asked for. The newest word counts, whatever the run's spec says. */
export function frozen(input: PlanInput): Hold | undefined {
  const { desired, observed, now } = input;
  if (observed.freeze !== undefined) {
    return {
      reason: 'Frozen',
      message: `annotation ${freezeAnnotation} on namespace ${input.settings.jobNamespace}${observed.freeze ? `: ${observed.freeze}` : ''}`,
      until: undefined,
    };
  }
  if (desired?.frozen) {
    return {
      reason: 'Frozen',
      message:
        desired.frozen === 'fleet'
          ? 'the file FREEZE is in the root of the config repository'
          : `the file clusters/${desired.name}/FREEZE is in the config repository`,
      until: undefined,
    };
  }
  const freeze = desired?.policy ? freezeAt(desired.policy.freezes, now) : undefined;
  return (
    freeze && {
      reason: 'Frozen',
      message: `freeze "${freeze.reason}" of the policy`,
      until: Number.isFinite(freeze.until) ? freeze.until : undefined,
    }
  );
}

/** What may stop a run from starting a node, in the order in which it is asked. */
const gates: readonly ((input: PlanInput, run: RunRecord) => Hold | undefined)[] = [
  // A person has said: nothing.
  suspended,
  // A freeze beats a window, and a window beats a request.
  (input) => frozen(input),
  (input, run) => outsideWindow(input, run),
  // Only a healthy cluster begins a run; one that is under way counts its unhealthy nodes in the budget.
  (input, run) => (run.startedAt === undefined ? clusterUnhealthy(input, run) : undefined),
  // A ceiling of the deployment: however often a schedule or people ask.
  (input, run) => (run.startedAt === undefined ? tooSoon(input, run) : undefined),
  // A hook that is not there would leave a node half-way.
  hookHold,
  // Others are asked last: only when everything else says yes.
  closedGate,
];

/** The first "no", or undefined when a node may start. */
export function gateHold(input: PlanInput, run: RunRecord): Hold | undefined {
  for (const gate of gates) {
    const hold = gate(input, run);
    if (hold) return hold;
  }
  return undefined;
}

/** Stops that hold whatever becomes due. */
export function standingHolds(input: PlanInput): Hold[] {
  return [suspended(input), frozen(input)].filter((hold) => hold !== undefined);
}

/** A person has said: nothing. */
export function suspended(input: PlanInput): Hold | undefined {
  const by = input.fleet.suspend
    ? 'oakum.yaml'
    : input.desired?.settings.suspend
      ? 'cluster.yaml'
      : input.desired?.policy?.suspend
        ? 'policy.yaml'
        : undefined;
  return by === undefined ? undefined : { reason: 'Suspended', message: `${by} says suspend: true`, until: undefined };
}

/**
 * Windows of the run's spec and of the policy as it is now: a change in the middle of a run can only tighten it. A node starts only if it
 * can be expected to finish inside.
 */
function outsideWindow(input: PlanInput, run: RunRecord): Hold | undefined {
  const { now } = input;
  for (const policy of [run.spec.policy, input.desired?.policy]) {
    if (!policy || policy.windows.length === 0) continue;
    const zone = policy.windows[0]?.timeZone ?? 'UTC';
    const open = windowAt(policy.windows, now);
    // Windows that follow each other without a gap never close.
    if (open && !Number.isFinite(open.closes)) continue;
    const from = open ? open.closes : now;
    const next = nextAllowed(policy.windows, policy.freezes, from) ?? nextOpening(policy.windows, from);
    const opens = next === undefined ? 'no opening is in sight' : `the next one opens ${formatInZone(next, zone)}`;
    if (!open) return { reason: 'OutsideWindow', message: opens, until: next };
    const expected = expectedDuration(input);
    if (expected !== undefined && now + expected > open.closes) {
      return {
        reason: 'WindowTooShort',
        message:
          expected > open.closes - open.opened
            ? `the window is open for ${spellDuration(open.closes - open.opened)} and a node takes about ${spellDuration(expected)}; ${opens}`
            : `the window closes ${formatInZone(open.closes, zone)} and a node takes about ${spellDuration(expected)}; ${opens}`,
        until: next,
      };
    }
  }
  return undefined;
}

/** Another run has touched nodes too lately for the deployment. */
function tooSoon({ ledger, now, settings }: PlanInput, run: RunRecord): Hold | undefined {
  const { runIntervalMs } = settings.ceilings;
  if (runIntervalMs === undefined) return undefined;
  const touched = Object.values(ledger?.runs ?? {}).filter(
    (one) =>
      one.id !== run.id && !isBeside(one) && Object.values(one.nodes).some((record) => record.startedAt !== undefined),
  );
  const last = touched.sort((a, b) => (b.startedAt ?? 0) - (a.startedAt ?? 0))[0];
  const until = (last?.startedAt ?? 0) + runIntervalMs;
  if (last === undefined || now >= until) return undefined;
  return {
    reason: 'NoRoomInBudget',
    message: `run ${last.id} began less than ${spellDuration(runIntervalMs)} ago, and the deployment allows no other one so soon`,
    until,
  };
}

/** Ninetieth percentile of past durations of this cluster's nodes; undefined while nothing is known. */
export function expectedDuration(input: PlanInput): number | undefined {
  const known = Object.values(input.ledger?.history ?? {}).flatMap((history) => history.durations);
  if (known.length === 0) return undefined;
  known.sort((a, b) => a - b);
  return known[Math.min(known.length - 1, Math.floor(known.length * 0.9))];
}

function clusterUnhealthy(input: PlanInput, run: RunRecord): Hold | undefined {
  // A broken node is what maintenance is for; its own budget counts the others.
  if (isMaintenance(run)) return undefined;
  const booting = bootingNodes(input.ledger?.runs ?? {});
  const selected = selectedNodes(run, input.observed.nodes).filter((node) => !booting.has(node.uid));
  const down = selected.filter((node) => unhealthy(node)).map((node) => node.name);
  const limit = seatLimit(run.spec.policy.rollout.concurrency, selected.length);
  if (down.length < limit || down.length === 0) return undefined;
  return {
    reason: 'ClusterUnhealthy',
    message: `${down.length} of ${selected.length} nodes are not Ready (${down.slice(0, 5).join(', ')}) and the budget is ${limit}`,
    until: undefined,
  };
}

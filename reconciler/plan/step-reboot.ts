// The reboot: asked for once, proven by a new boot id, and limited in number and time.
import type { Action } from '../model/action.ts';
import type { NodeHistory, NodeRecord } from '../model/ledger.ts';
import { jobName } from '../model/digest.ts';
import { meaningOf } from '../model/patch-result.ts';
import { spellDuration } from '../model/duration.ts';
import { atEnd, enter, waiting } from './records.ts';
import { awaitJob, enterJobPhase, mostTries, retry, tell, type StepContext, type StepResult } from './step-context.ts';

const dayMs = 86_400_000;

/** How often a reboot was asked for in the last 24 hours. One that did not happen counts too: it may only be late. */
function rebootsOfDay(history: NodeHistory | undefined, now: number): number {
  return (history?.reboots ?? []).filter((at) => at > now - dayMs).length;
}

/** After the patch: reboot if it is required and allowed, else verify at once. */
export function afterPatch(context: StepContext, required: boolean, why: readonly string[]): StepResult {
  const { record, now, run } = context;
  const { reboot, drain } = run.spec.policy;
  const wanted = reboot.when === 'always' || (reboot.when === 'ifRequired' && required);
  if (!wanted) return { record: enterJobPhase(record, 'Verifying', now, 'checks what was installed'), actions: [] };
  const because = `a reboot is required (${why.join(', ') || 'policy'})`;
  if (drain.when === 'beforeReboot') return { record: enter(record, 'Cordoning', now, because), actions: [] };
  return { record: enter(record, 'RebootPending', now, because), actions: [] };
}

/** The last moment at which nothing irrevocable has happened: a freeze stops here, and so does the limit of reboots a day. */
export function rebootPending(context: StepContext): StepResult {
  const { record, node, now, run, history } = context;
  // The boot that the reboot was asked for in, else that of the patch, else (nothing was installed) that of the look at the node.
  const owedBy = record.bootIdBefore || (record.patch ?? record.download)?.bootId || '';
  if (owedBy !== '' && node.bootId !== '' && node.bootId !== owedBy) {
    // Somebody rebooted it since then: the reboot that was owed has happened.
    const done: NodeRecord = {
      ...record,
      bootIdBefore: owedBy,
      heartbeatBefore: '',
      rebootAt: now,
      backSince: undefined,
    };
    return {
      record: enter(
        done,
        'Rejoining',
        now,
        record.patch ? 'was rebooted by somebody else after the patch' : 'was rebooted since it was looked at',
        'Stabilising',
      ),
      actions: [],
    };
  }
  if (context.frozen)
    return { record: waiting(record, 'Frozen', context.frozen.message), actions: [], until: context.frozen.until };
  if (!node.ready) {
    const limit = record.since + run.spec.policy.reboot.returnTimeoutMs;
    if (now >= limit)
      return {
        record: atEnd(
          record,
          'Quarantined',
          now,
          'NotReady',
          `the node is not Ready (${node.readyReason}), so it is not rebooted`,
        ),
        actions: [],
        stopRun: true,
      };
    return {
      record: waiting(record, 'NotReady', `the node is not Ready (${node.readyReason}); the reboot waits`),
      actions: [],
      until: limit,
    };
  }
  const recent = rebootsOfDay(history, now);
  const { maxPerDay } = run.spec.policy.reboot;
  if (recent >= maxPerDay) {
    return {
      record: atEnd(
        record,
        'Quarantined',
        now,
        'RebootLoop',
        `was rebooted ${recent} times in 24 hours (reboot.maxPerDay is ${maxPerDay}) and still needs a reboot`,
      ),
      actions: [],
    };
  }
  const ready: NodeRecord = {
    ...record,
    bootIdBefore: node.bootId,
    heartbeatBefore: node.heartbeat,
    kernelBefore: node.kernel,
    rebootAt: now,
    backSince: undefined,
  };
  return {
    record: enter(
      ready,
      'Rebooting',
      now,
      `is being rebooted (boot id ${node.bootId.slice(0, 8)})`,
      'WaitingForReboot',
    ),
    actions: [],
    rebooted: now,
  };
}

/**
 * Waits for a new boot id. What happens to the Job is no evidence: a reboot kills its pod in many ways, and a fast reboot never shows
 * NotReady. Only a boot id that differs proves it.
 */
export function rebooting(context: StepContext): StepResult {
  const { record, node, now, run, settings } = context;
  const asked = record.rebootAt ?? record.since;
  if (node.bootId !== record.bootIdBefore)
    return {
      record: enter(record, 'Rejoining', now, `came up with boot id ${node.bootId.slice(0, 8)}`, 'Stabilising'),
      actions: [],
    };
  const { returnTimeoutMs } = run.spec.policy.reboot;
  const lost = asked + settings.timing.rebootDelayMs + returnTimeoutMs;
  if (!node.ready && now >= lost) {
    return {
      record: atEnd(
        record,
        'Quarantined',
        now,
        'NotRejoined',
        `did not come back within ${spellDuration(returnTimeoutMs)} after its reboot`,
      ),
      actions: [],
      stopRun: true,
    };
  }
  const late = asked + settings.timing.rebootDelayMs + settings.timing.rebootHappensMs;
  const noted = context.jobs.has(jobName('reboot', record.uid, run.id, record.attempt));
  // No Job asks for it, or one did in vain: it is asked for (again) when the freeze is over.
  if (context.frozen && node.ready && (!noted || now >= late)) {
    const back = enter(record, 'RebootPending', now, context.frozen.message, 'Frozen');
    return { record: { ...back, attempt: record.attempt + 1 }, actions: withdrawn(context) };
  }
  const outcome = awaitJob(context, 'reboot');
  if (outcome.kind === 'result') {
    const { severity, reason } = meaningOf(outcome.result.code);
    if (severity !== 'ok') {
      if (
        (severity === 'transient' || severity === 'working' || outcome.result.code === 'REBOOT_BLOCKED') &&
        record.tries < mostTries
      )
        return retry(context, tell(outcome.result), reason);
      return { record: atEnd(record, 'Quarantined', now, reason, tell(outcome.result)), actions: [] };
    }
  }
  if (outcome.kind === 'lost' && outcome.reason === 'JobNotStarting' && node.ready) {
    return { record: atEnd(record, 'Quarantined', now, 'JobNotStarting', outcome.message), actions: [] };
  }
  if (node.ready && now >= late) {
    if (record.tries < 2 && rebootsOfDay(context.history, now) < run.spec.policy.reboot.maxPerDay) {
      const again = retry(
        context,
        `boot id is still ${record.bootIdBefore.slice(0, 8)}; the reboot is asked for once more`,
        'RebootDidNotHappen',
      );
      const next = { ...again.record, rebootAt: now, notBefore: undefined };
      return { ...again, record: next, actions: withdrawn(context), rebooted: now };
    }
    return {
      record: atEnd(
        record,
        'Quarantined',
        now,
        'RebootDidNotHappen',
        `boot id did not change in ${spellDuration(now - record.since)}`,
      ),
      actions: withdrawn(context),
    };
  }
  const told = waiting(
    record,
    'WaitingForReboot',
    node.ready ? 'was told to reboot' : `is down for its reboot (${node.readyReason})`,
  );
  const until = node.ready ? late : lost;
  if (outcome.kind === 'wait' && outcome.result.actions.length > 0)
    return { record: told, actions: outcome.result.actions, until };
  return { record: told, actions: [], until };
}

/** Back: Ready, a kubelet report from after the boot, no start-up taint, and all that for `stableFor` without a break. */
export function rejoining(context: StepContext): StepResult {
  const { record, node, now, run } = context;
  const { returnTimeoutMs, stableForMs } = run.spec.policy.reboot;
  const startingUp = node.taints.find(
    (taint) => taint.key === 'node.kubernetes.io/not-ready' || taint.key === 'node.kubernetes.io/unreachable',
  );
  const reported = node.heartbeat !== record.heartbeatBefore;
  if (!node.ready || startingUp || !reported) {
    const limit = Math.max(record.rebootAt ?? record.since, record.backSince ?? 0) + returnTimeoutMs;
    const why = !node.ready
      ? `not Ready (${node.readyReason})`
      : startingUp
        ? `has the taint ${startingUp.key}`
        : 'the kubelet has not reported since the boot';
    if (now >= limit) {
      return {
        record: atEnd(
          record,
          'Quarantined',
          now,
          'NotRejoined',
          `booted, but did not rejoin within ${spellDuration(returnTimeoutMs)}: ${why}`,
        ),
        actions: [],
        stopRun: true,
      };
    }
    return {
      record: { ...waiting(record, 'WaitingForReboot', `booted; ${why}`), backSince: undefined },
      actions: [],
      until: limit,
    };
  }
  const backSince = record.backSince ?? now;
  const stable = backSince + stableForMs;
  if (now < stable) {
    return {
      record: {
        ...waiting(record, 'Stabilising', `is back and must stay Ready for ${spellDuration(stableForMs)}`),
        backSince,
      },
      actions: [],
      until: stable,
    };
  }
  return {
    record: enterJobPhase({ ...record, backSince }, 'Verifying', now, 'checks what was installed'),
    actions: [],
  };
}

/** A reboot Job that hangs would reboot the node when nobody waits for it any more: it goes before another one comes, and at the end. */
function withdrawn({ jobs, node }: StepContext): Action[] {
  return [...jobs.values()]
    .filter(
      (job) =>
        job.nodeUid === node.uid && job.step === 'reboot' && (job.state === 'waiting' || job.state === 'running'),
    )
    .map((job) => ({ kind: 'deleteJob', name: job.name, uid: job.uid }));
}

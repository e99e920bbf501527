// The way of one node through a run: one small function for each phase, in the order of the way.
import type { NodeRecord, RunRecord } from '../model/ledger.ts';
import { assertNever } from '../model/failure.ts';
import type { NodePhase } from '../model/node-phase.ts';
import { meaningOf, type PatchResult } from '../model/patch-result.ts';
import type { Reason } from '../model/reason.ts';
import { evacuationsLeft } from './drain-beside.ts';
import { callHooks, nextHook } from './hooks.ts';
import { packagesBeyond } from './ceiling.ts';
import { atEnd, enter, waiting, installs } from './records.ts';
import { cordoning, draining, held } from './step-drain.ts';
import {
  attachAgain,
  awaitJob,
  cordonIsOurs,
  enterJobPhase,
  mostAttachments,
  mostTries,
  release,
  retry,
  tell,
  type StepContext,
  type StepResult,
} from './step-context.ts';
import { afterLook, brokenLock, keptText, looksFirst, tooYoung } from './step-choose.ts';
import { afterPatch, rebootPending, rebooting, rejoining } from './step-reboot.ts';

type StepFunction = (context: StepContext) => StepResult;

/** Phase → what to do in it. Ends and Pending have no step. */
const steps: Readonly<
  Record<Exclude<NodePhase, 'Pending' | 'Patched' | 'Skipped' | 'Failed' | 'Quarantined'>, StepFunction>
> = {
  Preflight: preflight,
  Downloading: downloading,
  BeforeHooks: beforeHooks,
  Cordoning: cordoning,
  Draining: draining,
  Held: held,
  Patching: patching,
  RebootPending: rebootPending,
  Rebooting: rebooting,
  Rejoining: rejoining,
  Verifying: verifying,
  AfterHooks: afterHooks,
  Uncordoning: uncordoning,
};

/** Moves a node as far as it can go without waiting for the world: at most one visit of each phase in a pass. */
export function advance(start: StepContext): StepResult {
  let context = start;
  let stopRun = false;
  let rebooted: number | undefined;
  const tell = (result: StepResult): StepResult => ({
    ...result,
    stopRun,
    ...(rebooted === undefined ? {} : { rebooted }),
  });
  for (let visits = 0; visits < 12; visits++) {
    const { phase } = context.record;
    if (
      phase === 'Pending' ||
      phase === 'Patched' ||
      phase === 'Skipped' ||
      phase === 'Failed' ||
      phase === 'Quarantined'
    ) {
      return tell({ record: context.record, actions: [] });
    }
    const result = steps[phase](context);
    stopRun ||= result.stopRun === true;
    rebooted ??= result.rebooted;
    if (result.record.phase === phase) return tell(result);
    context = { ...context, record: result.record };
  }
  return tell({ record: context.record, actions: [] });
}

/** Node untouched; it must be Ready before anything is asked of it. */
function preflight(context: StepContext): StepResult {
  const { record, node, now } = context;
  if (!node.ready) {
    const limit = record.since + context.run.spec.policy.reboot.returnTimeoutMs;
    if (now >= limit)
      return {
        record: atEnd(record, 'Failed', now, 'NotReady', `the node is not Ready (${node.readyReason})`),
        actions: [],
      };
    return {
      record: waiting(record, 'NotReady', `the node is not Ready (${node.readyReason})`),
      actions: [],
      until: limit,
    };
  }
  return { record: enterJobPhase(record, 'Downloading', now, 'checks the node and downloads updates'), actions: [] };
}

/** Preflight checks of the script and the download, before anything on the node is disturbed. */
function downloading(context: StepContext): StepResult {
  const { record, now } = context;
  const broken = brokenLock(context);
  if (broken) return broken;
  const look = looksFirst(context);
  const outcome = awaitJob(context, installs(context.run) && !look ? 'download' : 'scan');
  if (outcome.kind === 'wait') return outcome.result;
  if (outcome.kind === 'lost') {
    const { cleanUp, message, reason } = outcome;
    if (record.tries >= mostTries || reason === 'JobNotStarting')
      return { record: atEnd(record, 'Failed', now, reason, message), actions: cleanUp };
    return attachAgain(context, message);
  }
  const { result } = outcome;
  const { severity, reason } = meaningOf(result.code);
  const known = { ...record, download: result };
  switch (severity) {
    case 'ok': {
      const young = look ? afterLook(context, result) : tooYoung(context, result);
      if (young) return young;
      const beyond = packagesBeyond(context.run, result);
      if (beyond !== undefined) return { record: atEnd(known, 'Skipped', now, 'BeyondApproval', beyond), actions: [] };
      return afterDownload(known, result, context);
    }
    case 'refused':
      return { record: atEnd(known, 'Skipped', now, reason, tell(result)), actions: [] };
    case 'working':
      if (record.tries < mostAttachments) return attachAgain(context, tell(result), reason);
      return { record: atEnd(known, 'Failed', now, 'NoResult', tell(result)), actions: [] };
    case 'transient':
      if (record.tries < mostTries) return retry({ ...context, record: known }, tell(result), reason);
      return {
        record: atEnd(known, 'Failed', now, reason, `${tell(result)} (tried ${record.tries} times)`),
        actions: [],
      };
    case 'precondition':
    case 'broken':
    case 'changed':
    case 'reboot':
    case 'verify':
    case 'internal':
      return { record: atEnd(known, 'Failed', now, reason, tell(result)), actions: [] };
    default:
      return assertNever(severity);
  }
}

/** What the checks found decides whether the node is disturbed at all. */
function afterDownload(next: NodeRecord, download: PatchResult, context: StepContext): StepResult {
  const { now, run } = context;
  const { when } = run.spec.policy.reboot;
  // What is pending and stays (held by a person, protected) is no reason to disturb the node.
  const nothing = !installs(run) || download.left === 0;
  const reboot = run.action === 'reboot' || when === 'always' || (when === 'ifRequired' && download.rebootRequired);
  if (nothing && !reboot) {
    if (download.rebootRequired) {
      return {
        record: atEnd(
          next,
          'Skipped',
          now,
          'RebootPending',
          `nothing to install, but a reboot is required (${download.rebootWhy.join(', ') || 'unknown'}) and reboot.when is "${when}"`,
        ),
        actions: [],
      };
    }
    if (cordonIsOurs(context.node)) {
      // It was quarantined and somebody has repaired it: it is proven before it takes pods again.
      return {
        record: {
          ...enterJobPhase(next, 'Verifying', now, 'nothing is pending; it is verified before its quarantine ends'),
          cordoned: true,
        },
        actions: [],
      };
    }
    return {
      record: atEnd(
        next,
        'Skipped',
        now,
        'UpToDate',
        !installs(run)
          ? 'no reboot required'
          : download.pending === 0
            ? 'no pending updates, no reboot required'
            : `nothing to install, no reboot required; ${download.pending} pending ${download.pending === 1 ? 'update stays' : 'updates stay'} (${keptText(next, download)})`,
      ),
      actions: [],
    };
  }
  const what = `${download.left} ${download.left === 1 ? 'update' : 'updates'} to install${reboot && nothing ? ', a reboot is due' : ''}`;
  if (nextHook(run, next, 'before') !== undefined)
    return { record: enter(next, 'BeforeHooks', now, what, 'WaitingForHook'), actions: [] };
  return { record: disturb(next, run, now, what), actions: [] };
}

/** The last step before the node is disturbed: hooks that an administrator wants to have run. */
function beforeHooks(context: StepContext): StepResult {
  const { record, run, now } = context;
  return callHooks(context, 'before', () => disturb(record, run, now, 'its hooks have ended well'));
}

/** From here on the node is disturbed: cordoned first, or patched first where only a reboot needs the drain. */
function disturb(record: NodeRecord, run: RunRecord, now: number, what: string): NodeRecord {
  const nothing = !installs(run) || record.download?.left === 0;
  return nothing || run.spec.policy.drain.when === 'beforePatch'
    ? enter(record, 'Cordoning', now, what)
    : enterJobPhase(record, 'Patching', now, what);
}

/** The patch Job. Its result is in the ledger before anything else happens. No result means: attach again, never uncordon. */
function patching(context: StepContext): StepResult {
  const { record, now, run } = context;
  const outcome = awaitJob(context, 'patch');
  if (outcome.kind === 'wait') return outcome.result;
  if (outcome.kind === 'lost') {
    const { cleanUp, message, reason } = outcome;
    if (reason === 'JobNotStarting' && record.tries === 1) {
      // The pod never ran: the node is as it was.
      return { record: release(record, now, 'Failed', reason, message), actions: cleanUp };
    }
    const unsure = { ...record, unsure: true };
    if (record.tries < mostTries && reason === 'NoResult') return attachAgain({ ...context, record: unsure }, message);
    return {
      record: atEnd(unsure, 'Quarantined', now, reason, message),
      actions: cleanUp,
      stopRun: !context.node.ready,
    };
  }
  const { result } = outcome;
  const { severity, reason } = meaningOf(result.code);
  const known: NodeRecord = { ...record, patch: result };
  switch (severity) {
    case 'ok':
      return afterPatch({ ...context, record: known }, result.rebootRequired, result.rebootWhy);
    case 'working':
      // dpkg or rpm may be at work this very moment: never undo, attach again.
      if (record.tries < mostAttachments)
        return attachAgain({ ...context, record: { ...record, unsure: true } }, tell(result), reason);
      return { record: atEnd(known, 'Quarantined', now, 'NoResult', tell(result)), actions: [] };
    case 'transient':
      if (record.tries < mostTries) return retry({ ...context, record: known }, tell(result), reason);
      return unchanged(known, `${tell(result)} (tried ${record.tries} times)`);
    case 'refused':
    case 'precondition':
      return unchanged(known, tell(result));
    case 'changed':
      // The script repairs an interrupted transaction first, so one more try is worth it.
      if (record.tries < 2) return retry({ ...context, record: { ...known, unsure: true } }, tell(result), reason);
      if (run.spec.policy.onFailure === 'uncordon')
        return { record: release(known, now, 'Failed', reason, tell(result)), actions: [] };
      return quarantined(reason, tell(result));
    case 'broken': {
      // What the try before left half done could not be repaired: it knows which package that is, and why.
      const first = record.patch && meaningOf(record.patch.code);
      if (record.patch === undefined || first?.severity !== 'changed') return quarantined(reason, tell(result));
      return quarantined(first.reason, `${tell(record.patch)}; then: ${tell(result)}`);
    }
    case 'reboot':
    case 'verify':
    case 'internal':
      return quarantined(reason, tell(result));
    default:
      return assertNever(severity);
  }

  function quarantined(why: Reason, message: string): StepResult {
    return { record: atEnd(known, 'Quarantined', now, why, message), actions: [] };
  }

  /** The script says that this call changed nothing; that counts only if no earlier call may have. */
  function unchanged(after: NodeRecord, message: string): StepResult {
    if (record.unsure) return { record: atEnd(after, 'Quarantined', now, reason, message), actions: [] };
    return { record: release(after, now, 'Failed', reason, message), actions: [] };
  }
}

/** Versions really installed, protected packages unchanged, the planned kernel running. Also without a reboot. */
function verifying(context: StepContext): StepResult {
  const { record, now } = context;
  const outcome = awaitJob(context, 'verify');
  if (outcome.kind === 'wait') return outcome.result;
  if (outcome.kind === 'lost') {
    const { cleanUp, message, reason } = outcome;
    if (record.tries < mostTries) return { ...attachAgain(context, message, reason), actions: cleanUp };
    return { record: atEnd(record, 'Quarantined', now, reason, message), actions: cleanUp };
  }
  const { result } = outcome;
  const { severity, reason } = meaningOf(result.code);
  if ((severity === 'transient' || severity === 'working') && record.tries < mostTries)
    return retry(context, tell(result), reason);
  if (severity !== 'ok') return { record: atEnd(record, 'Quarantined', now, reason, tell(result)), actions: [] };
  const after: NodeRecord = { ...record, kernelAfter: result.kernel };
  const applied = record.patch?.applied ?? 0;
  const told = `${applied} ${applied === 1 ? 'package' : 'packages'} changed${record.rebootAt === undefined ? '' : `, rebooted into ${result.kernel}`}`;
  const owed = record.rebootAt === undefined && (record.patch ?? record.download)?.rebootRequired === true;
  const left =
    result.left > 0
      ? `; ${result.left} left (${result.kept.map(([name, why]) => `${name}: ${why}`).join(', ') || 'see the result'})`
      : '';
  const proven = owed
    ? release(
        after,
        now,
        'Patched',
        'RebootPending',
        `${told}${left}; a reboot is required and not allowed by the policy`,
      )
    : release(after, now, 'Patched', 'Patched', told + left);
  if (nextHook(context.run, after, 'after') === undefined) return { record: proven, actions: [] };
  const hooked = enter(proven, 'AfterHooks', now, proven.message, 'WaitingForHook');
  return { record: hooked, actions: [] };
}

/** The node is proven and still out: hooks look at it before it takes pods again. */
function afterHooks(context: StepContext): StepResult {
  const { record, now } = context;
  const { outcome } = record;
  return callHooks(context, 'after', () =>
    enter(record, 'Uncordoning', now, outcome?.message ?? 'its hooks have ended well', outcome?.reason ?? 'Working'),
  );
}

/** Takes our cordon away and nobody else's; the end is reached only when it is really gone. */
function uncordoning(context: StepContext): StepResult {
  const { record, node, now } = context;
  const ours = cordonIsOurs(node);
  const evacuations = evacuationsLeft(record, context.machines, now);
  if (ours) {
    const uncordon = { kind: 'uncordon', node: node.name, uid: node.uid } as const;
    return { record: record, actions: [uncordon, ...(evacuations?.actions ?? [])] };
  }
  if (evacuations && now < evacuations.until)
    return {
      record: waiting(record, 'WaitingForMigration', `is uncordoned; ${evacuations.note}`),
      actions: evacuations.actions,
      until: Math.min(evacuations.until, now + 10_000),
    };
  const outcome = record.outcome && {
    ...record.outcome,
    message: record.outcome.message + (evacuations ? `; ${evacuations.note}` : ''),
  };
  const free = { ...record, cordoned: false };
  if (outcome === undefined)
    return { record: atEnd(free, 'Failed', now, 'ScriptFault', 'the outcome of the node was lost'), actions: [] };
  if (outcome.phase === 'Pending') {
    return {
      record: {
        ...free,
        phase: 'Pending',
        reason: outcome.reason,
        message: outcome.message,
        since: now,
        attempt: record.attempt + 1,
        tries: 1,
        ...(record.evacuated ? { evacuated: [] } : {}),
        outcome: undefined,
      },
      actions: [],
    };
  }
  const note = outcome.phase === 'Patched' && record.foreignCordon ? '; it stays cordoned, as it was before' : '';
  return { record: atEnd(free, outcome.phase, now, outcome.reason, outcome.message + note), actions: [] };
}

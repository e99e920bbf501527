// Before a node is disturbed: it must be Ready, its updates are downloaded, and hooks are called.
import type { NodeRecord, RunRecord } from '../model/ledger.ts';
import { assertNever } from '../model/failure.ts';
import { meaningOf, type PatchResult } from '../model/patch-result.ts';
import { callHooks, nextHook } from './hooks.ts';
import { installs } from '../model/ledger.ts';
import { atEnd, enter, waiting } from './records.ts';
import {
  attachAgain,
  awaitJob,
  cordonIsOurs,
  enterJobPhase,
  mostAttachments,
  mostTries,
  retry,
  tell,
  type StepContext,
  type StepResult,
} from './step-context.ts';
import { afterLook, brokenLock, keptText, looksFirst, tooYoung } from './step-choose.ts';

/** Node untouched; it must be Ready before anything is asked of it. */
export function preflight(context: StepContext): StepResult {
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
export function downloading(context: StepContext): StepResult {
  const { record, now } = context;
  const broken = brokenLock(context);
  if (broken) return broken;
  const look = looksFirst(context);
  const outcome = awaitJob(context, installs(context.run) && !look ? 'download' : 'scan');
  if (outcome.kind === 'wait') return outcome.result;
  if (outcome.kind === 'lost') {
    const { message, reason } = outcome;
    if (record.tries >= mostTries || reason === 'JobNotStarting')
      return { record: atEnd(record, 'Failed', now, reason, message), actions: [] };
    return attachAgain(context, message);
  }
  const { result } = outcome;
  const { severity, reason } = meaningOf(result.code);
  const known = { ...record, download: result };
  switch (severity) {
    case 'ok': {
      const young = look ? afterLook(context, result) : tooYoung(context, result);
      if (young) return young;
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
      // It was quarantined and somebody has repaired it: it is proven before it takes pods again. A package that is unpacked and not configured
      // is not pending any more, and only the patch repairs the database.
      const repair = installs(run) && download.warnings.some((warning) => warning.startsWith('PackageDatabase:'));
      const entered = repair
        ? enterJobPhase(next, 'Patching', now, 'nothing is pending, but the package database must be repaired')
        : enterJobPhase(next, 'Verifying', now, 'nothing is pending; it is verified before its quarantine ends');
      return { record: { ...entered, cordoned: true }, actions: [] };
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
            : `nothing to install, no reboot required; ${download.pending} pending ${download.pending === 1 ? 'update stays' : 'updates stay'} (${keptText(run, next, download)})`,
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
export function beforeHooks(context: StepContext): StepResult {
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

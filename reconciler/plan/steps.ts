// The way of one node through a run: one small function for each phase, in the order of the way.
import type { NodeHistory, NodeRecord } from '../model/ledger.ts';
import { assertNever } from '../model/failure.ts';
import { meaningOf } from '../model/patch-result.ts';
import type { Reason } from '../model/reason.ts';
import { callHooks, nextHook } from './hooks.ts';
import { atEnd, enter, waiting } from './records.ts';
import {
  attachAgain,
  awaitJob,
  cordonIsOurs,
  mostAttachments,
  mostTries,
  release,
  retry,
  tell,
  type StepContext,
  type StepResult,
} from './step-context.ts';
import type { NodePhase } from '../model/node-phase.ts';
import { evacuationsLeft } from './drain-beside.ts';
import { cordoning, draining, held } from './step-drain.ts';
import { beforeHooks, downloading, preflight } from './step-download.ts';
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

/** The patch Job. Its result is in the ledger before anything else happens. No result means: attach again, never uncordon. */
function patching(context: StepContext): StepResult {
  const { record, now, run } = context;
  const outcome = awaitJob(context, 'patch');
  if (outcome.kind === 'wait') return outcome.result;
  if (outcome.kind === 'lost') {
    const { message, reason } = outcome;
    if (reason === 'JobNotStarting' && record.tries === 1) {
      // The pod never ran: the node is as it was.
      return { record: release(record, now, 'Failed', reason, message), actions: [] };
    }
    const unsure = { ...record, unsure: true };
    if (record.tries < mostTries && reason === 'NoResult') return attachAgain({ ...context, record: unsure }, message);
    return {
      record: atEnd(unsure, 'Quarantined', now, reason, message),
      actions: [],
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
    const { message, reason } = outcome;
    if (record.tries < mostTries) return attachAgain(context, message, reason);
    return { record: atEnd(record, 'Quarantined', now, reason, message), actions: [] };
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
  const end = told + left + staleServices(record);
  const proven = owed
    ? release(after, now, 'Patched', 'RebootPending', `${end}; a reboot is required and not allowed by the policy`)
    : release(after, now, 'Patched', 'Patched', end);
  if (nextHook(context.run, after, 'after') === undefined) return { record: proven, actions: [] };
  const hooked = enter(proven, 'AfterHooks', now, proven.message, 'WaitingForHook');
  return { record: hooked, actions: [] };
}

/** Services that still run replaced code: a reboot would have ended that, and nobody else restarts them. */
function staleServices({ rebootAt, patch }: NodeRecord): string {
  const services = rebootAt === undefined ? (patch?.services ?? []) : [];
  if (services.length === 0) return '';
  const more = services.length > 5 ? ` and ${services.length - 5} more` : '';
  return `; until restarted, these run replaced code: ${services.slice(0, 5).join(', ')}${more}`;
}

/** The node is proven and still out: hooks look at it before it takes pods again. */
function afterHooks(context: StepContext): StepResult {
  const { record, now } = context;
  const { outcome } = record;
  return callHooks(context, 'after', () =>
    enter(record, 'Uncordoning', now, outcome?.message ?? 'its hooks have ended well', outcome?.reason ?? 'Working'),
  );
}

/** The quarantine that the node had before, unless this way through the run has proven the node. */
function quarantineKept({ record, node, history }: StepContext): NodeHistory['quarantine'] {
  const known = history?.uid === node.uid ? history.quarantine : undefined;
  return record.outcome?.phase === 'Patched' ? undefined : known;
}

/** Takes our cordon away and nobody else's, and not that of a quarantine that is not over; the end is reached only when it is really gone. */
function uncordoning(context: StepContext): StepResult {
  const { record, node, now } = context;
  const kept = quarantineKept(context);
  const ours = cordonIsOurs(node) && kept === undefined;
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
  const free = { ...record, cordoned: kept !== undefined && cordonIsOurs(node) };
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
  const note =
    kept !== undefined
      ? `; it stays cordoned, since it was quarantined before (${kept.reason})`
      : outcome.phase === 'Patched' && record.foreignCordon
        ? '; it stays cordoned, as it was before'
        : '';
  return { record: atEnd(free, outcome.phase, now, outcome.reason, outcome.message + note), actions: [] };
}

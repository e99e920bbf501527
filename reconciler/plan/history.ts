// What is remembered of a node across runs, updated at the moments that matter.
import type { NodeHistory, NodeRecord, PendingUpdates, RunRecord } from '../model/ledger.ts';
import type { Reason } from '../model/reason.ts';
import { meaningOf, type PatchResult } from '../model/patch-result.ts';
import { installs } from '../model/ledger.ts';

/** Reasons for leaving a node out that people must still see when the run is over: the node did not get what the run was for. */
const staysTrue: readonly Reason[] = [
  'UnsupportedOS',
  'DrainTimeout',
  'SingleControlPlane',
  'ForeignMaintenance',
  'GateBlocked',
  'NotReady',
  'NodePaused',
  'BeyondApproval',
];

/** A node of which nothing is known yet. */
export function noHistory(uid: string): NodeHistory {
  return {
    uid,
    lastPatched: undefined,
    lastChecked: undefined,
    patchedVersion: '',
    lastRun: '',
    lastError: '',
    quarantine: undefined,
    reboots: [],
    durations: [],
    pending: undefined,
  };
}

/** The history after a record has changed; undefined when nothing that is remembered has changed. */
export function remember(
  known: NodeHistory | undefined,
  before: NodeRecord | undefined,
  after: NodeRecord,
  run: RunRecord,
  now: number,
): NodeHistory | undefined {
  const base = known?.uid === after.uid ? known : noHistory(after.uid);
  let next = base;
  // An answer that failed has not looked at everything: what it does not name may be pending all the same.
  if (after.download && after.download !== before?.download && meaningOf(after.download.code).severity === 'ok') {
    const { pending, rebootRequired } = after.download;
    next = {
      ...next,
      pending: {
        count: pending,
        since: pending === 0 ? undefined : (base.pending?.since ?? now),
        at: now,
        reboot: rebootRequired,
      },
    };
  }
  if (before?.phase === after.phase) return next === base ? undefined : next;
  switch (after.phase) {
    case 'Patched': {
      const version = [after.patch?.os ?? after.download?.os, after.patch?.osVersion ?? after.download?.osVersion]
        .filter(Boolean)
        .join(' ');
      const reboot = after.reason === 'RebootPending';
      return {
        ...next,
        // A reboot installs nothing.
        lastPatched: installs(run) ? now : next.lastPatched,
        lastChecked: now,
        patchedVersion: [version, after.kernelAfter && `kernel ${after.kernelAfter}`].filter(Boolean).join(', '),
        lastRun: run.hash,
        lastError: '',
        leftOut: undefined,
        quarantine: undefined,
        durations:
          after.startedAt === undefined ? next.durations : [...next.durations, now - after.startedAt].slice(-5),
        outside: undefined,
        pending: after.patch
          ? leftBy(after.patch, next.pending, reboot, now)
          : next.pending && { ...next.pending, reboot },
      };
    }
    case 'Skipped':
      if (after.reason === 'UpToDate')
        return {
          ...next,
          lastChecked: now,
          lastRun: run.hash,
          lastError: '',
          leftOut: undefined,
          outside: undefined,
        };
      if (run.action !== 'maintenance' && staysTrue.includes(after.reason))
        return { ...next, leftOut: { reason: after.reason, message: after.message, since: now } };
      return next === base ? undefined : next;
    case 'Failed':
      return { ...next, lastError: `${after.reason}: ${after.message}` };
    case 'Quarantined': {
      // The taint of a boot run has rules of its own.
      const late = !after.cordoned && !after.foreignCordon && !run.triggers.some(({ kind }) => kind === 'boot');
      return {
        ...next,
        lastError: `${after.reason}: ${after.message}`,
        quarantine: {
          run: run.id,
          reason: after.reason,
          message: after.message,
          since: now,
          ...(late ? { toCordon: true as const } : {}),
        },
      };
    }
    case 'Pending':
    case 'Preflight':
    case 'Downloading':
    case 'BeforeHooks':
    case 'Cordoning':
    case 'Draining':
    case 'Held':
    case 'Patching':
    case 'RebootPending':
    case 'Rebooting':
    case 'Rejoining':
    case 'Verifying':
    case 'AfterHooks':
    case 'Uncordoning':
      return next === base ? undefined : next;
  }
}

/** What is pending after a patch. What stays on purpose is pending all the same: the next scan would count it again. */
function leftBy(
  { left, keptCount = 0 }: PatchResult,
  before: PendingUpdates | undefined,
  reboot: boolean,
  now: number,
): PendingUpdates {
  const count = left + keptCount;
  return { count, since: count === 0 ? undefined : (before?.since ?? now), at: now, reboot };
}

/** One more reboot was asked for. */
export function rememberReboot(known: NodeHistory | undefined, record: NodeRecord, at: number): NodeHistory {
  const base = known?.uid === record.uid ? known : noHistory(record.uid);
  return { ...base, reboots: [...base.reboots, at].slice(-10) };
}

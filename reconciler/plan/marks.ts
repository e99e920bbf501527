// What is written on nodes: the ledger's facts where people and other programs look.
import type { Action } from '../model/action.ts';
import { digest } from '../model/digest.ts';
import { iso } from '../model/instant.ts';
import type { LedgerDocument, NodeRecord, RunRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import {
  lastErrorAnnotation,
  lastPatchedAnnotation,
  patchedVersionAnnotation,
  pendingUpdatesAnnotation,
  phaseLabel,
  progressAnnotation,
  runLabel,
} from '../model/names.ts';
import { isUnderWay } from '../model/node-phase.ts';
import type { NodeView } from '../model/observed.ts';
import { isBeside } from './records.ts';

/** Actions that bring labels and annotations of the nodes to what the ledger says. Nothing to change: no action. */
export function markActions(ledger: LedgerDocument, nodes: readonly NodeView[]): Action[] {
  const begun = Object.values(ledger.runs).filter((run) => !runEnded(run.state) && run.startedAt !== undefined);
  const actions: Action[] = [];
  for (const node of nodes) {
    // A node that has just joined may be in a boot run and wait in another one: where the work is counts.
    const recordIn = (run: RunRecord): NodeRecord | undefined =>
      run.nodes[node.name]?.uid === node.uid ? run.nodes[node.name] : undefined;
    const open = begun.find((run) => isUnderWay(recordIn(run)?.phase ?? 'Pending'));
    const record = open && recordIn(open);
    const { labels, annotations } = wantedMarks(ledger, node, open, record);
    const labelChanges = differences(labels, node.labels);
    const annotationChanges = differences(annotations, node.annotations);
    if (Object.keys(labelChanges).length + Object.keys(annotationChanges).length === 0) continue;
    actions.push({
      kind: 'markNode',
      node: node.name,
      uid: node.uid,
      labels: labelChanges,
      annotations: annotationChanges,
    });
  }
  return actions;
}

type Marks = Readonly<Record<string, string | null>>;

function wantedMarks(
  ledger: LedgerDocument,
  node: NodeView,
  run: RunRecord | undefined,
  record: NodeRecord | undefined,
): { labels: Marks; annotations: Marks } {
  const known = ledger.history[node.name];
  const history = known?.uid === node.uid ? known : undefined;
  const working = record !== undefined && isUnderWay(record.phase);
  const phase = working ? record.phase : history?.quarantine ? 'Quarantined' : null;
  const version = history?.patchedVersion ? history.patchedVersion : null;
  const pending = history?.pending;
  return {
    labels: {
      [phaseLabel]: phase,
      ...(history?.lastRun ? { [runLabel]: history.lastRun } : {}),
    },
    annotations: {
      [progressAnnotation]: working && run ? progress(run, record) : null,
      ...(history
        ? {
            [lastPatchedAnnotation]: history.lastPatched === undefined ? null : iso(history.lastPatched),
            [patchedVersionAnnotation]: version,
            [lastErrorAnnotation]: history.lastError,
            [pendingUpdatesAnnotation]:
              pending === undefined
                ? null
                : JSON.stringify({
                    count: pending.count,
                    oldestSince: pending.since === undefined ? null : iso(pending.since).slice(0, 10),
                    scanned: iso(pending.at),
                    rebootRequired: pending.reboot,
                  }),
          }
        : {}),
    },
  };
}

function progress(run: RunRecord, record: NodeRecord): string {
  return JSON.stringify({
    run: run.id,
    phase: record.phase,
    since: iso(record.since),
    bootIdBefore: record.bootIdBefore,
    cordonedBy: record.cordoned ? 'oakum' : record.foreignCordon ? 'other' : '',
    attempt: record.attempt,
  });
}

function differences(wanted: Marks, found: Readonly<Record<string, string>>): Record<string, string | null> {
  const changes: Record<string, string | null> = {};
  for (const [key, value] of Object.entries(wanted)) {
    const now = Object.hasOwn(found, key) ? found[key] : null;
    if (now === value || (value === '' && now === null)) continue;
    changes[key] = value;
  }
  return changes;
}

/** An Event on the node for what began or ended there in this pass. */
export function eventFor(run: RunRecord, before: NodeRecord | undefined, after: NodeRecord): Action | undefined {
  if (before?.phase === after.phase) return undefined;
  // On boot there is nothing to be drained but in odd cases, and for maintenance nothing to install: Draining tells.
  if (after.phase === 'Cordoning' && isBeside(run)) return undefined;
  const told = eventText(after);
  if (told === undefined) return undefined;
  return {
    kind: 'event',
    node: after.node,
    uid: after.uid,
    type: told.type,
    reason: told.reason,
    message: `${told.message} (run ${run.id})`,
    at: after.since,
    key: digest([run.id, after.node, after.uid, after.phase, after.since, after.attempt], 16),
  };
}

function eventText(
  record: NodeRecord,
): { readonly type: 'Normal' | 'Warning'; readonly reason: string; readonly message: string } | undefined {
  const normal = (message: string): { type: 'Normal'; reason: string; message: string } => ({
    type: 'Normal',
    reason: record.phase,
    message,
  });
  switch (record.phase) {
    case 'Cordoning':
      return normal(
        `${record.download?.pending ?? 0} updates are pending; the node is about to be cordoned and drained`,
      );
    case 'Draining':
      return normal('pods are being evicted');
    case 'Held':
      return normal('is empty and held out for maintenance');
    case 'Patching':
      return normal('updates are being installed');
    case 'Rebooting':
      return normal(`is being rebooted; boot id before: ${record.bootIdBefore}`);
    case 'Rejoining':
      return normal('came up with a new boot id');
    case 'Patched':
      return normal(record.message);
    case 'Skipped':
      return { type: 'Normal', reason: record.reason, message: record.message };
    case 'Failed':
    case 'Quarantined':
      return { type: 'Warning', reason: record.reason, message: record.message };
    case 'Pending':
    case 'Preflight':
    case 'Downloading':
    case 'BeforeHooks':
    case 'RebootPending':
    case 'Verifying':
    case 'AfterHooks':
    case 'Uncordoning':
      return undefined;
  }
}

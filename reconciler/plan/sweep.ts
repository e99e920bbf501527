// No cordon and no waiting Job of ours is left behind, and what a person undid by hand is accepted.
import type { Action } from '../model/action.ts';
import { jobName } from '../model/digest.ts';
import type { LedgerDocument, NodeHistory } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { cordonAnnotation, cordonMark } from '../model/names.ts';
import { isUnderWay, type NodePhase } from '../model/node-phase.ts';
import type { PlanInput } from './input.ts';
import { isScanJob } from './scan.ts';

/**
 * A node with our cordon needs a live step or a quarantine; else it is uncordoned. A quarantined node that was never cordoned is cordoned now; one that a
 * person uncordoned is quarantined no more; the history of nodes that are gone is dropped. A Job without a running pod that no step waits for is deleted: it
 * would begin, whenever it can, on a node that takes pods again.
 */
export function sweep(
  ledger: LedgerDocument,
  input: PlanInput,
): { readonly ledger: LedgerDocument; readonly actions: readonly Action[] } {
  const actions: Action[] = [];
  let history: Record<string, NodeHistory> | undefined;
  const present = new Set<string>();
  const live = new Set<string>();
  for (const run of Object.values(ledger.runs)) {
    if (runEnded(run.state)) continue;
    for (const record of Object.values(run.nodes)) if (isUnderWay(record.phase)) live.add(record.uid);
  }
  for (const node of input.observed.nodes) {
    present.add(node.name);
    const known = ledger.history[node.name];
    const ours = node.annotations[cordonAnnotation] !== undefined;
    if (live.has(node.uid)) continue;
    const quarantined = known?.uid === node.uid && known.quarantine !== undefined;
    if (quarantined && known.quarantine?.toCordon) {
      if (node.unschedulable) {
        history ??= { ...ledger.history };
        history[node.name] = { ...known, quarantine: { ...known.quarantine, toCordon: undefined } };
      } else {
        const mark = cordonMark(known.quarantine.run, known.quarantine.since);
        actions.push({ kind: 'cordon', node: node.name, uid: node.uid, mark });
      }
    } else if (quarantined && !node.unschedulable && known.quarantine && known.quarantine.since < input.now) {
      history ??= { ...ledger.history };
      history[node.name] = { ...known, quarantine: undefined };
      if (ours) actions.push({ kind: 'uncordon', node: node.name, uid: node.uid });
    } else if (ours && !quarantined) {
      actions.push({ kind: 'uncordon', node: node.name, uid: node.uid });
    }
  }
  actions.push(...idleJobs(ledger, input));
  for (const name of Object.keys(ledger.history)) {
    if (present.has(name)) continue;
    history ??= { ...ledger.history };
    delete history[name];
  }
  return { ledger: history ? { ...ledger, history } : ledger, actions };
}

/** The Jobs that a phase waits for; in every other phase none. */
const awaited: Partial<Record<NodePhase, readonly string[]>> = {
  Downloading: ['download', 'scan'],
  Patching: ['patch'],
  Rebooting: ['reboot'],
  Verifying: ['verify'],
};

function idleJobs(ledger: LedgerDocument, input: PlanInput): Action[] {
  const waited = new Set<string>();
  for (const run of Object.values(ledger.runs)) {
    if (runEnded(run.state)) continue;
    for (const record of Object.values(run.nodes))
      for (const step of awaited[record.phase] ?? []) waited.add(jobName(step, record.uid, run.id, record.attempt));
  }
  const uids = new Set(input.observed.nodes.map((node) => node.uid));
  return input.observed.jobs
    .filter((job) => job.state === 'waiting' && uids.has(job.nodeUid))
    .filter((job) => !waited.has(job.name) && !isScanJob(ledger.history[job.nodeName], job))
    .map((job) => ({ kind: 'deleteJob', name: job.name, uid: job.uid }));
}

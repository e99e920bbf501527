// Patch on boot: which nodes that have just joined get a run of their own, and when their taint goes.
import type { Action } from '../model/action.ts';
import { digest } from '../model/digest.ts';
import { stamp } from '../model/instant.ts';
import type { LedgerDocument, NodeHistory } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { unpatchedTaint } from '../model/names.ts';
import { isUnderWay } from '../model/node-phase.ts';
import type { NodeView } from '../model/observed.ts';
import type { Policy } from '../model/policy.ts';
import type { Hold } from '../model/reason.ts';
import { loneControlPlane } from './budget.ts';
import { frozen, suspended } from './gates.ts';
import { noHistory } from './history.ts';
import type { PlanInput } from './input.ts';
import { bootingNodes, isBootRun, newRecord } from './records.ts';
import { exclusion } from './select.ts';
import { addRun, newRun } from './triggers.ts';

/** Longest node name that is written into a run's id; a longer one is cut and told apart by a hash. */
const longestName = 63;

/** The node's registration gave it the taint and nobody has taken it away: it was not patched since it was created. */
export function isUnpatched(node: NodeView): boolean {
  return node.taints.some((taint) => taint.key === unpatchedTaint);
}

/**
 * Decides about every node with the taint, once in its life: a run of trigger `boot`, or the reason why it is let go unpatched. Called
 * only while the wishes are known; until then such a node keeps its taint and waits.
 */
export function registerBoots(ledger: LedgerDocument, input: PlanInput, holds: readonly Hold[]): LedgerDocument {
  let next = ledger;
  for (const node of input.observed.nodes) {
    if (!isUnpatched(node) || decided(next, node) || atWork(next, node)) continue;
    const policy = input.desired?.policy;
    const no = holds[0] ?? noBoot(node, policy, input);
    if (no || !policy) next = noteBoot(next, node, no ?? noPolicy, input.now);
    else next = addBootRun(next, node, policy, input);
  }
  return next;
}

const noPolicy: Hold = { reason: 'NoPolicy', message: 'there is no policy for this cluster', until: undefined };

/** Why a node that has just joined is not patched before it takes pods; undefined when it is. The newest word counts. */
export function noBoot(node: NodeView, policy: Policy | undefined, input: PlanInput): Hold | undefined {
  if (!policy) return noPolicy;
  const left = exclusion(node, policy.nodes);
  if (left !== undefined) return { reason: 'Excluded', message: left, until: undefined };
  if (!policy.onBoot.enabled)
    return {
      reason: 'NotYet',
      message: 'the policy has no onBoot; the node is patched in its turn in the next run',
      until: undefined,
    };
  const lone = loneControlPlane(node, input.observed.nodes, policy.rollout.allowSingleControlPlane);
  return suspended(input) ?? frozen(input) ?? (lone?.reason === 'SingleControlPlane' ? lone : undefined);
}

/** It was decided before, a boot run of the node was ended by a person, or the node was patched already by any run. */
function decided(ledger: LedgerDocument, node: NodeView): boolean {
  const history = historyOf(ledger, node);
  if (history?.boot !== undefined || history?.lastPatched !== undefined || history?.lastChecked !== undefined)
    return true;
  return hadBootRun(ledger, node);
}

function hadBootRun(ledger: LedgerDocument, node: NodeView): boolean {
  return Object.values(ledger.runs).some(
    (run) => isBootRun(run) && runEnded(run.state) && run.nodes[node.name]?.uid === node.uid,
  );
}

/** A boot run is open for the node, or another run is working on it. */
function atWork(ledger: LedgerDocument, node: NodeView): boolean {
  if (bootingNodes(ledger.runs).has(node.uid)) return true;
  return Object.values(ledger.runs).some((run) => {
    const record = run.nodes[node.name];
    return !runEnded(run.state) && record?.uid === node.uid && isUnderWay(record.phase);
  });
}

/**
 * The run of one node. Nothing is on the node before its updates are installed, so it is emptied only before a reboot, and only if
 * something has landed there in spite of the taint.
 */
function addBootRun(ledger: LedgerDocument, node: NodeView, policy: Policy, input: PlanInput): LedgerDocument {
  const name =
    node.name.length <= longestName
      ? node.name
      : `${node.name.slice(0, longestName - 7).replace(/[.-]+$/, '')}-${digest(node.name, 6)}`;
  const spec: Policy = { ...policy, drain: { ...policy.drain, when: 'beforeReboot' } };
  const run = newRun(ledger, input, {
    id: `${stamp(node.createdAt)}-boot-${name}`,
    trigger: { kind: 'boot', node: node.name },
    action: 'patch',
    spec: { policy: spec, onlyNodes: [node.name], onlySelector: undefined, why: 'the node has joined the cluster' },
    validUntil: input.now + policy.onBoot.timeoutMs,
  });
  return addRun(ledger, {
    ...run,
    nodes: { [node.name]: newRecord(node, policy.rollout.topologyKey, input.now) },
  });
}

/** Remembers how the patch on boot ended, or why there was none. */
export function noteBoot(
  ledger: LedgerDocument,
  node: { readonly name: string; readonly uid: string },
  told: Pick<Hold, 'reason' | 'message'>,
  at: number,
  failed = false,
): LedgerDocument {
  const known = ledger.history[node.name];
  const base = known?.uid === node.uid ? known : noHistory(node.uid);
  const boot = { at, failed, reason: told.reason, message: told.message };
  return { ...ledger, history: { ...ledger.history, [node.name]: { ...base, boot } } };
}

/**
 * Takes the taint from every node for which it was decided that it is patched or will not be. It stays after a failure where the policy
 * says `onFailure: keep`, until a later run has patched the node.
 */
export function releaseTaints(ledger: LedgerDocument, input: PlanInput): Action[] {
  const actions: Action[] = [];
  for (const node of input.observed.nodes) {
    if (!isUnpatched(node) || !decided(ledger, node) || atWork(ledger, node)) continue;
    const history = historyOf(ledger, node);
    if (history && keepsTaint(history, input)) continue;
    actions.push({ kind: 'removeTaint', node: node.name, uid: node.uid, key: unpatchedTaint });
    // A boot run has told its own end.
    if (history?.boot?.at !== input.now || hadBootRun(ledger, node)) continue;
    actions.push({
      kind: 'event',
      node: node.name,
      uid: node.uid,
      type: 'Normal',
      reason: history.boot.reason,
      message: `the taint ${unpatchedTaint} is taken away: ${history.boot.message}`,
      at: history.boot.at,
      key: digest([node.uid, 'boot', history.boot.at], 16),
    });
  }
  return actions;
}

/** A failure under `keep`, or under a policy that is not known now, and no run has patched the node since. */
function keepsTaint(history: NodeHistory, input: PlanInput): boolean {
  const { boot, lastChecked, lastPatched } = history;
  if (!boot?.failed || (lastChecked ?? 0) > boot.at || (lastPatched ?? 0) > boot.at) return false;
  return input.desired?.policy?.onBoot.onFailure !== 'release';
}

function historyOf(ledger: LedgerDocument, node: NodeView): NodeHistory | undefined {
  const known = ledger.history[node.name];
  return known?.uid === node.uid ? known : undefined;
}

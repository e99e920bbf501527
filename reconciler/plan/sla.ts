// Age: nodes whose oldest pending update has waited longer than the policy allows, and the run that mends it.
import { spellDuration } from '../model/duration.ts';
import { stamp } from '../model/instant.ts';
import type { LedgerDocument, NodeHistory, RunRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { isEnd } from '../model/node-phase.ts';
import type { NodeView } from '../model/observed.ts';
import type { Policy } from '../model/policy.ts';
import { nextAllowed } from '../model/window.ts';
import type { PlanInput } from './input.ts';
import { isBeside } from './records.ts';
import { exclusion, selectedNodes } from './select.ts';
import { addRun, newRun } from './triggers.ts';

const dayMs = 86_400_000;
/** A run that did not mend it is not followed by another one sooner than this. */
const againMs = dayMs;

/** When the node's oldest pending update is (or was) too old; undefined: nothing is pending, or the policy sets no age. */
export function overdueAt(
  node: NodeView,
  history: NodeHistory | undefined,
  policy: Policy | undefined,
): number | undefined {
  const { pending } = history ?? {};
  if (!policy?.maxAge || history?.uid !== node.uid || !pending || pending.count === 0) return undefined;
  if (pending.since === undefined || exclusion(node, policy.nodes) !== undefined) return undefined;
  return pending.since + policy.maxAge.afterMs;
}

/**
 * With `maxAge.openRun`: one run for all nodes that are too old and that no open run is about. It waits for windows, freezes, gates and
 * approval like every other. Nothing is opened for a node on which a run would install nothing, nor within a day of the last such run.
 */
export function registerSla(ledger: LedgerDocument, input: PlanInput): LedgerDocument {
  const policy = input.desired?.policy;
  const { now } = input;
  if (!policy?.maxAge?.openRun) return ledger;
  const open = Object.values(ledger.runs).filter((run) => !runEnded(run.state) && !isBeside(run));
  if (open.some((run) => run.triggers.some((trigger) => trigger.kind === 'sla'))) return ledger;
  const expected = coveredNodes(open, input.observed.nodes);
  const late = input.observed.nodes.flatMap((node) => {
    const history = ledger.history[node.name];
    const at = overdueAt(node, history, policy);
    if (at === undefined || !history || history.quarantine || history.pending?.installable === 0) return [];
    const due = history.slaRunAt === undefined ? at : Math.max(at, history.slaRunAt + againMs);
    return due <= now && !expected.has(node.uid) ? [{ node, history, due }] : [];
  });
  if (late.length === 0) return ledger;
  const run = newRun(ledger, input, {
    id: `${stamp(Math.min(...late.map(({ due }) => due)))}-sla`,
    trigger: { kind: 'sla' },
    action: 'patch',
    spec: {
      policy,
      onlyNodes: late.map(({ node }) => node.name).sort(),
      onlySelector: undefined,
      why: `updates have been pending for longer than ${spellDuration(policy.maxAge.afterMs)} (maxAge)`,
    },
    validUntil: (nextAllowed(policy.windows, policy.freezes, now) ?? now) + 7 * dayMs,
  });
  const noted = Object.fromEntries(late.map(({ node, history }) => [node.name, { ...history, slaRunAt: now }]));
  return addRun({ ...ledger, history: { ...ledger.history, ...noted } }, run);
}

/** Nodes that an open run will still patch: those that wait for their turn or are under way, and those of a run that has not begun. */
function coveredNodes(open: readonly RunRecord[], nodes: readonly NodeView[]): Set<string> {
  const covered = new Set<string>();
  for (const run of open) {
    if (run.action !== 'patch') continue;
    for (const node of selectedNodes(run, nodes)) {
      const record = run.nodes[node.name];
      if (record?.uid !== node.uid || !isEnd(record.phase)) covered.add(node.uid);
    }
  }
  return covered;
}

/** The next instant at which a node becomes too old: nothing else may wake the loop then. */
export function nextOverdue(ledger: LedgerDocument, input: PlanInput): number | undefined {
  const times = input.observed.nodes
    .map((node) => overdueAt(node, ledger.history[node.name], input.desired?.policy))
    .filter((at) => at !== undefined && at > input.now);
  return times.length === 0 ? undefined : Math.min(...times.map(Number));
}

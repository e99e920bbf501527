// What a change would do if it were agreed to: the runs that it would open, which nodes in which order, and what would stand in the way.
import type { LedgerDocument, RunRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import type { Plan } from '../model/plan.ts';
import { acceptedRules } from '../model/accepted-rules.ts';
import { standingObstacles, podsToMove } from './drain.ts';
import type { PlanInput } from './input.ts';
import { loosens } from './loosening.ts';
import { planCluster } from './plan.ts';
import { byTurn, exclusion, selectedNodes } from './select.ts';

/** One node as the preview shows it. */
export interface PreviewNode {
  readonly name: string;
  /** Updates that wait; undefined: not known yet. */
  readonly pending: number | undefined;
  /** A reboot is owed, or the last scan expects one. */
  readonly reboot: boolean;
  /** What a drain would run into, as sentences. */
  readonly obstacles: readonly string[];
}

/** What would happen to one cluster. */
export interface Preview {
  /** Runs that the change would open. */
  readonly runs: readonly {
    readonly id: string;
    readonly action: RunRecord['action'];
    readonly why: string;
    readonly nodes: readonly PreviewNode[];
  }[];
  /** Requests that would not open a run, and why. */
  readonly refused: readonly { readonly name: string; readonly reason: string; readonly message: string }[];
  /** Nodes of the policy in the order of their turn. */
  readonly nodes: readonly PreviewNode[];
  readonly holds: Plan['holds'];
  readonly upcoming: readonly number[];
  /** What would be looser than the rules in force. */
  readonly looser: readonly string[];
}

/** Plans the change as if everybody had agreed. Pure: nothing of it is written anywhere. */
export function previewChange(input: PlanInput): Preview {
  const { desired, ledger } = input;
  const policy = desired?.policy && {
    ...desired.policy,
    approval: { ...desired.policy.approval, mode: 'merge' as const },
  };
  const agreed: PlanInput = {
    ...input,
    desired: desired && policy ? { ...desired, policy } : desired,
    settings: { ...input.settings, approvalFloor: 'none' },
    ledger: ledger && withoutRules(ledger),
  };
  const plan = planCluster(agreed);
  const after = desired && acceptedRules(desired, input.fleet);
  const opened = Object.values(plan.ledger.runs).filter(
    (run) => ledger?.runs[run.id] === undefined && !runEnded(run.state),
  );
  const refused = Object.values(plan.ledger.requests).filter(
    ({ name, state }) => ledger?.requests[name] === undefined && (state === 'Refused' || state === 'Expired'),
  );
  const told = nodeTeller(input);
  const turn = byTurn(ledger?.history ?? {}, policy?.rollout.controlPlane ?? 'last', input.settings.ownNode);
  const chosen = policy ? input.observed.nodes.filter((node) => exclusion(node, policy.nodes) === undefined) : [];
  return {
    runs: opened.map((run) => ({
      id: run.id,
      action: run.action,
      why: run.spec.why,
      nodes: selectedNodes(run, input.observed.nodes)
        .sort(turn)
        .map(({ name }) => told(name)),
    })),
    refused: refused.map(({ name, reason, message }) => ({ name, reason, message })),
    nodes: [...chosen].sort(turn).map(({ name }) => told(name)),
    holds: plan.holds,
    upcoming: plan.upcoming,
    looser: ledger?.rules && after ? loosens(ledger.rules.rules, after) : [],
  };
}

/** Without rules that were accepted before, what is wished is the rule. */
function withoutRules({ rules: _rules, ...ledger }: LedgerDocument): LedgerDocument {
  return ledger;
}

function nodeTeller({ desired, observed, ledger, settings }: PlanInput): (name: string) => PreviewNode {
  const rules = desired?.policy?.drain;
  return (name) => {
    const pending = ledger?.history[name]?.pending;
    const pods = observed.pods.get(name);
    const obstacles =
      rules && pods
        ? standingObstacles(podsToMove(pods, rules, settings.jobNamespace), observed.budgets, rules).map(
            ({ reason, message }) => `${reason}: ${message}`,
          )
        : [];
    return { name, pending: pending?.count, reboot: pending?.reboot === true, obstacles };
  };
}

// The gates of a policy that ask somebody else: which ones must be read for this pass, and what their readings mean.
import { gateKey, gateName } from '../model/gate.ts';
import { iso } from '../model/instant.ts';
import type { LedgerDocument, RunRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import type { Gate, OutsideGate, Policy } from '../model/policy.ts';
import type { Hold } from '../model/reason.ts';
import type { PlanInput } from './input.ts';
import { failures, isBootRun } from './records.ts';

/** A closed gate is asked again after this long. */
const askAgainMs = 15_000;
/** A gate that was not read yet is read in the next pass. */
const soonMs = 1_000;

/** Gates that must be read because a run wants to start a node: those that it began with and those of the policy as it is now. */
export function wantedGates(ledger: LedgerDocument | undefined, policy: Policy | undefined): OutsideGate[] {
  const wanted = new Map<string, OutsideGate>();
  for (const run of Object.values(ledger?.runs ?? {})) {
    if (runEnded(run.state) || isBootRun(run) || !wantsToStart(run)) continue;
    for (const gate of gatesFor(run, policy)) if (gate.kind !== 'quiet') wanted.set(gateKey(gate), gate);
  }
  return [...wanted.values()];
}

function wantsToStart(run: RunRecord): boolean {
  if (run.startedAt === undefined) return true;
  return run.state === 'Running' && Object.values(run.nodes).some((record) => record.phase === 'Pending');
}

function gatesFor(run: RunRecord, policy: Policy | undefined): readonly Gate[] {
  return [...run.spec.policy.gates, ...(policy?.gates ?? [])];
}

/** The first gate that is closed or has not been read; undefined when all are open. */
export function closedGate(input: PlanInput, run: RunRecord): Hold | undefined {
  for (const gate of gatesFor(run, input.desired?.policy)) {
    if (gate.kind === 'quiet') {
      const hold = notQuiet(gate, input, run);
      if (hold) return hold;
      continue;
    }
    const reading = input.observed.gates?.get(gateKey(gate));
    if (reading?.open) continue;
    return {
      reason: 'GateBlocked',
      message: `gate ${gateName(gate)}: ${reading?.answer ?? 'has not been read yet'}`,
      until: input.now + (reading ? askAgainMs : soonMs),
    };
  }
  return undefined;
}

/**
 * The newest failure of a node is too near. Failures that the run itself has had count until a person has said that it goes on: then somebody
 * has looked.
 */
function notQuiet(
  gate: Extract<Gate, { readonly kind: 'quiet' }>,
  { ledger, now }: PlanInput,
  run: RunRecord,
): Hold | undefined {
  let last: { readonly node: string; readonly run: string; readonly at: number } | undefined;
  for (const one of Object.values({ ...ledger?.runs, [run.id]: run })) {
    if (one.id === run.id && failures(one) <= one.forgiven) continue;
    for (const record of Object.values(one.nodes)) {
      const failed = record.phase === 'Failed' || record.phase === 'Quarantined';
      const at = record.endedAt;
      if (failed && at !== undefined && at > (last?.at ?? 0)) last = { node: record.node, run: one.id, at };
    }
  }
  if (last === undefined || now >= last.at + gate.forMs) return undefined;
  return {
    reason: 'GateBlocked',
    message: `gate ${gateName(gate)}: ${last.node} failed in run ${last.run} at ${iso(last.at)}`,
    until: last.at + gate.forMs,
  };
}

// The controller's own host: before it is cordoned, the Lease goes to a standby on another node, which does the work in our place.
import type { LedgerDocument, NodeRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { isUnderWay } from '../model/node-phase.ts';
import type { Observed, StandbyView } from '../model/observed.ts';
import type { PlanSettings } from './input.ts';
import { waiting } from './records.ts';
import type { StepContext, StepResult } from './step-context.ts';

/** So long a standby has to take over; then the own host goes as it would without one. */
const handOverMs = 2 * 60_000;

/** What the step sees of the standby. */
type HandOverContext = Pick<StepContext, 'now' | 'run' | 'record' | 'settings' | 'standby'>;

/** The wait for a standby, in place of the cordon of the own host; undefined: nothing is to be handed over, the node goes on. */
export function handingOver(context: HandOverContext): StepResult | undefined {
  const { now, record, settings } = context;
  if (record.node !== settings.ownNode || !helps(context)) return undefined;
  const since = record.handOverSince ?? now;
  const limit = since + handOverMs;
  if (now >= limit) return undefined;
  const { standby } = context;
  const where = standby?.node ? ` on ${standby.node}` : '';
  const told = `this Oakum runs here: ${standby?.identity ?? 'a standby'}${where} takes the Lease before the node is cordoned`;
  return { record: { ...waiting(record, 'HandingOver', told), handOverSince: since }, actions: [], until: limit };
}

/** The record once the cordon goes on: a later way through the run may hand over anew. */
export function handOverDone(record: NodeRecord): NodeRecord {
  return record.handOverSince === undefined ? record : { ...record, handOverSince: undefined };
}

/** Whom the Lease is given to after this pass; undefined: it is kept. */
export function handOverTo(
  ledger: LedgerDocument,
  { observed, settings }: { readonly observed: Pick<Observed, 'standby'>; readonly settings: PlanSettings },
): StandbyView | undefined {
  const waits = Object.values(ledger.runs).some(
    (run) =>
      !runEnded(run.state) &&
      Object.values(run.nodes).some(
        ({ node, phase, reason }) => node === settings.ownNode && phase === 'Cordoning' && reason === 'HandingOver',
      ),
  );
  return waits ? observed.standby : undefined;
}

/** A standby on the same node, or on one that is being worked on, would have to go as well. */
function helps({ run, settings, standby }: HandOverContext): boolean {
  if (standby === undefined || standby.node === settings.ownNode) return false;
  const its = standby.node === undefined ? undefined : run.nodes[standby.node];
  return its === undefined || !isUnderWay(its.phase);
}

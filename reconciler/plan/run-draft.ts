// A run while it is rewritten node by node: each map is copied once, and what has changed is told.
import type { Action } from '../model/action.ts';
import type { LedgerDocument, NodeHistory, NodeRecord, RunRecord } from '../model/ledger.ts';
import { remember } from './history.ts';
import { eventFor } from './marks.ts';
import { addRunIfChanged } from './runs.ts';

/** Holds a run and its ledger for the time of one pass; nothing of it outlives the pass. */
export class RunDraft {
  run: RunRecord;
  ledger: LedgerDocument;
  private readonly before: RunRecord;
  private readonly now: number;
  private freshNodes: Record<string, NodeRecord> | undefined;
  private freshHistory: Record<string, NodeHistory> | undefined;

  constructor(ledger: LedgerDocument, run: RunRecord, now: number) {
    this.ledger = ledger;
    this.run = run;
    this.before = run;
    this.now = now;
  }

  /** Writes a node's record, and what follows from it for the node's history. */
  set(record: NodeRecord): void {
    const before = this.run.nodes[record.node];
    if (before === record) return;
    // Copied once, not for every node: a pass over a thousand nodes would copy a million records.
    this.freshNodes ??= { ...this.run.nodes };
    this.freshNodes[record.node] = record;
    if (this.run.nodes !== this.freshNodes) this.run = { ...this.run, nodes: this.freshNodes };
    const history = remember(this.ledger.history[record.node], before, record, this.run, this.now);
    if (history) this.remember(record.node, history);
  }

  /** Writes what is known of a node across runs. */
  remember(name: string, history: NodeHistory): void {
    this.freshHistory ??= { ...this.ledger.history };
    this.freshHistory[name] = history;
    if (this.ledger.history !== this.freshHistory) this.ledger = { ...this.ledger, history: this.freshHistory };
  }

  /** Stops the run from starting nodes until a person acts. */
  pause(reason: 'Paused' | 'NotRejoined', message: string): void {
    if (this.run.state === 'Paused') return;
    this.run = { ...this.run, state: 'Paused', reason, message, since: this.now };
  }

  /** The ledger with the run, the same ledger when nothing has changed. */
  written(): LedgerDocument {
    return addRunIfChanged(this.ledger, this.run);
  }

  /** Events on the nodes whose records have changed. */
  events(): Action[] {
    const events: Action[] = [];
    for (const record of Object.values(this.run.nodes)) {
      const before = this.before.nodes[record.node];
      const event = before === record ? undefined : eventFor(this.run, before, record);
      if (event) events.push(event);
    }
    return events;
  }
}

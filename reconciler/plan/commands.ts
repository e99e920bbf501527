// Requests that steer runs: resume, retry, abort, skip, reset.
import type { Request } from '../model/desired.ts';
import type { LedgerDocument, NodeRecord, RunRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { isEnd, isUnderWay } from '../model/node-phase.ts';
import type { Reason } from '../model/reason.ts';
import { matches } from '../model/selector.ts';
import type { PlanInput } from './input.ts';
import { freshRecord, failures, isBeside } from './records.ts';

/** What a command did, in words. */
export interface CommandAnswer {
  readonly ledger: LedgerDocument;
  readonly done: boolean;
  readonly reason: Reason;
  readonly message: string;
  readonly run: string | undefined;
}

/** Carries out a request that steers a run. It changes the ledger only; what follows from it is planned as always. */
export function applyCommand(ledger: LedgerDocument, request: Request, input: PlanInput): CommandAnswer {
  const refuse = (message: string): CommandAnswer => ({
    ledger,
    done: false,
    reason: 'NothingToDo',
    message,
    run: undefined,
  });
  const run = request.run === undefined ? steerable(ledger) : ledger.runs[request.run];
  if (!run)
    return refuse(
      request.run === undefined ? 'no run is under way, waiting or paused' : `there is no run ${request.run}`,
    );
  const answer = (next: RunRecord, reason: Reason, message: string): CommandAnswer => ({
    ledger: { ...ledger, runs: { ...ledger.runs, [next.id]: next } },
    done: true,
    reason,
    message,
    run: next.id,
  });
  switch (request.action) {
    case 'resume':
      if (run.state !== 'Paused') return refuse(`run ${run.id} is ${run.state}, not Paused`);
      return answer(resumed(run, input.now), 'Completed', `run ${run.id} goes on`);
    case 'abort':
      if (runEnded(run.state)) return refuse(`run ${run.id} has ended already (${run.state})`);
      return answer(
        aborted(run, input.now, request.reason),
        'Aborted',
        `run ${run.id} starts no further node; nodes under way finish`,
      );
    case 'retry': {
      if (runEnded(run.state))
        return refuse(`run ${run.id} has ended (${run.state}); commit a request with action patch instead`);
      const chosen = choose(
        run,
        request,
        input,
        (record) => record.phase === 'Failed' || record.phase === 'Quarantined' || record.phase === 'Skipped',
      );
      if (chosen.length === 0) return refuse(`no failed or skipped node of run ${run.id} matches`);
      return answer(
        resumed(again(run, chosen, input.now), input.now),
        'Completed',
        `tries again: ${chosen.join(', ')}`,
      );
    }
    case 'reset': {
      if (runEnded(run.state))
        return refuse(`run ${run.id} has ended (${run.state}); commit a request with action patch instead`);
      if (run.reason === 'Aborted') return refuse(`run ${run.id} is being aborted; it starts no node`);
      const chosen = choose(run, request, input, (record) => isEnd(record.phase));
      if (chosen.length === 0) return refuse(`no finished node of run ${run.id} matches`);
      return answer(again(run, chosen, input.now), 'Completed', `patches again: ${chosen.join(', ')}`);
    }
    case 'skip': {
      const chosen = choose(run, request, input, (record) => record.phase === 'Pending');
      if (chosen.length === 0) return refuse(`no waiting node of run ${run.id} matches (a node under way finishes)`);
      const nodes = { ...run.nodes };
      for (const name of chosen) {
        const record = nodes[name];
        if (record)
          nodes[name] = {
            ...record,
            phase: 'Skipped',
            reason: 'SkippedByPerson',
            message: request.reason || `request ${request.name}`,
            since: input.now,
            endedAt: input.now,
          };
      }
      return answer({ ...run, nodes }, 'Completed', `skips: ${chosen.join(', ')}`);
    }
    case 'patch':
    case 'reboot':
    case 'maintenance':
    case 'pause':
      return refuse('this action is not about a run');
  }
}

/** The run that a command without a name means: the one under way or paused, else the oldest that waits. */
function steerable(ledger: LedgerDocument): RunRecord | undefined {
  const open = Object.values(ledger.runs).filter((run) => !runEnded(run.state) && !isBeside(run));
  return (
    open.find((run) => run.state === 'Running' || run.state === 'Paused') ??
    open.sort((a, b) => a.createdAt - b.createdAt)[0]
  );
}

function choose(run: RunRecord, request: Request, input: PlanInput, suits: (record: NodeRecord) => boolean): string[] {
  const { selector } = request;
  return Object.values(run.nodes)
    .filter((record) => suits(record))
    .filter((record) => request.nodes.length === 0 || request.nodes.includes(record.node))
    .filter((record) => {
      if (!selector) return true;
      const node = input.observed.nodes.find((one) => one.name === record.node);
      return node !== undefined && matches(selector, node.labels);
    })
    .map((record) => record.node)
    .sort();
}

function again(run: RunRecord, names: readonly string[], now: number): RunRecord {
  const nodes = { ...run.nodes };
  for (const name of names) {
    const record = nodes[name];
    if (record) nodes[name] = { ...freshRecord(record, now), drainTries: 0 };
  }
  return { ...run, nodes };
}

function resumed(run: RunRecord, now: number): RunRecord {
  return {
    ...run,
    state: run.startedAt === undefined ? 'Scheduled' : 'Running',
    reason: 'Due',
    message: 'goes on after a pause',
    since: now,
    forgiven: failures(run),
  };
}

function aborted(run: RunRecord, now: number, why: string): RunRecord {
  const nodes: Record<string, NodeRecord> = {};
  let working = 0;
  for (const record of Object.values(run.nodes)) {
    if (isUnderWay(record.phase)) working++;
    nodes[record.node] =
      record.phase === 'Pending'
        ? { ...record, phase: 'Skipped', reason: 'Aborted', message: why, since: now, endedAt: now }
        : record;
  }
  if (working === 0)
    return {
      ...run,
      nodes,
      state: 'Aborted',
      reason: 'Aborted',
      message: why || 'ended by a request',
      since: now,
      endedAt: now,
    };
  return {
    ...run,
    nodes,
    state: 'Running',
    reason: 'Aborted',
    message: why || 'ended by a request; nodes under way finish',
    since: now,
  };
}

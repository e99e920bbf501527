// Pauses: requests that keep single nodes from being started, for as long as their file is there or until a time; the rest goes on.
import type { Request } from '../model/desired.ts';
import { iso } from '../model/instant.ts';
import type { LedgerDocument, NodeRecord, RequestRecord } from '../model/ledger.ts';
import type { NodeView } from '../model/observed.ts';
import type { Hold } from '../model/reason.ts';
import { matches } from '../model/selector.ts';
import type { PlanInput } from './input.ts';

type Wishes = Pick<PlanInput, 'desired' | 'now'>;

/** Whether the request pauses nodes now. It is a state, not an act: an edited file counts as it is, and one that comes back counts again. */
function inForce(request: Request, now: number): boolean {
  return (
    request.action === 'pause' &&
    (request.notBefore ?? now) <= now &&
    (request.until === undefined || now < request.until)
  );
}

function isMeant(node: NodeView, request: Request): boolean {
  if (request.nodes.length > 0 && !request.nodes.includes(node.name)) return false;
  return request.selector === undefined || matches(request.selector, node.labels);
}

/** Why the node may not be started now, because a person has paused it; the pause that lasts longest is told. */
export function pausedBy(node: NodeView, { desired, now }: Wishes): Hold | undefined {
  const pauses = (desired?.requests ?? [])
    .filter((request) => inForce(request, now) && isMeant(node, request))
    .sort((a, b) => (b.until ?? Infinity) - (a.until ?? Infinity) || (a.name < b.name ? -1 : 1));
  const [pause] = pauses;
  return (
    pause && {
      reason: 'NodePaused',
      message: `request ${pause.name} pauses the node${pause.reason === '' ? '' : `: ${pause.reason}`}`,
      until: pause.until,
    }
  );
}

/** What is remembered of a request that pauses: told anew at every pass, so that it is true of the nodes that there are. */
export function pauseRecord(request: Request, known: RequestRecord | undefined, input: PlanInput): RequestRecord {
  const { now } = input;
  const said = tell(request, input);
  return {
    name: request.name,
    oid: request.oid,
    firstSeen: known?.firstSeen ?? Math.min(input.committedAt, now),
    ...said,
    since: known?.reason === said.reason && known.state === said.state ? known.since : now,
    run: undefined,
  };
}

function tell(request: Request, { observed, now }: PlanInput): Pick<RequestRecord, 'state' | 'reason' | 'message'> {
  if (request.until !== undefined && now >= request.until)
    return { state: 'Done', reason: 'Completed', message: `its time, until ${iso(request.until)}, has passed` };
  if (request.notBefore !== undefined && request.notBefore > now)
    return { state: 'Waiting', reason: 'NotYet', message: `waits for ${iso(request.notBefore)} (notBefore)` };
  const names = observed.nodes
    .filter((node) => isMeant(node, request))
    .map((node) => node.name)
    .sort();
  const unknown = request.nodes.filter((name) => !observed.nodes.some((node) => node.name === name));
  const which = unknown.length > 0 ? `; there is no node ${unknown.join(', ')}` : '';
  if (names.length === 0)
    return { state: 'Registered', reason: 'NoMatchingNodes', message: `no node of the cluster matches now${which}` };
  const some = `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;
  return { state: 'Registered', reason: 'NodePaused', message: `pauses ${some}${which}` };
}

/** A pause whose file was taken away is over. Of all requests only pauses are registered without a run. */
export function withdrawnPause(record: RequestRecord, now: number): RequestRecord | undefined {
  if (record.state !== 'Registered' || record.run !== undefined) return undefined;
  return {
    ...record,
    state: 'Done',
    reason: 'Completed',
    message: 'the file was taken away; its nodes go on',
    since: now,
  };
}

/** Why a run whose nodes all wait for the end of a pause is not at work; undefined while another one of its nodes waits for something else. */
export function allPaused(pending: readonly NodeRecord[], holds: ReadonlyMap<string, Hold>): Hold | undefined {
  const paused = pending.map((record) => holds.get(record.node)).filter((hold) => hold?.reason === 'NodePaused');
  if (pending.length === 0 || paused.length < pending.length) return undefined;
  const names = pending.map((record) => record.node).sort();
  return {
    reason: 'NodePaused',
    message: `${names.length} ${names.length === 1 ? 'node that is left is' : 'nodes that are left are'} paused: ${names.slice(0, 5).join(', ')}`,
    until: undefined,
  };
}

/** When a request, or a run that waits, becomes due or ends by its time; a pass must not sleep past it. */
export function nextDue(ledger: LedgerDocument, { desired, now }: Wishes): number | undefined {
  const waiting = (desired?.requests ?? []).filter(
    (request) => request.action === 'pause' || ledger.requests[request.name]?.state === 'Waiting',
  );
  const runs = Object.values(ledger.runs).filter((run) => run.endedAt === undefined && run.startedAt === undefined);
  const times = [
    ...waiting.flatMap((request) => [request.notBefore, request.until]),
    ...runs.flatMap((run) => [run.notBefore, run.validUntil]),
  ];
  const ahead = times.filter((at): at is number => at !== undefined && at > now);
  return ahead.length === 0 ? undefined : Math.min(...ahead);
}

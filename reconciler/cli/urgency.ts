// Which changes of status a person waits for: these are pushed sooner than the interval.
import type { StatusDocument } from '../model/status.ts';

/** True when a run began, paused or ended, a request was answered, a node failed, a hold came or went, or a problem appeared. */
export function isUrgent(before: StatusDocument | undefined, after: StatusDocument): boolean {
  return before === undefined || news(before) !== news(after);
}

/** Everything that is urgent when it changes, as one text to compare. */
function news(doc: StatusDocument): string {
  return JSON.stringify([
    doc.observedCommit,
    doc.runs.map((run) => [run.id, run.state]),
    doc.requests.map((request) => [request.name, request.state]),
    doc.conditions.map((one) => [one.type, one.status, one.reason]).filter(([type]) => type === 'Ready'),
    doc.counts.failed,
    doc.holds[0]?.reason,
    doc.problems.length,
  ]);
}

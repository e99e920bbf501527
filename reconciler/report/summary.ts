// One sentence about a cluster, and the commit message that carries it.
import { runEnded } from '../model/ledger.ts';
import type { RunStatus, StatusDocument } from '../model/status.ts';

/** What a person wants to know first: how many nodes are done, what goes on, and what is wrong. Plain text. */
export function summarize(doc: StatusDocument): string {
  const { counts } = doc;
  const parts = [`${counts.upToDate} of ${counts.nodes} nodes up to date when last looked at`];
  if (counts.pending > 0) parts.push(`${counts.pending} with updates or a reboot pending`);
  if (counts.underWay > 0) parts.push(`${counts.underWay} under way`);
  if (counts.failed > 0) parts.push(`${counts.failed} failed`);
  if (counts.excluded > 0) parts.push(`${counts.excluded} excluded`);
  const [main] = doc.conditions.filter((one) => one.type === 'Ready' && one.status === 'False');
  const [hold] = doc.holds;
  const why = main ? `${main.reason}: ${main.message}` : hold ? `${hold.reason}: ${hold.message}` : undefined;
  return `${parts.join(', ')}.${why === undefined ? '' : ` ${stop(why)}`}`;
}

/** The run that people ask about: the one under way, else the one that waits longest, else the newest that ended. */
export function mainRun(doc: StatusDocument): RunStatus | undefined {
  const open = doc.runs.filter((run) => !runEnded(run.state));
  return open.find((run) => run.started !== undefined) ?? open.at(-1) ?? doc.runs[0];
}

/** Message of a status commit: a subject of at most 72 characters, and the config commits that it answers to. */
export function commitMessage(docs: readonly StatusDocument[]): string {
  const [first] = docs;
  const commits = [...new Set(docs.map((doc) => doc.observedCommit).filter((commit) => commit !== ''))].sort();
  const failed = docs.reduce((sum, doc) => sum + doc.counts.failed, 0);
  const subject =
    first === undefined
      ? 'fleet pages'
      : docs.length === 1
        ? `${shorten(first.cluster, 30)} ${tellRun(first)}`
        : `${docs.length} clusters${failed > 0 ? `, ${failed} nodes failed` : ''}`;
  const trailers = commits.slice(0, 20).map((commit) => `Config-Commit: ${commit}`);
  return [`status: ${subject}`, ...(trailers.length > 0 ? ['', ...trailers] : []), ''].join('\n');
}

function tellRun(doc: StatusDocument): string {
  const run = mainRun(doc);
  if (!run) return `${doc.counts.nodes} nodes, ${doc.counts.pending} pending`;
  const { counts } = run;
  if (counts.total === 0) return `run ${shorten(run.state, 20)}`;
  const parts = [`${counts.patched} patched`];
  if (counts.skipped > 0) parts.push(`${counts.skipped} skipped`);
  if (counts.failed > 0) parts.push(`${counts.failed} failed`);
  if (counts.waiting > 0) parts.push(`${counts.waiting} to go`);
  return parts.join(', ');
}

function shorten(text: string, longest: number): string {
  return text.length <= longest ? text : `${text.slice(0, longest - 1)}…`;
}

function stop(sentence: string): string {
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
}

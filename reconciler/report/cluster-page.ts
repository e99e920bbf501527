// The page of one cluster, for people.
import { runEnded } from '../model/ledger.ts';
import { reasons } from '../model/reason.ts';
import type { NodeStatus, RunStatus, StatusDocument } from '../model/status.ts';
import { code, link, page, plain, table } from './markdown.ts';
import { shortTime } from './moment.ts';
import { summarize } from './summary.ts';

/** `clusters/<name>/README.md`. `archived` names the runs that have a file in `runs/`. */
export function clusterPage(doc: StatusDocument, archived: ReadonlySet<string>): string {
  return page([
    `# ${plain(doc.cluster)}`,
    plain(summarize(doc)),
    table(
      ['Condition', 'Status', 'Reason', 'Since (UTC)', 'Message'],
      doc.conditions.map((one) => [one.type, one.status, one.reason, shortTime(one.since), plain(one.message)]),
    ),
    ...holdParts(doc),
    ...problemParts(doc),
    '## Nodes',
    doc.nodes.length === 0
      ? 'No node was seen.'
      : table(
          ['Node', 'Phase', 'Reason', 'Message', 'What comes next', 'Last patched (UTC)', 'Version', 'Pending'],
          doc.nodes.map(nodeRow),
        ),
    '## Runs',
    doc.runs.length === 0
      ? 'There was no run yet.'
      : table(
          ['Run', 'State', 'Trigger', 'Nodes', 'Created (UTC)', 'Ended (UTC)', 'Reason', 'Message'],
          doc.runs.map((run) => runRow(run, archived)),
        ),
    ...requestParts(doc),
    ...rolloutParts(doc),
    '## Policy',
    policyText(doc),
    footer(doc),
  ]);
}

function holdParts(doc: StatusDocument): string[] {
  if (doc.holds.length === 0) return [];
  const rows = doc.holds.map((hold) => [
    hold.reason,
    plain(hold.message),
    shortTime(hold.until),
    plain(reasons[hold.reason].wayOut),
  ]);
  return ['## What holds', table(['Reason', 'Message', 'Until (UTC)', 'Way out'], rows)];
}

function problemParts(doc: StatusDocument): string[] {
  if (doc.problems.length === 0) return [];
  const rows = doc.problems.map((problem) => [
    code(`${problem.file}:${problem.line}:${problem.column}`),
    code(problem.path),
    plain(problem.message),
  ]);
  return ['## Problems in the configuration', table(['Where', 'Field', 'Problem'], rows)];
}

function nodeRow(node: NodeStatus): string[] {
  const since = node.pendingSince === undefined ? '' : ` since ${node.pendingSince.slice(0, 10)}`;
  const late = node.overdueSince === undefined ? '' : ', too old';
  const pending = node.pendingUpdates === undefined ? 'not known' : `${node.pendingUpdates}${since}${late}`;
  return [
    code(node.name),
    node.phase,
    node.reason,
    plain(node.message),
    plain(node.at === undefined ? node.next : `${node.next} (${shortTime(node.at)} UTC)`),
    shortTime(node.lastPatched),
    plain(node.patchedVersion || node.osImage),
    node.rebootRequired ? `${pending}, reboot` : pending,
  ];
}

function runRow(run: RunStatus, archived: ReadonlySet<string>): string[] {
  return [
    runEnded(run.state) && archived.has(run.id) ? link(run.id, `runs/${run.id}.yaml`) : code(run.id),
    run.state,
    plain(run.why === '' ? run.trigger : `${run.trigger}: ${run.why}`),
    tellCounts(run.counts),
    shortTime(run.created),
    shortTime(run.ended),
    run.reason,
    plain(run.message),
  ];
}

function tellCounts(counts: RunStatus['counts']): string {
  const parts = [`${counts.patched} patched`];
  if (counts.skipped > 0) parts.push(`${counts.skipped} skipped`);
  if (counts.failed > 0) parts.push(`${counts.failed} failed`);
  if (counts.waiting > 0) parts.push(`${counts.waiting} to go`);
  return parts.join(', ');
}

function requestParts(doc: StatusDocument): string[] {
  if (doc.requests.length === 0) return [];
  const rows = doc.requests.map((request) => [
    code(request.name),
    request.state,
    request.reason,
    plain(request.message),
    shortTime(request.since),
    code(request.run ?? ''),
  ]);
  return ['## Requests', table(['Request', 'State', 'Reason', 'Message', 'Since (UTC)', 'Run'], rows)];
}

function rolloutParts({ rollouts = [] }: StatusDocument): string[] {
  if (rollouts.length === 0) return [];
  const rows = rollouts.flatMap(({ name, runs }) =>
    runs.length === 0
      ? [[code(name), '', '', '', '', 'takes part from the next start on']]
      : runs.map((run) => [
          code(run.id),
          plain(run.wave),
          run.state,
          run.reason,
          shortTime(run.ended ?? run.since),
          plain(run.mendedBy === undefined ? run.message : `${run.message}; made good by ${run.mendedBy}`),
        ]),
  );
  return ['## Rollouts', table(['Run', 'Wave', 'State', 'Reason', 'Since (UTC)', 'Message'], rows)];
}

function policyText({ policy }: StatusDocument): string {
  if (!policy) return 'There is no valid policy, so nothing new is started.';
  const windows = policy.windows.length === 0 ? 'always open' : policy.windows.join('; ');
  const next = policy.next.length === 0 ? 'none' : policy.next.map((time) => `${shortTime(time)} UTC`).join(', ');
  return [
    `- Policy: ${code(policy.name)}`,
    `- Schedule: ${plain(policy.schedule)}`,
    `- Windows: ${plain(windows)}`,
    `- Next: ${next}`,
    ...(policy.approval === undefined ? [] : [`- Approval: ${plain(policy.approval)}`]),
  ].join('\n');
}

function footer(doc: StatusDocument): string {
  const commit =
    doc.observedCommit === ''
      ? 'No config commit was accepted yet'
      : `Answers to config commit ${code(doc.observedCommit)}`;
  return `${commit}. ${link('status.yaml', 'status.yaml')} says the same for programs; ${link('fleet', '../../README.md')}.`;
}

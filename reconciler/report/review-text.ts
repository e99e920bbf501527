// What pull requests say: the proposal of a run, and the plan of a change, for people who have to agree to it.
import type { Ceiling, ForgeKind } from '../model/approval.ts';
import type { Problem } from '../model/failure.ts';
import type { RunRecord } from '../model/ledger.ts';
import { apiVersion } from '../model/names.ts';
import { clean } from './clean.ts';
import type { Difference } from './differences.ts';
import { code, page, plain, table } from './markdown.ts';
import { factTime, moment } from './moment.ts';
import { tellTrigger } from './run-status.ts';
import { yamlText } from './yaml-text.ts';

/** Nodes and differences that one comment shows; the rest is counted. */
const mostRows = 30;
/** Packages that a commit message names. */
const mostPackages = 100;

/** Where the file of a proposed run lies. */
export function proposalPath(cluster: string, run: string): string {
  return `clusters/${cluster}/runs/${run}.yaml`;
}

/** The file of a proposed run (schemas/patch-run.schema.json): the same bytes for the same run and ceiling. */
export function proposalYaml(cluster: string, run: RunRecord, ceiling: Ceiling): string {
  const { nodes, packages, reboots, force } = ceiling;
  return yamlText({
    apiVersion,
    kind: 'PatchRun',
    metadata: { name: run.id },
    spec: {
      cluster,
      trigger: clean(run.triggers.map(tellTrigger).join(' and ')),
      action: run.action === 'reboot' ? 'reboot' : 'patch',
      notBefore: moment(run.notBefore),
      expires: moment(run.validUntil),
      digest: run.digest,
      ceiling: { nodes, packages, reboots, force },
    },
  });
}

/** Nodes of a preview, as `plan/preview.ts` makes them. */
export interface NodeRow {
  readonly name: string;
  readonly pending: number | undefined;
  readonly reboot: boolean;
  readonly obstacles: readonly string[];
}

/** Title and text of the pull request that proposes a run, and subject and body of its commit: with plain Git that is all that people see. */
export function proposalText(
  cluster: string,
  run: RunRecord,
  ceiling: Ceiling,
  rows: readonly NodeRow[],
  forge: ForgeKind,
): { readonly title: string; readonly text: string; readonly message: string } {
  const when = run.notBefore === undefined ? 'as soon as it is approved' : `at ${factTime(run.notBefore)}`;
  const title = `Patch ${cluster}: run ${run.id}`;
  const most =
    ceiling.packages === undefined ? 'any package of the policy’s scope' : `${ceiling.packages.length} packages`;
  const sentence = `Oakum wants to ${run.action} up to ${ceiling.nodes} ${ceiling.nodes === 1 ? 'node' : 'nodes'} of the cluster ${cluster} ${when}.`;
  const text = page([
    sentence,
    `Merging this approves the run if enough of the approvers approved it on its head before. What is approved is exactly what is here, and the policy as it is: at most ${ceiling.nodes} nodes, ${most}, at most ${ceiling.reboots} reboots${ceiling.force ? ', **and pods may be deleted past their budgets**' : ''}. More, or anything else, is proposed anew. Without approval the run ends at ${factTime(run.validUntil)} as \`NotApproved\`.`,
    '### Nodes, in their order',
    nodeTable(rows),
    'To refuse, close this pull request.',
  ]);
  const ends = `Without approval the run ends at ${factTime(run.validUntil)} as NotApproved.`;
  const message = [
    title,
    sentence,
    `Approved is exactly this content and the policy as it is here: at most ${ceiling.nodes} nodes, ${most}, at most ${ceiling.reboots} reboots${ceiling.force ? ', and pods may be deleted past their budgets' : ''}. ${ends}`,
    ['Nodes, in their order:', ...nodeLines(rows)].join('\n'),
    ...(ceiling.packages === undefined || ceiling.packages.length === 0
      ? []
      : [
          `Packages: ${ceiling.packages
            .slice(0, mostPackages)
            .map((name) => clean(name))
            .join(', ')}${more(ceiling.packages, mostPackages)}`,
        ]),
    ...(forge === 'git' ? [`To approve: oakum approve ${run.id} --cluster ${cluster}`] : []),
  ].join('\n\n');
  return { title, text, message: `${message}\n` };
}

/** Nodes for a commit message. */
function nodeLines(rows: readonly NodeRow[]): string[] {
  if (rows.length === 0) return ['- none now'];
  const lines = rows.slice(0, mostRows).map(({ name, pending, reboot, obstacles }) => {
    const updates = pending === undefined ? 'updates not known yet' : `${pending} pending updates`;
    const way = obstacles.length > 0 ? `; in the way of a drain: ${clean(obstacles.join('; '))}` : '';
    return `- ${clean(name)}: ${updates}${reboot ? ', a reboot is expected' : ''}${way}`;
  });
  return rows.length > mostRows ? [...lines, `- and ${rows.length - mostRows} more`] : lines;
}

function more(all: readonly string[], shown: number): string {
  return all.length > shown ? `, and ${all.length - shown} more` : '';
}

/** What a change means for one cluster. */
export interface PendingCluster {
  readonly cluster: string;
  readonly problems: readonly Problem[];
  readonly differences: readonly Difference[];
  readonly looser: readonly string[];
  readonly runs: readonly {
    readonly id: string;
    readonly action: string;
    readonly why: string;
    readonly nodes: readonly NodeRow[];
  }[];
  readonly refused: readonly { readonly name: string; readonly reason: string; readonly message: string }[];
  readonly nodes: readonly NodeRow[];
  readonly holds: readonly { readonly reason: string; readonly message: string }[];
  readonly upcomingBefore: readonly number[];
  readonly upcoming: readonly number[];
  /** Whether the reviews of this pull request are enough, as a sentence. */
  readonly approval: string;
}

/** The comment on a pull request, cut to the forge's limit by whole parts; its first line is the marker by which it is found again. */
export function planComment(
  marker: string,
  head: string,
  clusters: readonly PendingCluster[],
  others: readonly Problem[],
  limit: number,
): string {
  const intro = `${marker}\n**Plan** of ${code(head.slice(0, 12))}, with the rules of the branch it goes to.`;
  const parts = [
    ...(others.length > 0 ? [problemTable(others)] : []),
    ...clusters.map((one) => clusterPart(one)),
    ...(clusters.length === 0 && others.length === 0
      ? ['Nothing changes for any cluster that this Oakum works on.']
      : []),
  ];
  let text = intro;
  let left = parts.length;
  for (const part of parts) {
    const next = `${text}\n\n${part}`;
    const note = `\n\n…and ${left} more; see \`oakum plan\` and \`oakum validate\`.`;
    if (next.length + note.length > limit) return unmentioned(`${text}${note}`).slice(0, limit);
    text = next;
    left--;
  }
  return unmentioned(`${text}\n`).slice(0, limit);
}

/** Names stay readable and call nobody. */
function unmentioned(text: string): string {
  return text.replace(/@(?=[A-Za-z0-9])/g, '@\u200b');
}

/** The sentence of the commit status, at most 140 characters, and whether it is good. */
export function planStatus(
  clusters: readonly PendingCluster[],
  others: readonly Problem[],
): { readonly ok: boolean; readonly text: string } {
  const problems = others.length + clusters.reduce((sum, { problems: found }) => sum + found.length, 0);
  if (problems > 0) {
    const first = others[0] ?? clusters.flatMap((one) => one.problems)[0];
    const where = first ? `: ${first.file}:${first.line}:${first.column}` : '';
    return { ok: false, text: `${problems} ${problems === 1 ? 'problem' : 'problems'}${where}`.slice(0, 140) };
  }
  const runs = clusters.reduce((sum, one) => sum + one.runs.length, 0);
  const nodes = clusters.reduce((sum, one) => sum + one.runs.reduce((all, run) => all + run.nodes.length, 0), 0);
  if (clusters.length === 0) return { ok: true, text: 'changes nothing for any cluster' };
  const names = clusters.map(({ cluster }) => cluster).join(', ');
  return {
    ok: true,
    text: (runs > 0
      ? `opens ${runs} ${runs === 1 ? 'run' : 'runs'} on ${nodes} nodes of ${names}`
      : `changes ${names}`
    ).slice(0, 140),
  };
}

function clusterPart(one: PendingCluster): string {
  return page([
    `### ${plain(one.cluster)}`,
    one.problems.length > 0 ? problemTable(one.problems) : undefined,
    one.looser.length > 0
      ? `**Loosens the rules**, which needs approval under the rules in force: ${plain(one.looser.join('; '))}.`
      : undefined,
    one.differences.length > 0
      ? table(
          ['Field', 'Now', 'Then'],
          one.differences
            .slice(0, mostRows)
            .map(({ path, before, after }) => [code(path), plain(before), plain(after)]),
        )
      : undefined,
    one.differences.length > mostRows ? `…and ${one.differences.length - mostRows} more fields.` : undefined,
    ...one.runs.flatMap((run) => [
      `Run ${code(run.id)} (${plain(run.action)}${run.why === '' ? '' : `: ${plain(run.why)}`}), ${run.nodes.length} nodes in this order:`,
      nodeTable(run.nodes),
    ]),
    ...one.refused.map(
      ({ name, reason, message }) => `Request ${code(name)} would be refused: ${reason}: ${plain(clean(message))}`,
    ),
    one.runs.length === 0 && one.nodes.length > 0 && one.differences.length > 0
      ? `The policy would then be about ${one.nodes.length} nodes: ${plain(
          one.nodes
            .slice(0, mostRows)
            .map(({ name }) => name)
            .join(', '),
        )}`
      : undefined,
    calendar(one),
    ...one.holds.slice(0, 5).map(({ reason, message }) => `Would wait: ${reason}: ${plain(clean(message))}`),
    one.approval === '' ? undefined : `Approval: ${plain(one.approval)}`,
  ]);
}

function calendar({ upcoming, upcomingBefore }: PendingCluster): string | undefined {
  const tell = (slots: readonly number[]): string => slots.map((at) => factTime(at)).join(', ') || 'none';
  if (tell(upcoming) === tell(upcomingBefore))
    return upcoming.length === 0 ? undefined : `Next times: ${tell(upcoming)}`;
  return `Next times: ${tell(upcoming)} (now: ${tell(upcomingBefore)})`;
}

function nodeTable(rows: readonly NodeRow[]): string {
  if (rows.length === 0) return 'No node.';
  const shown = rows.slice(0, mostRows);
  const text = table(
    ['Node', 'Pending updates', 'Reboot', 'In the way of a drain'],
    shown.map(({ name, pending, reboot, obstacles }) => [
      plain(name),
      pending === undefined ? 'not known yet' : String(pending),
      reboot ? 'expected' : '',
      plain(clean(obstacles.join('; '))),
    ]),
  );
  return rows.length > mostRows ? `${text}\n\n…and ${rows.length - mostRows} more nodes.` : text;
}

function problemTable(problems: readonly Problem[]): string {
  const rows = problems
    .slice(0, mostRows)
    .map(({ file, line, column, message }) => [code(`${file}:${line}:${column}`), plain(clean(message))]);
  return table(['Where', 'Problem'], rows);
}

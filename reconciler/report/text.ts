// Tables and sentences for the terminal: `oakum plan`, `oakum status`, `oakum why`, and the demo.
import Table from 'cli-table3';
import type { Action } from '../model/action.ts';
import type { Plan } from '../model/plan.ts';
import { isReason, reasons } from '../model/reason.ts';
import type { FleetRolloutStatus, NodeStatus, StatusDocument } from '../model/status.ts';
import { clean } from './clean.ts';
import { moment, shortTime } from './moment.ts';
import { mainRun, summarize } from './summary.ts';

/** What `oakum plan` prints is told from this part of a pass. */
export interface PlannedPass {
  readonly name: string;
  readonly now: number;
  readonly source: { readonly commit: string | undefined };
  readonly plan: Plan;
}

/** Columns that hold sentences: these are wrapped where a terminal is too narrow. Names and times stay whole. */
const sentences = new Set(['MESSAGE', 'NEXT', 'WAITED FOR']);

/** Narrower than this a sentence cannot be read. */
const narrowest = 20;

const padding = 2;

/**
 * A table without colours and with as few lines as can be read. `width`: columns of the terminal; sentences are wrapped to fit into it. Without
 * it, as for a pipe, every row is one line. Nothing is cut.
 */
function textTable(head: readonly string[], given: readonly (readonly string[])[], width: number | undefined): string {
  const rows = given.map((row) => row.map((cell) => (cell === '' ? '–' : clean(cell))));
  const table = new Table({
    head: [...head],
    ...(width === undefined ? {} : { colWidths: columnWidths(head, rows, width), wordWrap: true }),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': padding },
    chars: {
      top: '',
      'top-mid': '',
      'top-left': '',
      'top-right': '',
      bottom: '',
      'bottom-mid': '',
      'bottom-left': '',
      'bottom-right': '',
      left: '',
      'left-mid': '',
      mid: '',
      'mid-mid': '',
      right: '',
      'right-mid': '',
      middle: '',
    },
  });
  table.push(...rows);
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** Each column as wide as its widest cell, and sentences narrower by turns until all fit or only their longest words do. */
function columnWidths(head: readonly string[], rows: readonly (readonly string[])[], width: number): number[] {
  const cells = head.map((name, at) => [name, ...rows.map((row) => row[at] ?? '')]);
  const widths = cells.map((texts) => padding + longest(texts));
  const least = cells.map((texts) => padding + Math.max(narrowest, longest(texts.flatMap((text) => text.split(' ')))));
  // The padding of the last column is not seen.
  for (let over = widths.reduce((sum, one) => sum + one, -padding) - width; over > 0; over--) {
    const room = (at: number): number => (sentences.has(head[at] ?? '') ? (widths[at] ?? 0) - (least[at] ?? 0) : 0);
    const [widest] = [...widths.keys()]
      .filter((at) => room(at) > 0)
      .sort((one, two) => (widths[two] ?? 0) - (widths[one] ?? 0));
    if (widest === undefined) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

function longest(texts: readonly string[]): number {
  return texts.reduce((most, text) => Math.max(most, cellsOf(text)), 0);
}

/** How many cells of a terminal a text takes, at most: scripts beyond the alphabets may take two each. */
function cellsOf(text: string): number {
  return [...text].reduce((sum, char) => sum + (char > '\u10ff' ? 2 : 1), 0);
}

/** What a pass would do now, what it would not do, and why. Ends with a newline. `width`: columns of the terminal. */
export function planText(result: PlannedPass, width?: number): string {
  const { plan } = result;
  const runs = Object.values(plan.ledger.runs).filter((run) => run.endedAt === undefined);
  const actions = plan.actions.flatMap((action) => tellAction(action) ?? []);
  return joinLines([
    `cluster ${result.name} at ${moment(result.now) ?? 'an unknown time'}, config commit ${result.source.commit?.slice(0, 12) ?? '(none read yet)'}`,
    ...plan.holds.map((hold) => {
      const until = moment(hold.until);
      return `holds: ${hold.reason}: ${clean(hold.message)}${until === undefined ? '' : ` (until ${until})`}`;
    }),
    ...runs.map((run) => `run ${run.id} ${run.state}: ${run.reason}: ${clean(run.message)}`),
    ...Object.entries(plan.ledger.requests)
      .filter(([, request]) => request.state === 'Waiting')
      .map(([name, { reason, message }]) => `request ${name} waits: ${reason}: ${clean(message)}`),
    '',
    plan.nodes.length === 0
      ? 'no node was seen'
      : textTable(
          ['NODE', 'PHASE', 'REASON', 'MESSAGE', 'NEXT', 'WHEN (UTC)'],
          plan.nodes.map((node) => [
            node.node,
            node.phase,
            node.reason,
            node.message,
            node.next,
            shortTime(moment(node.at)),
          ]),
          width,
        ),
    '',
    actions.length === 0 ? 'nothing would be done now' : 'would be done now:',
    ...actions.map((text) => `  ${text}`),
    `next slots: ${plan.upcoming.flatMap((at) => moment(at) ?? []).join(', ') || 'none'}`,
    `looks again: ${moment(plan.wakeAt) ?? 'only when something changes'}`,
  ]);
}

/** One action as a sentence; undefined for what is only book-keeping. */
function tellAction(action: Action): string | undefined {
  switch (action.kind) {
    case 'createJob':
      return `create Job ${action.manifest.metadata.name} on ${action.node}`;
    case 'createHookJob':
      return `create Job ${action.name} of hook ${action.hook} for ${action.node}`;
    case 'deleteJob':
      return `delete Job ${action.name}`;
    case 'cordon':
      return `cordon ${action.node}`;
    case 'uncordon':
      return `uncordon ${action.node}`;
    case 'removeTaint':
      return `remove taint ${action.key} from ${action.node}`;
    case 'evict':
      return action.dryRun
        ? `ask whether ${action.namespace}/${action.pod} on ${action.node} may be evicted`
        : `evict ${action.namespace}/${action.pod} from ${action.node}`;
    case 'cancelEvacuation':
      return `take back the evacuation of virtual machine ${action.namespace}/${action.machine} from ${action.node}`;
    case 'deletePod':
      return `delete ${action.namespace}/${action.pod} on ${action.node} past its budget`;
    case 'putScript':
    case 'markNode':
    case 'event':
      return undefined;
  }
}

/** One cluster as `oakum status --cluster NAME` shows it. */
export function clusterText(doc: StatusDocument, width?: number): string {
  const run = mainRun(doc);
  return joinLines([
    `${doc.cluster}: ${summarize(doc)}`,
    `config commit ${doc.observedCommit === '' ? '(none yet)' : doc.observedCommit}`,
    '',
    textTable(
      ['CONDITION', 'STATUS', 'REASON', 'SINCE (UTC)', 'MESSAGE'],
      doc.conditions.map((one) => [one.type, one.status, one.reason, shortTime(one.since), one.message]),
      width,
    ),
    ...doc.problems.map((one) => `problem: ${one.file}:${one.line}:${one.column}: ${one.path} ${one.message}`),
    '',
    nodeTable(doc.nodes, width),
    ...(run ? ['', `run ${run.id} (${run.trigger}) ${run.state}: ${run.reason}: ${run.message}`] : []),
    ...(doc.requests.length > 0
      ? [
          '',
          textTable(
            ['REQUEST', 'STATE', 'REASON', 'MESSAGE', 'RUN'],
            doc.requests.map((one) => [one.name, one.state, one.reason, one.message, one.run ?? '']),
            width,
          ),
        ]
      : []),
    '',
    `next: ${doc.policy?.next.join(', ') || 'none'}`,
  ]);
}

function nodeTable(nodes: readonly NodeStatus[], width: number | undefined): string {
  if (nodes.length === 0) return 'no node was seen';
  return textTable(
    ['NODE', 'PHASE', 'REASON', 'MESSAGE', 'LAST PATCHED (UTC)', 'PENDING'],
    nodes.map((node) => [
      node.name,
      node.phase,
      node.reason,
      node.message,
      shortTime(node.lastPatched),
      `${node.pendingUpdates ?? 'not known'}${node.rebootRequired ? ', reboot' : ''}`,
    ]),
    width,
  );
}

/** All clusters as `oakum status` shows them, and each rollout with its waves as the fleet's page does. */
export function fleetText(
  docs: readonly StatusDocument[],
  rollouts: readonly FleetRolloutStatus[] = [],
  width?: number,
): string {
  if (docs.length === 0) return 'the status branch holds no cluster yet\n';
  return joinLines([
    textTable(
      ['CLUSTER', 'READY', 'NODES', 'UP TO DATE', 'PENDING', 'UNDER WAY', 'FAILED', 'RUN', 'NEXT (UTC)'],
      docs.map((doc) => {
        const ready = doc.conditions.find((one) => one.type === 'Ready');
        const run = mainRun(doc);
        return [
          doc.cluster,
          ready?.status === 'True' ? 'yes' : `no: ${ready?.reason ?? 'unknown'}`,
          String(doc.counts.nodes),
          String(doc.counts.upToDate),
          String(doc.counts.pending),
          String(doc.counts.underWay),
          String(doc.counts.failed),
          run ? `${run.id} ${run.state}` : '',
          shortTime(doc.policy?.next[0]),
        ];
      }),
      width,
    ),
    ...(rollouts.length === 0 ? [] : ['', rolloutTable(rollouts, width)]),
  ]);
}

function rolloutTable(rollouts: readonly FleetRolloutStatus[], width: number | undefined): string {
  return textTable(
    ['ROLLOUT', 'WAVE', 'STATE', 'CLUSTERS', 'DONE', 'FAILED', 'WAITED FOR'],
    rollouts.flatMap((rollout) =>
      rollout.waves.map((wave) => [
        (rollout.run ?? `${rollout.name}, not started yet`) + (rollout.suspended ? ', suspended' : ''),
        wave.name,
        wave.state,
        String(wave.clusters),
        String(wave.done),
        String(wave.failed),
        wave.message,
      ]),
    ),
    width,
  );
}

/** Why a node is where it is, what comes next, and what a person can do. */
export function whyText(cluster: string, node: NodeStatus, observedCommit: string): string {
  const known = isReason(node.reason) ? reasons[node.reason] : undefined;
  const line = (name: string, text: string | undefined): string[] =>
    text === undefined || text === '' ? [] : [`${`${name}:`.padEnd(14)}${clean(text)}`];
  return joinLines([
    `${node.name} (cluster ${cluster}): ${node.phase}, ${node.reason}`,
    ...line('message', node.message),
    ...line('meaning', known?.about),
    ...line('since', node.since),
    ...line('next', node.next),
    ...line('when', node.at),
    ...line('you can', known?.wayOut),
    ...line('more', known && `oakum explain ${node.reason}`),
    ...line('run', node.run),
    ...line('last patched', node.lastPatched ?? 'never, as far as Oakum knows'),
    ...line('version', node.patchedVersion),
    ...line('last error', node.lastError),
    ...line('as of', observedCommit === '' ? 'no config commit was accepted yet' : `config commit ${observedCommit}`),
  ]);
}

function joinLines(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}

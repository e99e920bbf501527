// The page of the whole fleet, for people.
import { runEnded } from '../model/ledger.ts';
import type { Condition, FleetRolloutStatus, StatusDocument } from '../model/status.ts';
import type { FleetFacts } from './files.ts';
import { link, page, plain, table } from './markdown.ts';
import { shortTime } from './moment.ts';
import { mainRun } from './summary.ts';

/** `README.md` of the status branch. Documents are sorted by cluster; clusters that are `unread` are named and not counted. */
export function fleetPage(
  docs: readonly StatusDocument[],
  {
    name,
    unread,
    foreignWriter,
    rollouts,
  }: Pick<FleetFacts, 'name' | 'unread' | 'foreignWriter'> & { readonly rollouts: readonly FleetRolloutStatus[] },
): string {
  const total = (pick: (doc: StatusDocument) => number): number => docs.reduce((sum, doc) => sum + pick(doc), 0);
  const alerts = docs.flatMap((doc) =>
    doc.conditions
      .filter((one) => one.type === 'Ready' && one.status === 'False')
      .map((one) => `- **${clusterLink(doc)}** ${one.reason} since ${shortTime(one.since)} UTC: ${plain(one.message)}`),
  );
  const unknown = [...unread]
    .sort()
    .map(
      (name) =>
        `- **${link(name, `clusters/${name}/README.md`)}** its status cannot be read by this version, so it is not counted here`,
    );
  const strangers = foreignWriter
    ? [
        `- **this branch** ForeignWriter since ${shortTime(foreignWriter.since)} UTC: commit ${plain(foreignWriter.commit.slice(0, 12))} was not written by Oakum; its pages were written again`,
      ]
    : [];
  const coming = docs
    .flatMap((doc) => (doc.policy?.next[0] === undefined ? [] : [{ doc, at: doc.policy.next[0] }]))
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
    .slice(0, 10)
    .map(({ doc, at }) => `- ${shortTime(at)} UTC ${clusterLink(doc)}`);
  return page([
    `# ${name === 'fleet' ? 'Fleet' : plain(name)}`,
    `${docs.length} ${docs.length === 1 ? 'cluster' : 'clusters'}, ${total((doc) => doc.counts.nodes)} nodes: ${total((doc) => doc.counts.upToDate)} up to date when last looked at, ` +
      `${total((doc) => doc.counts.pending)} with updates or a reboot pending, ${total((doc) => doc.counts.underWay)} under way, ${total((doc) => doc.counts.failed)} failed.`,
    alerts.length + unknown.length + strangers.length > 0 ? '## Needs a person' : undefined,
    [...alerts, ...unknown, ...strangers].join('\n'),
    '## Clusters',
    table(
      ['Cluster', 'Ready', 'Now', 'Nodes', 'Up to date', 'Pending', 'Under way', 'Failed', 'Newest run', 'Next (UTC)'],
      docs.map(clusterRow),
    ),
    ...rolloutParts(rollouts),
    '![Runs of each cluster over time](fleet.svg)',
    coming.length > 0 ? '## Next runs' : undefined,
    coming.join('\n'),
    `${link('fleet.yaml', 'fleet.yaml')} is for programs, ${link('compliance.csv', 'compliance.csv')} has one line for each node.`,
  ]);
}

/** Each rollout with its waves, in the order in which they go. */
function rolloutParts(rollouts: readonly FleetRolloutStatus[]): string[] {
  if (rollouts.length === 0) return [];
  const rows = rollouts.flatMap((rollout) =>
    rollout.waves.map((wave, index) => [
      index === 0
        ? plain(rollout.run ?? `${rollout.name}, not started yet`) + (rollout.suspended ? ', suspended' : '')
        : '',
      plain(wave.name),
      wave.state,
      String(wave.clusters),
      String(wave.done),
      String(wave.failed),
      plain(wave.message),
    ]),
  );
  return ['## Rollouts', table(['Run', 'Wave', 'State', 'Clusters', 'Done', 'Failed', 'What is waited for'], rows)];
}

function clusterRow(doc: StatusDocument): string[] {
  const { counts } = doc;
  const run = mainRun(doc);
  return [
    clusterLink(doc),
    tellReady(doc),
    plain(tellNow(doc)),
    String(counts.nodes),
    String(counts.upToDate),
    String(counts.pending),
    String(counts.underWay),
    String(counts.failed),
    run ? plain(`${run.id} ${run.state}`) : '',
    shortTime(doc.policy?.next[0]),
  ];
}

function clusterLink(doc: StatusDocument): string {
  return link(doc.cluster, `clusters/${doc.cluster}/README.md`);
}

function tellReady(doc: StatusDocument): string {
  const ready = find(doc, 'Ready');
  return ready?.status === 'True' ? 'yes' : `no: ${ready?.reason ?? 'unknown'}`;
}

/** What goes on, or what is waited for. */
function tellNow(doc: StatusDocument): string {
  const [progressing, waiting] = [find(doc, 'Progressing'), find(doc, 'Waiting')];
  if (waiting?.status === 'True') return `waits: ${waiting.reason}`;
  const run = mainRun(doc);
  if (progressing?.status === 'True' && run && !runEnded(run.state))
    return `${run.counts.total - run.counts.waiting} of ${run.counts.total} nodes handled`;
  return 'at rest';
}

function find(doc: StatusDocument, type: Condition['type']): Condition | undefined {
  return doc.conditions.find((one) => one.type === type);
}

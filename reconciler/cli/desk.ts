// What is to be said of each cluster, and what of it the status branch does not hold yet.
import type { PassResult } from '../pass.ts';
import { runEnded } from '../model/ledger.ts';
import type { StatusDocument } from '../model/status.ts';
import { archivePath, archiveYaml, clusterFiles, clusterFolder, fleetFiles, type FleetFacts } from '../report/files.ts';
import { buildStatus } from '../report/report.ts';
import { expiredArchives } from '../report/retention.ts';
import { runStatus } from '../report/run-status.ts';
import type { BranchCopy } from './branch-copy.ts';

/** What is to be said of one cluster. */
export interface Desk {
  readonly doc: StatusDocument;
  /** Ended runs that the ledger does not know to be archived, by id. */
  readonly archives: ReadonlyMap<string, { readonly path: string; readonly text: string }>;
  readonly retention: number;
}

/** What one push brings. */
export interface Batch {
  /** Files whose bytes differ from the branch's; undefined deletes. */
  readonly files: Map<string, string | undefined>;
  /** The documents that the files tell of. */
  readonly docs: readonly StatusDocument[];
  /** Ended runs by cluster whose archives are on the branch after this batch. */
  readonly runs: ReadonlyMap<string, readonly string[]>;
}

/** What a pass says; `earlier` is the document before, whose `since` stay where nothing has changed. */
export function deskOf(result: PassResult, earlier: StatusDocument | undefined): Desk {
  const { name, plan, source } = result;
  const ended = Object.values(plan.ledger.runs).filter((run) => runEnded(run.state) && !run.archived);
  return {
    doc: buildStatus({
      name,
      desired: result.desired,
      commit: source.commit,
      committedAt: source.committedAt,
      nodes: result.observed.nodes,
      ledger: plan.ledger,
      plan,
      previous: earlier?.conditions ?? [],
      noticed: result.now,
    }),
    archives: new Map(
      ended.map((run) => [
        run.id,
        { path: archivePath(name, run.id), text: archiveYaml(name, runStatus(run, true), run.approval) },
      ]),
    ),
    retention: result.fleet.status.retentionRuns,
  };
}

/** Compares with what the branch has. `fleet` undefined: somebody else writes the fleet's pages. */
export function collectBatch(
  desks: ReadonlyMap<string, Desk>,
  copy: BranchCopy,
  fleet: Omit<FleetFacts, 'unread'> | undefined,
): Batch {
  const files = new Map<string, string | undefined>();
  const docs = new Map<string, StatusDocument>();
  const runs = new Map<string, string[]>();
  const put = (path: string, text: string, doc?: StatusDocument): void => {
    if (copy.has(path, text)) return;
    files.set(path, text);
    if (doc) docs.set(doc.cluster, doc);
  };
  for (const [name, { doc, archives, retention }] of desks) {
    if (archives.size > 0) runs.set(name, [...archives.keys()]);
    for (const { path, text } of archives.values()) put(path, text, doc);
    const folder = `${clusterFolder(name)}runs/`;
    const there = copy.paths(folder);
    const paths = new Set([...there, ...[...archives.values()].map(({ path }) => path)]);
    for (const path of expiredArchives(paths, retention)) {
      paths.delete(path);
      files.delete(path);
      if (there.includes(path)) files.set(path, undefined);
    }
    const kept = new Set([...paths].map((path) => path.slice(folder.length, -'.yaml'.length)));
    for (const [path, text] of clusterFiles(doc, kept)) put(path, text, doc);
  }
  if (fleet) {
    const others = [...copy.clusters()].filter(([name]) => !desks.has(name));
    const all = [...[...desks.values()].map(({ doc }) => doc), ...others.flatMap(([, doc]) => doc ?? [])];
    const unread = others.filter(([, doc]) => doc === undefined).map(([name]) => name);
    for (const [path, text] of fleetFiles(all, { ...fleet, unread })) put(path, text);
  }
  return { files, docs: [...docs.values()].sort((a, b) => (a.cluster < b.cluster ? -1 : 1)), runs };
}

// Which files say exactly what Oakum itself proposes, whoever has put them into a commit.
import { createDesire } from '../desired/desired.ts';
import type { Schemas } from '../desired/schema.ts';
import type { LedgerDocument } from '../model/ledger.ts';
import { proposalPath, proposalYaml } from '../report/review-text.ts';

/**
 * Whether a file is the proposal of a run of this cluster, byte for byte as Oakum writes it, with whatever ceiling: that the ceiling is no higher than what was proposed is the planner's
 * to judge. Nothing of such a file is anybody else's work, so its commit needs no author who can be proven.
 */
export function ownProposal(
  cluster: string,
  ledger: () => LedgerDocument | undefined,
  schemas: Schemas,
): (path: string, text: string) => boolean {
  const desire = createDesire(schemas);
  return (path, text) => {
    const run = Object.values(ledger()?.runs ?? {}).find(({ id }) => proposalPath(cluster, id) === path);
    if (run?.proposal === undefined) return false;
    const file = { path, oid: text, kind: 'file', text } as const;
    const snapshot = { commit: '', committedAt: 0, files: new Map([[path, file]]), changed: undefined };
    const written = desire(snapshot)
      .clusters.get(cluster)
      ?.runs.find(({ name }) => name === run.id);
    return written !== undefined && proposalYaml(cluster, run, written.ceiling) === text;
  };
}

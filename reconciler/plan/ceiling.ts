// The ceiling of an approval: never more nodes, and no other packages, than were shown to those who approved.
import type { NodeRecord, RunRecord } from '../model/ledger.ts';
import type { PatchResult } from '../model/patch-result.ts';
import type { Hold } from '../model/reason.ts';

/** How many further nodes the approval allows to begin; infinite without a ceiling. A node that was not touched takes no place. */
export function nodesLeft(run: RunRecord): number {
  const ceiling = run.approval?.ceiling;
  if (!ceiling) return Number.POSITIVE_INFINITY;
  return ceiling.nodes - Object.values(run.nodes).filter((record) => tookPlace(record)).length;
}

function tookPlace(record: NodeRecord): boolean {
  return record.startedAt !== undefined && record.reason !== 'NodeGone';
}

/** Why a node waits although nothing else holds it. */
export function beyondCeiling(run: RunRecord): Hold {
  const { ceiling, url = '' } = run.approval ?? {};
  return {
    reason: 'BeyondApproval',
    message: `${ceiling?.nodes ?? 0} nodes were approved (${url}), and as many have begun`,
    until: undefined,
  };
}

/** The packages that would be changed and were not shown when the run was approved, as a sentence; undefined when there are none. */
export function packagesBeyond(run: RunRecord, download: PatchResult): string | undefined {
  const allowed = run.approval?.ceiling?.packages;
  if (allowed === undefined || download.left === 0) return undefined;
  if (download.packages === undefined)
    return `the list of ${download.left} packages is too long to be compared with what was approved`;
  const known = new Set(allowed);
  const names = download.packages.map((line) => line.split(' ')[0] ?? line);
  const other = names.filter((name) => !known.has(name)).sort();
  if (other.length === 0) return undefined;
  const more = other.length > 5 ? ` and ${other.length - 5} more` : '';
  return `not among the packages that were approved: ${other.slice(0, 5).join(', ')}${more}`;
}

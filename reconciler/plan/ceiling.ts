// The ceiling of an approval: never more nodes, and no other packages, than were shown to those who approved.
import type { NodeRecord, RunRecord } from '../model/ledger.ts';
import type { Hold } from '../model/reason.ts';
import { excludeName, type Update } from './first-seen.ts';

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

/** Updates of packages that were not shown when the run was approved: they are left out. None without a ceiling for packages. */
export function notShown(run: RunRecord, updates: readonly Update[]): Update[] {
  const allowed = run.approval?.ceiling?.packages;
  if (allowed === undefined) return [];
  const known = new Set(allowed);
  return updates.filter((update) => !known.has(excludeName(update)));
}

/** The run may change only packages that were shown. */
export function limitsPackages(run: RunRecord): boolean {
  return run.approval?.ceiling?.packages !== undefined;
}

// Exact versions: what the first node of a kind has installed is what the later nodes of the run may install.
import type { NodeRecord, RunRecord, VersionLock } from '../model/ledger.ts';
import { isUnderWay } from '../model/node-phase.ts';
import type { NodeView } from '../model/observed.ts';
import type { Hold } from '../model/reason.ts';
import { readUpdate, spell } from './first-seen.ts';

const architectureLabel = 'kubernetes.io/arch';

/**
 * The kind of a node's system: distribution, release and architecture, from what the kubelet reports (the `PRETTY_NAME` of os-release).
 * A point release does not make another kind: `Ubuntu 24.04.1 LTS` and `Ubuntu 24.04.3 LTS` draw from the same archive.
 */
export function systemOf(node: Pick<NodeView, 'osImage' | 'labels'>): string {
  const name = node.osImage
    .toLowerCase()
    .replace(/\([^)]*\)/g, '')
    .replace(/\blts\b/g, '')
    .replace(/(\d+\.\d+)(\.\d+)+/g, '$1')
    .replace(/[^a-z0-9.]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return `${name || 'unknown'}/${node.labels[architectureLabel] ?? 'unknown'}`;
}

/** The versions that this node must install exactly; undefined: it chooses for itself. */
export function lockFor(run: RunRecord, record: NodeRecord): VersionLock | undefined {
  return record.system === undefined ? undefined : run.locks?.[record.system];
}

/** The run with the locks that its patched nodes have made by now: the first of each kind that has installed something. */
export function withLocks(run: RunRecord): RunRecord {
  if (!run.spec.policy.updates.lock) return run;
  const done = Object.values(run.nodes)
    .filter((record) => record.phase === 'Patched' && (record.patch?.applied ?? 0) > 0)
    .sort((a, b) => (a.endedAt ?? 0) - (b.endedAt ?? 0) || (a.node < b.node ? -1 : 1));
  let locks = run.locks ?? {};
  for (const record of done) {
    const { system } = record;
    if (system === undefined || locks[system] !== undefined) continue;
    locks = { ...locks, [system]: lockOf(record) };
  }
  return locks === (run.locks ?? {}) || Object.keys(locks).length === 0 ? run : { ...run, locks };
}

function lockOf(record: NodeRecord): VersionLock {
  const made = { node: record.node, at: record.endedAt ?? record.since };
  const lines = record.patch?.packages;
  if (lines === undefined || lines.length === 0)
    return { ...made, packages: [], problem: `the list of what ${record.node} installed did not fit into its result` };
  const updates = lines.map(readUpdate);
  const packages = updates.filter((update) => update !== undefined).map(spell);
  if (packages.length !== lines.length)
    return { ...made, packages: [], problem: `${record.node} installed a package with a name or version that is none` };
  return { ...made, packages: packages.sort() };
}

/** With `updates.lock`, why a node waits for the first one of its kind; undefined: it need not. */
export function lockTurn(run: RunRecord, record: NodeRecord, starting: readonly string[]): Hold | undefined {
  if (!run.spec.policy.updates.lock || lockFor(run, record) !== undefined) return undefined;
  const first = Object.values(run.nodes).find(
    (other) =>
      other.node !== record.node &&
      other.system === record.system &&
      (isUnderWay(other.phase) || starting.includes(other.node)),
  );
  if (!first) return undefined;
  return {
    reason: 'LockPending',
    message: `${first.node} goes first: what it installs is what the other nodes with ${record.system ?? 'its system'} install`,
    until: undefined,
  };
}

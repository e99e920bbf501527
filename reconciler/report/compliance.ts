// One line for each node of the fleet, for spreadsheets and auditors.
import type { NodeStatus, StatusDocument } from '../model/status.ts';

const columns: readonly (readonly [string, (cluster: string, node: NodeStatus) => string])[] = [
  ['cluster', (cluster) => cluster],
  ['node', (_cluster, node) => node.name],
  ['phase', (_cluster, node) => node.phase],
  ['reason', (_cluster, node) => node.reason],
  // Empty where it is not known: a nought would claim that somebody has looked.
  ['pending_updates', (_cluster, node) => node.pendingUpdates?.toString() ?? ''],
  ['pending_since', (_cluster, node) => node.pendingSince ?? ''],
  // Since when updates have waited for longer than the policy's maxAge; empty: they have not, or no age is set.
  ['sla_exceeded_since', (_cluster, node) => node.overdueSince ?? ''],
  ['patched_outside', (_cluster, node) => (node.patchedOutside === undefined ? 'no' : 'yes')],
  ['scan_error', (_cluster, node) => node.scanError ?? ''],
  ['reboot_required', (_cluster, node) => (node.rebootRequired ? 'yes' : 'no')],
  ['last_patched', (_cluster, node) => node.lastPatched ?? ''],
  ['patched_version', (_cluster, node) => node.patchedVersion],
  ['os_image', (_cluster, node) => node.osImage],
  ['kernel', (_cluster, node) => node.kernel],
  ['last_error', (_cluster, node) => node.lastError],
];

/** `compliance.csv` as in RFC 4180, with a heading. Times are RFC 3339 in UTC. */
export function complianceTable(docs: readonly StatusDocument[]): string {
  const rows = docs.flatMap((doc) =>
    doc.nodes.map((node) => columns.map(([, pick]) => field(pick(doc.cluster, node)))),
  );
  return [columns.map(([name]) => name), ...rows].map((row) => `${row.join(',')}\r\n`).join('');
}

function field(text: string): string {
  // A spreadsheet takes these beginnings for a formula (OWASP "CSV injection").
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

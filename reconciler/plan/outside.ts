// Work by others: a scan that finds updates installed, or another kernel, although no run of ours did it.
import { iso } from '../model/instant.ts';
import type { LedgerDocument, NodeHistory } from '../model/ledger.ts';
import type { PatchResult } from '../model/patch-result.ts';
import { pendingList, updatesOf } from './first-seen.ts';

const mostNames = 5;

/**
 * Compares what a scan saw with what was seen before it. Called before the new list is remembered. A mere reboot is not told: it is
 * no patch. A list that got shorter because the repository took an update back looks the same as one that was installed, and is told too.
 */
export function noteOutside(
  ledger: LedgerDocument,
  node: { readonly name: string; readonly uid: string },
  result: PatchResult,
  now: number,
): LedgerDocument {
  const known = ledger.history[node.name];
  if (known?.uid !== node.uid || !known.pending || workedSince(known, known.pending.at)) return ledger;
  const found = [...installed(ledger, known, result), ...kernel(known, result)];
  if (found.length === 0) return ledger;
  const message = `${found.join('; ')}; no run of Oakum did it (seen before on ${iso(known.pending.at).slice(0, 10)})`;
  return { ...ledger, history: { ...ledger.history, [node.name]: { ...known, outside: { at: now, message } } } };
}

/** A run of ours may have changed the node since that instant. */
function workedSince(history: NodeHistory, at: number): boolean {
  return (history.lastPatched ?? 0) > at || history.reboots.some((reboot) => reboot > at) || history.lastError !== '';
}

function installed(ledger: LedgerDocument, known: NodeHistory, result: PatchResult): string[] {
  const before = pendingList(ledger, known);
  const after = updatesOf(result);
  if (before !== undefined && after !== undefined) {
    const left = new Set(after.map((update) => update.name));
    const gone = before.filter((line) => !left.has(line.split(' ')[0] ?? ''));
    if (gone.length === 0) return [];
    const more = gone.length > mostNames ? ` and ${gone.length - mostNames} more` : '';
    return [`no longer pending: ${gone.slice(0, mostNames).join(', ')}${more}`];
  }
  const fewer = (known.pending?.count ?? 0) - result.pending;
  return fewer > 0 ? [`${fewer} pending updates fewer than before`] : [];
}

function kernel(known: NodeHistory, result: PatchResult): string[] {
  const before = known.pending?.kernel;
  if (before === undefined || before === '' || result.kernel === '' || before === result.kernel) return [];
  return [`it runs kernel ${result.kernel} and ran ${before}`];
}

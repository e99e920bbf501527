// Which commit's rules count: a change that loosens them needs the consent of those who were asked before it.
import { acceptedRules, type AcceptedRules } from '../model/accepted-rules.ts';
import type { ClusterDesired } from '../model/desired.ts';
import { canonical } from '../model/digest.ts';
import type { LedgerDocument } from '../model/ledger.ts';
import type { Hold } from '../model/reason.ts';
import { rolloutRules } from '../model/rollout-rules.ts';
import { judgeAlone, needsReview, readingOf } from './approval.ts';
import type { PlanInput } from './input.ts';
import { liftedStops, loosens } from './loosening.ts';
import { loosensRollouts } from './loosening-rollouts.ts';

/** The ledger with the commit accepted, or why it is not. */
export interface Acceptance {
  readonly ledger: LedgerDocument;
  readonly hold: Hold | undefined;
}

/**
 * Accepts the commit, or holds. Without review mode being on the branch is enough. Under it, what is looser than the rules accepted last needs a quorum under those
 * very rules, for every file that has changed since; tighter rules count at once.
 */
export function acceptCommit(ledger: LedgerDocument, input: PlanInput): Acceptance {
  if (ledger.accepted?.commit === input.commit) {
    // A person with rights in the cluster has taken this very commit, its rules included.
    const { byCommand = false, ...accepted } = ledger.accepted ?? { commit: '', committedAt: 0 };
    if (byCommand) return { ledger: noteRules({ ...ledger, accepted }, input), hold: undefined };
    if (ledger.rules) return { ledger, hold: undefined };
  }
  // A commit without a valid policy says nothing of the rules: were it accepted, its keys and owners would count for the commit after it, which nobody had compared with anything.
  if (ledger.rules && needsReview(ledger, input) && !rulesOf(input)) return { ledger, hold: undefined };
  const hold = refusal(ledger, input);
  if (hold) return { ledger, hold };
  return { ledger: noteRules(noteCommit(ledger, input), input), hold: undefined };
}

/** Files whose change must be agreed to before the commit counts, with the content that they have now. */
export function unagreedFiles(
  ledger: LedgerDocument,
  input: PlanInput,
): { readonly path: string; readonly oid: string | undefined }[] {
  if (ledger.accepted?.commit === input.commit) return [];
  if (looser(ledger, input).length === 0) return [];
  return [...changedFiles(ledger, input), ...changedPeers(ledger, input.desired)];
}

function refusal(ledger: LedgerDocument, input: PlanInput): Hold | undefined {
  const sentences = looser(ledger, input);
  if (sentences.length === 0) return undefined;
  const refused = ({ reason, message, until }: Hold): Hold => ({
    reason,
    message: `the newest commit changes what may happen (${sentences.slice(0, 3).join('; ')}), which needs approval under the old rules: ${message}`,
    until,
  });
  const files = unagreedFiles(ledger, input);
  for (const file of files) {
    const verdict = judgeAlone(file, ledger, input);
    if (verdict.kind === 'held') return refused(verdict.hold);
  }
  const unseen = seenByNobody(files, ledger, input);
  return unseen && refused(unseen);
}

/**
 * Whether some of those who agreed saw rules as loose as these. Each file may have its quorum and the whole still be nobody's wish: half of a reviewed change was left
 * out, and what would have made the other half harmless with it.
 */
function seenByNobody(
  files: readonly { readonly path: string; readonly oid: string | undefined }[],
  ledger: LedgerDocument,
  input: PlanInput,
): Hold | undefined {
  const after = rulesOf(input);
  const before = ledger.rules?.rules;
  if (!after || !before || files.length === 0 || loosens(standing(before, input.now), after).length === 0)
    return undefined;
  let beyond: readonly string[] = [];
  for (const file of files) {
    const reading = readingOf(file, ledger, input);
    const seen = reading?.kind === 'found' ? reading.head?.rules : undefined;
    beyond = seen ? loosens(standing(seen, input.now), after) : ['what was reviewed is no valid policy'];
    if (beyond.length === 0) return undefined;
  }
  return {
    reason: 'ApprovalOutdated',
    message: `each file was reviewed, but nobody saw all of them as they are together now (${beyond.slice(0, 3).join('; ')}); have one more change of these files approved`,
    until: undefined,
  };
}

function rulesOf({ desired, fleet }: PlanInput): AcceptedRules | undefined {
  return desired && acceptedRules(desired, fleet);
}

function looser(ledger: LedgerDocument, input: PlanInput): string[] {
  const after = rulesOf(input);
  if (!ledger.rules || !after || !needsReview(ledger, input)) return [];
  // A mode that only the newest wish or the deployment demands judges from now on, not what was accepted before.
  if (ledger.rules.rules.approval.mode !== 'review' && input.settings.approvalFloor !== 'review') return [];
  const found = loosens(standing(ledger.rules.rules, input.now), after);
  if (ledger.rules.rules.approval.codeOwners !== true || found.length > 0) return found;
  const [changed, ...more] = changedFiles(ledger, input);
  return changed
    ? [`approval.codeOwners: ${changed.path}${more.length > 0 ? ` and ${more.length} more` : ''} changed`]
    : [];
}

/** Inputs that are other than at the accepted commit, and the stops that went. */
function changedFiles(
  ledger: LedgerDocument,
  input: PlanInput,
): { readonly path: string; readonly oid: string | undefined }[] {
  const { desired } = input;
  if (!desired || !ledger.rules) return [];
  const old = Object.values(ledger.rules.rules.rollouts ?? {});
  const rolloutPaths = [...old, ...(desired.rollouts ?? [])].map(({ file }) => file);
  // A file that does not take this cluster along any more is not gone: what it says now is what must be agreed to.
  const rolloutFiles = pick(desired.fleetFiles ?? {}, rolloutPaths);
  const before: Record<string, string> = { ...ledger.rules.inputs };
  for (const { file, files } of old) Object.assign(before, pick(files, [file]));
  const now = { ...Object.fromEntries(desired.inputs.map(({ path, oid }) => [path, oid])), ...rolloutFiles };
  const paths = [...new Set([...Object.keys(before), ...Object.keys(now)])].sort();
  const changed = paths.filter((path) => before[path] !== now[path]).map((path) => ({ path, oid: now[path] }));
  const { rules, freeze = `clusters/${desired.name}/FREEZE` } = ledger.rules;
  const after = rulesOf(input);
  const thawed = rules.frozen && desired.frozen === undefined ? [freeze] : [];
  const lifted = after ? liftedStops(standing(rules, input.now), after) : [];
  const stops = [...new Set([...thawed, ...lifted])].sort();
  return [...changed, ...stops.map((path) => ({ path, oid: desired.requests.find(({ file }) => file === path)?.oid }))];
}

/** The rules without stops whose time is over. */
export function standing({ stops, ...rules }: AcceptedRules, now: number): AcceptedRules {
  const left = Object.entries(stops ?? {}).filter(([, { until = Infinity }]) => now < until);
  return left.length === 0 ? rules : { ...rules, stops: Object.fromEntries(left) };
}

/** When a rollout demands less than before: the `cluster.yaml` of those who were waited for, as far as they are others now. */
function changedPeers(
  ledger: LedgerDocument,
  desired: ClusterDesired | undefined,
): { readonly path: string; readonly oid: string | undefined }[] {
  const old = ledger.rules?.rules.rollouts;
  if (!desired || !old || loosensRollouts(old, rolloutRules(desired)).length === 0) return [];
  const now = desired.fleetFiles ?? {};
  const found = new Map<string, string | undefined>();
  for (const { file, files } of Object.values(old)) {
    // Nobody's labels count any more.
    if (now[file] === undefined) continue;
    for (const [path, oid] of Object.entries(files)) if (path !== file && now[path] !== oid) found.set(path, now[path]);
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, oid]) => ({ path, oid }));
}

function pick(all: Readonly<Record<string, string>>, paths: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    paths.flatMap((path) => {
      const oid = all[path];
      return oid === undefined ? [] : [[path, oid] as const];
    }),
  );
}

function noteCommit(ledger: LedgerDocument, input: PlanInput): LedgerDocument {
  if (input.commit === undefined || ledger.accepted?.commit === input.commit) return ledger;
  return { ...ledger, renewed: false, accepted: { commit: input.commit, committedAt: input.committedAt } };
}

/** Remembers the rules only when they, or the files that they came from, are others: a commit about something else costs no write. */
export function noteRules(ledger: LedgerDocument, input: PlanInput): LedgerDocument {
  const { desired, commit } = input;
  const rules = desired && acceptedRules(desired, input.fleet);
  if (!desired || !rules || commit === undefined) return ledger;
  const inputs = Object.fromEntries(desired.inputs.map(({ path, oid }) => [path, oid]));
  const freeze = desired.frozen && (desired.frozen === 'fleet' ? 'FREEZE' : `clusters/${desired.name}/FREEZE`);
  const next = { rules, inputs, ...(freeze ? { freeze } : {}) };
  const { commit: _commit, ...known } = ledger.rules ?? { commit: '' };
  return canonical(known) === canonical(next) ? ledger : { ...ledger, rules: { commit, ...next } };
}

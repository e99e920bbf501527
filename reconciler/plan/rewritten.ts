// A branch that was rewritten: its tip counts only when a person has said so, by the rules of the commit accepted last.
import { acceptedRules } from '../model/accepted-rules.ts';
import type { HeadContent } from '../model/approval.ts';
import { ownerPaths } from '../model/code-owners.ts';
import type { Rewrite } from '../model/desired.ts';
import type { AcceptedRewrite, LedgerDocument } from '../model/ledger.ts';
import { judgeAlone, needsReview, readingOf } from './approval.ts';
import { noteRules, standing } from './approved-commit.ts';
import type { PlanInput } from './input.ts';
import { loosens } from './loosening.ts';

/** So many are remembered, because each file acts once; beyond them only the command is left. */
const mostRewrites = 200;

/** The branch is read again so soon after its tip was accepted. */
const readAgainMs = 30_000;

/**
 * The input after a look at what the rewritten branch says of itself. Its tip is accepted, with its rules, if `accept-rewrite.yaml` names the commit accepted last,
 * was not used before, and where reviews are demanded has a quorum under the old rules, of people who saw the very files that are there now. This pass holds in
 * any case: nothing starts before the branch was read as the accepted one.
 */
export function agreeToRewrite(input: PlanInput): PlanInput {
  const { rewritten, ledger, now } = input;
  if (!rewritten || !ledger?.accepted) return input;
  const { commit, committedAt, rewrite } = rewritten;
  const hold = (said: string, until?: number): PlanInput['sourceHold'] => ({
    reason: 'HistoryRewritten',
    message: `${input.sourceHold?.message ?? ''} ${rewrite.file}: ${said}`.trim(),
    until,
  });
  const taken = hold('agreed to; the branch is read again', now + readAgainMs);
  if (ledger.accepted.commit === commit) return { ...input, sourceHold: taken };
  const answer = judgeRewrite(rewrite, ledger, input);
  if ('why' in answer) return { ...input, sourceHold: hold(answer.why, answer.until) };
  const agreed: LedgerDocument = {
    ...ledger,
    renewed: false,
    accepted: { commit, committedAt },
    rewrites: [...(ledger.rewrites ?? []), answer],
  };
  return { ...input, sourceHold: taken, ledger: noteRules(agreed, { ...input, ...rewritten }) };
}

/** Whether `accept-rewrite.yaml` must be asked about at the forge. */
export function unagreedRewrite(ledger: LedgerDocument, input: PlanInput): Rewrite | undefined {
  const rewrite = input.rewritten?.rewrite;
  return rewrite && ledger.accepted && rewrite.from.includes(ledger.accepted.commit) && needsReview(ledger, input)
    ? rewrite
    : undefined;
}

/** The ledger after a person with rights in the cluster accepted the tip by command. The rules of that commit count as soon as it is read. */
export function acceptByCommand(ledger: LedgerDocument, to: string, now: number): LedgerDocument {
  return { ...ledger, accepted: { commit: to, committedAt: now, byCommand: true } };
}

/** Why it is not agreed to. */
interface Refusal {
  readonly why: string;
  readonly until: number | undefined;
}

function judgeRewrite(rewrite: Rewrite, ledger: LedgerDocument, input: PlanInput): AcceptedRewrite | Refusal {
  const refused = (why: string, until?: number): Refusal => ({ why, until });
  const from = ledger.accepted?.commit ?? '';
  if (!rewrite.from.includes(from)) return refused(`it names other commits than ${from.slice(0, 10)}`);
  const used = ledger.rewrites ?? [];
  if (used.some(({ oid }) => oid === rewrite.oid))
    return refused('this very file was used before; write a new one (another reason is enough), or use the command');
  if (used.length >= mostRewrites)
    return refused(`${mostRewrites} rewrites were accepted by file; accept this one with the command`);
  if (!ledger.rules) return refused('no rules are known of the commit accepted last; accept it with the command');
  const { desired, commit = '' } = input.rewritten ?? {};
  if (!desired?.policy || desired.problems.length > 0)
    return refused('the rewritten branch has no valid policy for this cluster');
  const accepted = { from, to: rewrite.to, commit, oid: rewrite.oid, at: input.now };
  if (!needsReview(ledger, input)) return accepted;
  const file = { path: rewrite.file, oid: rewrite.oid };
  const verdict = judgeAlone(file, ledger, input);
  if (verdict.kind === 'held') return refused(`${verdict.hold.reason}: ${verdict.hold.message}`, verdict.hold.until);
  const reading = readingOf(file, ledger, input);
  const other = unseen(input, reading?.kind === 'found' ? reading.head : undefined);
  if (other !== undefined)
    return refused(`ApprovalOutdated: ${other} is not what was reviewed with it; have a new file approved with it`);
  return { ...accepted, approval: verdict.record };
}

/** The first thing that reviewers saw otherwise: agreeing to a rewrite is agreeing to all that comes with it. */
function unseen({ rewritten, now }: PlanInput, head: HeadContent | undefined): string | undefined {
  const { desired, fleet } = rewritten ?? {};
  const after = desired && fleet && acceptedRules(desired, fleet);
  if (!after || !head?.rules) return 'the policy';
  const seen = head.files;
  const other = desired.inputs.find(({ path, oid }) => seen[path] !== oid)?.path;
  if (other !== undefined) return other;
  const folder = `clusters/${desired.name}/`;
  const there = [...desired.inputs.map(({ path }) => path), ...Object.keys(after.stops ?? {})];
  const gone = ['FREEZE', `${folder}FREEZE`, 'oakum.yaml', `${folder}cluster.yaml`, ...ownerPaths].find(
    (path) => seen[path] !== undefined && !there.includes(path),
  );
  if (gone !== undefined) return gone;
  // Rollouts, labels of other clusters and pauses: only what lets something begin counts, because the rest changes every day and harms nobody.
  const [looser] = loosens(standing(head.rules, now), standing(after, now));
  return looser === undefined ? undefined : `what the branch loosens (${looser})`;
}

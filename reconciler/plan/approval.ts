// Approvals in the planner: which rule counts now, what must be asked of the forge, and what its answers allow.
import type { AcceptedRules } from '../model/accepted-rules.ts';
import { acceptedRules } from '../model/accepted-rules.ts';
import type { ApprovalQuestion, ApprovalReading, ApprovalRecord, Ceiling, Closure } from '../model/approval.ts';
import { closureOf, evidenceDigest, questionKey } from '../model/approval.ts';
import type { ClusterDesired, Request } from '../model/desired.ts';
import type { LedgerDocument } from '../model/ledger.ts';
import type { Hold } from '../model/reason.ts';
import type { PlanInput, PlanSettings } from './input.ts';
import { judgeChange, teamsOf, type ApprovalRule } from './judge.ts';

/** What an approval of one file amounts to. */
export type Verdict =
  { readonly kind: 'approved'; readonly record: ApprovalRecord } | { readonly kind: 'held'; readonly hold: Hold };

/** What the forge could not tell is asked again after this long. */
const askAgainMs = 30_000;

const strictness = { none: 0, merge: 1, review: 2 } as const;

/** What tells which approval is demanded: the newest wish, and the deployment. */
export interface ApprovalDemand extends Pick<PlanInput, 'desired' | 'fleet'> {
  readonly settings: Pick<PlanSettings, 'approvalFloor' | 'ownAccounts' | 'branch'>;
}

/** The rules that count: those of the commit accepted last; before any was accepted, those that are wished. */
export function rulesInForce(ledger: LedgerDocument, input: ApprovalDemand): AcceptedRules | undefined {
  return ledger.rules?.rules ?? (input.desired ? acceptedRules(input.desired, input.fleet) : undefined);
}

/** Reviews must be verified before anything starts: by the rules in force, by the newest wish, or because the deployment demands it. */
export function needsReview(ledger: LedgerDocument, input: ApprovalDemand): boolean {
  const modes = [
    input.settings.approvalFloor,
    rulesInForce(ledger, input)?.approval.mode ?? 'none',
    input.desired?.policy?.approval.mode ?? 'none',
  ];
  return modes.some((mode) => strictness[mode] >= strictness.review);
}

/** What lets a run start now, in one sentence. */
export function approvalInWords(ledger: LedgerDocument, input: PlanInput): string {
  if (!needsReview(ledger, input)) {
    const none = input.desired?.policy?.approval.mode === 'none';
    return none
      ? 'none: runs start by themselves'
      : 'merge: whoever may bring something to the config branch is trusted';
  }
  const { minApprovals, approvers } = ruleNow(ledger, input);
  const more = approvers.length > 5 ? `, and ${approvers.length - 5} more` : '';
  const who = approvers.length === 0 ? 'nobody, because approval.approvers is empty' : approvers.slice(0, 5).join(', ');
  return `review: ${Math.max(1, minApprovals)} of ${who}${more}`;
}

/** Actions that only stop or lessen: they are obeyed without an approval. */
const stopping: readonly Request['action'][] = ['abort', 'skip', 'pause'];

/** Whether a request needs its own approval, which its reviewed file is. */
export function requestNeedsReview(request: Request, ledger: LedgerDocument, input: ApprovalDemand): boolean {
  return !stopping.includes(request.action) && needsReview(ledger, input);
}

/**
 * Whether a change of the wishes (`before` as they are on the branch, `input.desired` as they will be) needs reviews that count: by the rules in force or the floor, as any
 * change that loosens does; by the mode that it brings itself only for what begins something, because a commit that merely demands reviews is accepted as it is.
 */
export function changeNeedsReview(
  before: ClusterDesired | undefined,
  ledger: LedgerDocument,
  input: ApprovalDemand,
): boolean {
  const { desired } = input;
  if (needsReview(ledger, { ...input, desired: undefined })) return true;
  const known = new Set(
    [...(before?.requests ?? []), ...(before?.runs ?? [])].map(({ file, oid }) => `${oid} ${file}`),
  );
  const isNew = ({ file, oid }: { readonly file: string; readonly oid: string }): boolean =>
    !known.has(`${oid} ${file}`);
  return (
    (desired?.requests ?? []).some((request) => isNew(request) && requestNeedsReview(request, ledger, input)) ||
    ((desired?.runs ?? []).some(isNew) && needsReview(ledger, input))
  );
}

/** Who must agree now. */
export function ruleNow(ledger: LedgerDocument, input: ApprovalDemand): ApprovalRule {
  const approval = rulesInForce(ledger, input)?.approval;
  return {
    minApprovals: approval?.minApprovals ?? 1,
    approvers: approval?.approvers ?? [],
    self: input.settings.ownAccounts ?? [],
    ...(approval?.unknownAuthors === undefined ? {} : { unknownAuthors: approval.unknownAuthors }),
    ...(input.settings.branch === undefined ? {} : { base: input.settings.branch }),
  };
}

/** The question who brought a file; `oid` undefined: who took it away. */
export function questionAbout(
  path: string,
  oid: string | undefined,
  ledger: LedgerDocument,
  input: PlanInput,
): ApprovalQuestion {
  const { name = '' } = input.desired ?? input.rewritten?.desired ?? {};
  const rule = ruleNow(ledger, input);
  const question = { cluster: name, path, oid, teams: teamsOf(rule) };
  const ownersAt = ledger.accepted?.commit ?? input.commit;
  return rulesInForce(ledger, input)?.approval.codeOwners === true && ownersAt !== undefined
    ? { ...question, ownersAt }
    : question;
}

/**
 * Whether a file that asks for something was approved together with everything that it would do: a quorum at the head of the pull request that brought it, and at that
 * head the same content of every file that takes part (`resolved` stands for shared files). `own`: the file says what Oakum itself proposed.
 */
export function judgeFile(
  file: { readonly path: string; readonly oid: string },
  ceiling: Ceiling | undefined,
  ledger: LedgerDocument,
  input: PlanInput,
  own = false,
): Verdict {
  const { desired } = input;
  if (!desired) return held('NoPolicy', 'the config repository has no folder for this cluster');
  const closure = closureOf(desired, input.fleet, { [file.path]: file.oid });
  return judgeContent(file, closure, ceiling, ledger, input, own);
}

/** As {@link judgeFile}, for one file by itself (`oid` undefined: that it is gone). */
export function judgeAlone(
  file: { readonly path: string; readonly oid: string | undefined },
  ledger: LedgerDocument,
  input: PlanInput,
): Verdict {
  return judgeContent(file, undefined, undefined, ledger, input);
}

function judgeContent(
  file: { readonly path: string; readonly oid: string | undefined },
  closure: Closure | undefined,
  ceiling: Ceiling | undefined,
  ledger: LedgerDocument,
  input: PlanInput,
  own = false,
): Verdict {
  const reading = readingOf(file, ledger, input);
  const again = input.now + askAgainMs;
  if (!input.observed.approvals)
    return held(
      'ApprovalUnverifiable',
      'reviews are demanded and this Oakum was not told which forge to ask (--forge)',
      again,
    );
  if (!reading) return held('AwaitingApproval', `the reviews of ${file.path} are being looked up`, input.now + 1_000);
  if (reading.kind === 'unreadable') return held('ApprovalUnverifiable', `${file.path}: ${reading.message}`, again);
  if (reading.kind === 'direct')
    return held('MergedWithoutApproval', `${file.path} came to the branch without a pull request: ${reading.message}`);
  const { change, head } = reading;
  const { pull } = change;
  const owned = rulesInForce(ledger, input)?.approval.codeOwners === true;
  const owners = reading.owners ?? { kind: 'unclear', message: 'CODEOWNERS was not read' };
  const rule: ApprovalRule = { ...ruleNow(ledger, input), ...(owned ? { owners } : {}), own };
  const judgement = judgeChange(change, rule);
  const where = `${file.path} (${pull.url})`;
  switch (judgement.kind) {
    case 'unverifiable':
      return held('ApprovalUnverifiable', `${where}: ${judgement.message}`, again);
    case 'vetoed':
    case 'waiting':
      return held('MergedWithoutApproval', `${where} was merged without its quorum: ${judgement.message}`, again);
    case 'approved':
      break;
  }
  if (!pull.merged) return held('AwaitingApproval', `${where} is not merged`, again);
  const other = head && difference(file, closure, head);
  if (!head) return held('ApprovalOutdated', `${where}: what was reviewed is no valid configuration of this cluster`);
  if (other !== undefined)
    return held(
      'ApprovalOutdated',
      `${where}: ${other} is not what was reviewed at ${pull.head.slice(0, 10)}; a new approval is needed`,
    );
  const record = {
    forge: pull.forge,
    number: pull.number,
    url: pull.url,
    path: file.path,
    head: pull.head,
    merged: pull.merged.commit,
    mergedAt: pull.merged.at,
    by: judgement.by,
    rule: {
      minApprovals: rule.minApprovals,
      approvers: rule.approvers,
      ...(judgement.owners ? { owners: judgement.owners } : {}),
    },
    closure: closure ?? { files: file.oid === undefined ? {} : { [file.path]: file.oid }, resolved: '' },
    ceiling,
  };
  return { kind: 'approved', record: { ...record, digest: evidenceDigest(record) } };
}

/** The first thing that reviewers saw otherwise; undefined when they saw what is there now. */
function difference(
  file: { readonly path: string; readonly oid: string | undefined },
  closure: Closure | undefined,
  head: NonNullable<Extract<ApprovalReading, { kind: 'found' }>['head']>,
): string | undefined {
  if (head.files[file.path] !== file.oid) return file.path;
  if (closure === undefined) return undefined;
  for (const [path, oid] of Object.entries(closure.files)) if (head.files[path] !== oid) return path;
  return head.closure.resolved === closure.resolved ? undefined : 'a shared file that this cluster uses';
}

/** What the forge said about who brought a file. */
export function readingOf(
  file: { readonly path: string; readonly oid: string | undefined },
  ledger: LedgerDocument,
  input: PlanInput,
): ApprovalReading | undefined {
  return input.observed.approvals?.get(questionKey(questionAbout(file.path, file.oid, ledger, input)));
}

function held(reason: Hold['reason'], message: string, until?: number): Verdict {
  return { kind: 'held', hold: { reason, message, until } };
}

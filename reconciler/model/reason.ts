// The closed list of reasons: one CamelCase word for everything that waits, was skipped, or went wrong.
import { approvalReasons } from './reason-approval.ts';
import { configReasons } from './reason-config.ts';
import { drainReasons } from './reason-drain.ts';
import { endReasons } from './reason-end.ts';
import { gateReasons } from './reason-gate.ts';
import { jobReasons } from './reason-job.ts';
import { packagesReasons } from './reason-packages.ts';
import { rebootReasons } from './reason-reboot.ts';
import { rolloutReasons } from './reason-rollout.ts';
import { turnReasons } from './reason-turn.ts';
import { updateReasons } from './reason-updates.ts';

/** What a reason means, and what a person can do. Shown by `oakum why`, in status and in docs/reasons/. */
export interface ReasonText {
  readonly about: string;
  readonly wayOut: string;
}

/**
 * The parts of the list by topic, in the order of a run: the words of each stand in its own file, and each word has a page
 * `docs/reasons/<word>.md`. A new word goes into the part it belongs to.
 */
export const reasonParts = [
  { title: 'Configuration, history, and which Oakum acts', reasons: configReasons },
  { title: 'A run, or its next node, may not begin', reasons: gateReasons },
  { title: 'Approvals', reasons: approvalReasons },
  { title: 'Which nodes, and when it is their turn', reasons: turnReasons },
  { title: 'Waves of clusters', reasons: rolloutReasons },
  { title: 'Pods that must leave', reasons: drainReasons },
  { title: 'Jobs and hooks', reasons: jobReasons },
  { title: 'Package managers', reasons: packagesReasons },
  { title: 'Single updates: age and exact versions', reasons: updateReasons },
  { title: 'Reboots, and the proof after them', reasons: rebootReasons },
  { title: 'How it ended', reasons: endReasons },
] as const satisfies readonly { readonly title: string; readonly reasons: Readonly<Record<string, ReasonText>> }[];

const reasonTable = {
  ...configReasons,
  ...gateReasons,
  ...approvalReasons,
  ...turnReasons,
  ...rolloutReasons,
  ...drainReasons,
  ...jobReasons,
  ...packagesReasons,
  ...updateReasons,
  ...rebootReasons,
  ...endReasons,
} as const satisfies Record<string, ReasonText>;

/** One word from the closed list. */
export type Reason = keyof typeof reasonTable;

/** Every reason with its explanation. */
export const reasons: Readonly<Record<Reason, ReasonText>> = reasonTable;

/** True for a word of the closed list (for values read back from the ledger). */
export function isReason(word: string): word is Reason {
  return Object.hasOwn(reasonTable, word);
}

/** A "not yet": reason, sentence with the figures, and when to look again (milliseconds since the epoch). */
export interface Hold {
  readonly reason: Reason;
  readonly message: string;
  readonly until: number | undefined;
}

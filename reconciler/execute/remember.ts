// What later passes must know of the API's answers: refused evictions, refused writes.
import { evictionKey } from '../model/action.ts';
import type { EvictionAnswer } from '../model/observed.ts';
import type { Outcome } from './execute.ts';

/** Answers that this process got; lost on a restart and learnt again. */
export interface Answers {
  readonly evictions: ReadonlyMap<string, EvictionAnswer>;
  readonly refusals: ReadonlyMap<string, string>;
}

/** Nothing was asked yet. */
export const noAnswers: Answers = { evictions: new Map(), refusals: new Map() };

/** An answer to an eviction is forgotten after this long; it is asked for again long before. */
const keptMs = 60 * 60_000;

const answerKinds = { DisruptionBudget: 'budget', TwoBudgets: 'two-budgets', Migration: 'migration' } as const;

/** The answers after this pass's outcomes at `now`. */
export function rememberAnswers(before: Answers, outcomes: readonly Outcome[], now: number): Answers {
  if (outcomes.length === 0) return before;
  const evictions = new Map([...before.evictions].filter(([, answer]) => now - answer.at < keptMs));
  const refusals = new Map(before.refusals);
  for (const outcome of outcomes) {
    const { action } = outcome;
    if (outcome.kind === 'result') {
      if (action.kind === 'evict') {
        const { result } = outcome;
        const key = evictionKey(action.uid, action.dryRun);
        if (result.kind === 'blocked')
          evictions.set(key, {
            kind: answerKinds[result.reason],
            message: result.message,
            at: now,
          });
        else evictions.set(key, { kind: 'accepted', message: '', at: now });
      } else if ('node' in action && action.kind !== 'event') refusals.delete(action.node);
    } else if (
      outcome.kind === 'error' &&
      'node' in action &&
      action.kind !== 'event' &&
      (outcome.error.kind === 'rejected' || outcome.error.kind === 'denied')
    ) {
      refusals.set(action.node, `${action.kind}: ${outcome.error.message}`);
    }
  }
  return { evictions, refusals };
}

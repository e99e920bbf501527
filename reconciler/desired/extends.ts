// Policies that extend others: maps are merged field by field, lists are replaced, null takes a field away.
import type { WrittenPolicySpec, WrittenSchedule } from './written.ts';

/** Longest chain of policies that extend each other. */
export const longestChain = 10;

type Fields = Readonly<Record<string, unknown>>;

/**
 * `over` on top of `base`. Neither is changed. `extends` itself is not inherited; `schedule.preset` and `schedule.cron` replace each
 * other, because each is a whole answer to "when".
 */
export function mergeSpecs(base: WrittenPolicySpec, over: WrittenPolicySpec): unknown {
  const { extends: _below, ...inherited } = base;
  const { extends: _own, ...own } = over;
  const schedule =
    own.schedule && inherited.schedule ? withoutOtherForm(inherited.schedule, own.schedule) : inherited.schedule;
  return merge({ ...inherited, schedule }, own);
}

function withoutOtherForm(base: WrittenSchedule, over: WrittenSchedule): Fields {
  // The time of day and the anchor belong to the preset and go with it.
  const dropped = 'cron' in over ? ['preset', 'at', 'anchor'] : 'preset' in over ? ['cron', 'anchor'] : [];
  return Object.fromEntries(Object.entries(base).filter(([field]) => !dropped.includes(field)));
}

function merge(base: Fields, over: Fields): Fields {
  const result = new Map<string, unknown>(Object.entries(base).filter(([, value]) => value !== undefined));
  for (const [field, value] of Object.entries(over)) {
    // A canary is there by default, so that its absence must be a value of its own.
    if (value === null && field === 'canary') result.set(field, null);
    else if (value === null) result.delete(field);
    else {
      const below = result.get(field);
      result.set(field, isMap(below) && isMap(value) ? merge(below, value) : value);
    }
  }
  return Object.fromEntries(result);
}

function isMap(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

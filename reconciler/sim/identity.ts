// Names and ids that look random and are the same in every run: all of them come from one seeded generator.

/** What hands out uids, boot ids and name endings. */
export interface Identity {
  /** A number from 0 (included) to 1 (excluded). */
  random(): number;
  /** A version 4 UUID in form. */
  uid(): string;
  /** The five letters that the API server puts behind a generateName. */
  suffix(): string;
}

/** A small generator with 32 bits of state (mulberry32). The same seed gives the same numbers. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The letters that Kubernetes uses for endings: no vowels, nothing that looks like something else. */
const LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

/** Ids from the given generator. */
export function createIdentity(random: () => number): Identity {
  const hex = (digits: number): string => {
    let text = '';
    while (text.length < digits)
      text += Math.floor(random() * 2 ** 16)
        .toString(16)
        .padStart(4, '0');
    return text.slice(0, digits);
  };
  return {
    random,
    uid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`,
    suffix() {
      let text = '';
      while (text.length < 5) text += LETTERS[Math.floor(random() * LETTERS.length)] ?? 'x';
      return text;
    },
  };
}

// Careful readers of a forge's answers: a field is what it must be, or the answer is not understood.
import { notUnderstood } from './forge-failure.ts';

/** The fields of one object. */
export type Fields = Readonly<Record<string, unknown>>;

/** Readers whose errors name the forge. `what` says of which thing a field is, for the error. */
export interface FieldReaders {
  /** Throws AdapterError when the value is no object. */
  readonly fieldsOf: (value: unknown, what: string) => Fields;
  readonly textOf: (fields: Fields, name: string, what: string) => string;
  readonly numberOf: (fields: Fields, name: string, what: string) => number;
  /** Milliseconds since the epoch. */
  readonly instantOf: (fields: Fields, name: string, what: string) => number;
  /** A full object id, SHA-1 or SHA-256. */
  readonly commitOf: (fields: Fields, name: string, what: string) => string;
}

/** The readers of one forge. */
export function fieldReaders(forge: string): FieldReaders {
  const unreadable = (what: string): Error => notUnderstood({ forge, what: 'reading its answer', needs: '' }, what);
  const textOf = (fields: Fields, name: string, what: string): string => {
    const value = fields[name];
    if (typeof value !== 'string') throw unreadable(`${what} has no text "${name}"`);
    return value;
  };
  return {
    fieldsOf: (value, what) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unreadable(`${what} is no object`);
      return value as Fields;
    },
    textOf,
    numberOf: (fields, name, what) => {
      const value = fields[name];
      if (typeof value !== 'number' || !Number.isSafeInteger(value))
        throw unreadable(`${what} has no number "${name}"`);
      return value;
    },
    instantOf: (fields, name, what) => {
      const at = Date.parse(textOf(fields, name, what));
      if (Number.isNaN(at)) throw unreadable(`${what} has no time "${name}"`);
      return at;
    },
    commitOf: (fields, name, what) => {
      const value = fields[name];
      if (typeof value !== 'string' || !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(value))
        throw unreadable(`${what} has no commit "${name}"`);
      return value;
    },
  };
}

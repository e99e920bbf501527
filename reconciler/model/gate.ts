// What gates outside Oakum answered: the name of each gate, and its last reading.
import { canonical } from './digest.ts';
import { spellDuration } from './duration.ts';
import type { Gate } from './policy.ts';

/** What one gate answered. A gate that could not be read is closed, and the answer says why. */
export interface GateReading {
  readonly open: boolean;
  /** One sentence for people: what was asked and what came back. */
  readonly answer: string;
  /** When it was read, milliseconds since the epoch. */
  readonly at: number;
}

/** Readings by the gate's key. A gate without a reading is closed. */
export type GateReadings = ReadonlyMap<string, GateReading>;

/** Two gates with the same key ask the same question. */
export function gateKey(gate: Gate): string {
  return canonical(gate.kind === 'pods' ? [gate.kind, gate.selector.text, gate.namespace ?? ''] : gate);
}

/** The gate for people, short enough for a sentence. */
export function gateName(gate: Gate): string {
  switch (gate.kind) {
    case 'prometheus':
      return `prometheus ${gate.url}`;
    case 'http':
      return `http ${gate.url}`;
    case 'pods':
      return `pods "${gate.selector.text}" in ${gate.namespace ?? 'all namespaces'}`;
    case 'quiet':
      return `quiet for ${spellDuration(gate.forMs)}`;
  }
}

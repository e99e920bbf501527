// Hashes: a canonical form of plain values, run hashes, Job names.
import { createHash } from 'node:crypto';

/** JSON with sorted keys and without undefined fields: equal values give equal text. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item ?? null)).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, field]) => field !== undefined);
    entries.sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`).join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}

/** sha256 of the canonical form, as hex, cut to `length` digits. */
export function digest(value: unknown, length = 64): string {
  return createHash('sha256').update(canonical(value)).digest('hex').slice(0, length);
}

/** Value of the run label: two clusters never share one, and it depends on nothing but who and what. */
export function runHash(clusterUid: string, runId: string): string {
  return digest([clusterUid, runId], 10);
}

/** Name of the Job of one step on one node: the same for the same work, so that creating it twice is harmless. */
export function jobName(step: string, nodeUid: string, runId: string, attempt: number): string {
  return `oakum-${step}-${digest([nodeUid, runId, step, attempt], 12)}`;
}

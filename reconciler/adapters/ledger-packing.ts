// The long part of a node's record as it lies in the ledger: its lists of packages, packed.
import { gunzipSync, gzipSync } from 'node:zlib';
import type { NodeRecord } from '../model/ledger.ts';
import type { PatchResult } from '../model/patch-result.ts';

/**
 * Lists of fewer packages stay readable for people who look into the ConfigMap. A longer one came compressed, because the result of a Job
 * has 4,096 bytes; unpacked, two hundred packages are 10 KB, twice per node, and eighty nodes would not fit into one ConfigMap.
 */
const readable = 20;

/** More is no list of packages. As in the reader of results. */
const mostBytes = 512 * 1024;

const packed = ['download', 'patch'] as const;

/** The record with its long lists as `{ "gz": "<base64>" }`. */
export function packLists(record: NodeRecord): object {
  const long: Record<string, object> = {};
  for (const field of packed) {
    const result = record[field];
    if (result?.packages === undefined || result.packages.length < readable) continue;
    const gz = gzipSync(result.packages.join('\n'), { level: 9 }).toString('base64');
    long[field] = { ...result, packages: { gz } };
  }
  return Object.keys(long).length === 0 ? record : { ...record, ...long };
}

/** A record as it was before it was packed; lists that were never packed stay. Throws when a packed list cannot be read. */
export function unpackLists(record: NodeRecord): NodeRecord {
  let whole = record;
  for (const field of packed) {
    const result = record[field];
    if (result === undefined) continue;
    const packages = unpacked(result);
    if (packages !== undefined) whole = { ...whole, [field]: { ...result, packages } };
  }
  return whole;
}

/** What was packed; undefined when nothing was. */
function unpacked(result: PatchResult): readonly string[] | undefined {
  const stored: unknown = result.packages;
  if (typeof stored !== 'object' || stored === null || !('gz' in stored) || typeof stored.gz !== 'string')
    return undefined;
  return gunzipSync(Buffer.from(stored.gz, 'base64'), { maxOutputLength: mostBytes }).toString('utf8').split('\n');
}

// The list of packages that did not fit into a Job's result, from the numbered lines of its pod's log.
import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { parse, record } from './result-text.ts';

/**
 * Bytes of a list, compressed, that are taken up: about 1,000 packages. The ledger keeps two lists for each node and packs them alike
 * (adapters/ledger-packing.ts), and one of its ConfigMaps must have room for all of its nodes.
 */
const mostPacked = 12 * 1024;

/** What a document of so many packages, with their advisories, can unpack to. */
const mostBytes = 4 * 1024 * 1024;

/**
 * How many of the log's last lines hold what a result has left out; undefined when it has left nothing out, or is no result. The script
 * prints its whole document as lines `OSPATCH <run> <i>/<n> <base64 of gzip>` right before the result itself.
 */
export function logLines(result: string | undefined): number | undefined {
  const value = parse(result);
  if (value === undefined || record(value['pkgs'])?.['enc'] !== 'omitted') return undefined;
  const parts = record(value['full'])?.['parts'];
  return typeof parts === 'number' && Number.isSafeInteger(parts) && parts > 0 && parts <= 500 ? parts + 20 : undefined;
}

/**
 * The result with its list of packages, taken from the log. Undefined unless it is the very list whose hash the result names: what stands
 * in a log may be cut, rotated away, or somebody else's.
 */
export function withLog(result: string, log: string): string | undefined {
  const value = parse(result);
  const wanted = record(value?.['pkgs'])?.['sha256'];
  const data = log
    .split('\n')
    .filter((line) => line.startsWith(`OSPATCH ${String(value?.['run'])} `))
    .map((line) => line.split(' ')[3] ?? '');
  const list = record(parse(unpacked(data.join('')))?.['pkgs'])?.['data'];
  if (!Array.isArray(list)) return undefined;
  const lines = list.filter((line) => typeof line === 'string');
  if (gzipSync(lines.join('\n'), { level: 9 }).length > mostPacked) return undefined;
  const hash = createHash('sha256');
  for (const line of lines) hash.update(`${line}\n`);
  if (lines.length !== list.length || hash.digest('hex') !== wanted) return undefined;
  return JSON.stringify({ ...value, pkgs: { enc: 'plain', data: lines } });
}

function unpacked(base64: string): string | undefined {
  try {
    return gunzipSync(Buffer.from(base64, 'base64'), { maxOutputLength: mostBytes }).toString('utf8');
  } catch {
    // There are no such lines, or not all of them.
    return undefined;
  }
}

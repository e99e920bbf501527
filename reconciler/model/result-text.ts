// Reads the patch script's termination message: text → PatchResult.
import { gunzipSync } from 'node:zlib';
import type { PatchResult } from './patch-result.ts';

type Json = Readonly<Record<string, unknown>>;

/**
 * Parses the JSON that the script left as termination message (at most 4,096 bytes). Undefined when it is not a result:
 * a shell's last words, a cut line, another program. Every text from the node is bounded and free of control characters.
 */
export function readResult(text: string | undefined): PatchResult | undefined {
  const value = parse(text);
  if (value === undefined || value['v'] !== 1 || typeof value['code'] !== 'string') return undefined;
  const after = record(value['after']) ?? record(value['before']) ?? {};
  const before = record(value['before']) ?? {};
  const counts = record(value['n']) ?? {};
  const reboot = record(value['reboot']) ?? {};
  return {
    mode: word(value['mode']),
    status: word(value['status']),
    code: word(value['code']),
    message: clean(value['msg'], 240),
    os: word(after['os']),
    osVersion: clean(after['osv'], 48),
    kernel: clean(after['kernel'], 64),
    kernelNext: after['kernelNext'] === undefined ? undefined : clean(after['kernelNext'], 64),
    bootId: clean(after['boot'] ?? before['boot'], 40),
    pending: count(counts['pending']),
    applied: count(counts['applied']) + count(counts['new']),
    left: count(counts['left']),
    keptCount: count(counts['kept']),
    advisories: count(counts['advisories']),
    cves: count(counts['cves']),
    rebootRequired: reboot['required'] === true,
    rebootSafe: reboot['safe'] !== false,
    rebootWhy: words(reboot['why'], 8),
    rebootState: word(reboot['state']),
    packages: packages(record(value['pkgs'])),
    kept: list(value['kept'], 20).map((pair) => {
      const [name, why] = list(pair, 2);
      return [clean(name, 80), clean(why, 40)] as const;
    }),
    services: words(value['svc'], 20),
    warnings: words(value['warn'], 10),
  };
}

/** A text as the JSON object that it is; undefined when it is none. */
export function parse(text: string | undefined): Json | undefined {
  if (text === undefined) return undefined;
  try {
    return record(JSON.parse(text.trim()));
  } catch {
    return undefined;
  }
}

export function record(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

function list(value: unknown, most: number): unknown[] {
  return Array.isArray(value) ? value.slice(0, most) : [];
}

function words(value: unknown, most: number): string[] {
  return list(value, most).map((item) => clean(item, 160));
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

function word(value: unknown): string {
  return typeof value === 'string' && /^[A-Za-z0-9_.-]{1,64}$/.test(value) ? value : '';
}

/** Text from a node: control characters (and what follows a cut) never reach a terminal, a commit or an annotation. */
function clean(value: unknown, most: number): string {
  if (typeof value !== 'string') return '';
  return value
    .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
    .slice(0, most)
    .trim();
}

/** A list of 4,096 compressed bytes can inflate to a few hundred kilobytes at most; more is refused. */
const mostPackageBytes = 512 * 1024;

function packages(value: Json | undefined): string[] | undefined {
  if (value === undefined) return undefined;
  const { enc, data } = value;
  if (enc === 'plain') return list(data, 2000).map((line) => clean(line, 620));
  if (enc !== 'gz' || typeof data !== 'string') return undefined;
  try {
    const text = gunzipSync(Buffer.from(data, 'base64'), { maxOutputLength: mostPackageBytes }).toString('utf8');
    const lines = text.startsWith('[') ? list(JSON.parse(text), 2000) : text.split('\n').slice(0, 2000);
    return lines.filter((line) => line !== '').map((line) => clean(line, 620));
  } catch {
    return undefined;
  }
}

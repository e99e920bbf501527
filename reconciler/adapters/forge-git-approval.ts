// One approval file (`clusters/<cluster>/approvals/<name>.yaml`): what its writer saw and agrees to, by content.
import { parseDocument } from 'yaml';
import { apiVersion } from '../model/names.ts';

/** What an approval file says. */
export interface WrittenApproval {
  /** The principal that must have signed; undefined: whoever signed. */
  readonly approver: string | undefined;
  /** Milliseconds since the epoch. */
  readonly expires: number | undefined;
  /** Object ids of every file that takes part, by path; undefined: that there is no such file. */
  readonly files: ReadonlyMap<string, string | undefined>;
}

/** Reads one; a string says what is wrong with it. Such a file approves nothing. */
export function readApproval(text: string): WrittenApproval | string {
  const document = parseDocument(text, { uniqueKeys: true, version: '1.2', merge: false, schema: 'core' });
  if (document.errors.length > 0) return 'it is not YAML';
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 0 });
  } catch {
    return 'it uses aliases';
  }
  const object = fields(value, ['apiVersion', 'kind', 'metadata', 'spec']);
  if (object?.['apiVersion'] !== apiVersion || object['kind'] !== 'PatchApproval')
    return `it is not a PatchApproval of ${apiVersion}`;
  const spec = fields(object['spec'], ['approver', 'expires', 'files']);
  const written = fields(spec?.['files'], undefined);
  if (spec === undefined || written === undefined) return 'spec holds approver, expires and files, nothing else';
  const { approver, expires } = spec;
  if (approver !== undefined && (typeof approver !== 'string' || approver === ''))
    return 'spec.approver must be a principal';
  const until = expires === undefined ? undefined : Date.parse(typeof expires === 'string' ? expires : 'no time');
  if (until !== undefined && Number.isNaN(until)) return 'spec.expires must be a time';
  const files = new Map<string, string | undefined>();
  for (const [path, oid] of Object.entries(written)) {
    if (oid !== 'gone' && (typeof oid !== 'string' || !/^[0-9a-f]{40}$/.test(oid)))
      return `spec.files["${path.slice(0, 100)}"] must be the object id of a file, or "gone"`;
    files.set(path, oid === 'gone' ? undefined : oid);
  }
  return { approver, expires: until, files };
}

function fields(value: unknown, allowed: readonly string[] | undefined): Record<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const entries = Object.entries(value);
  if (allowed && entries.some(([name]) => !allowed.includes(name))) return undefined;
  return Object.fromEntries(entries);
}

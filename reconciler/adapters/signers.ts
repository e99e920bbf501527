// Who may sign: allowed_signers (ssh-keygen(1), "ALLOWED SIGNERS") and OpenPGP public keys, from the folder `signers/` of the config repository.
import { readKeys, type Key } from 'openpgp';
import { readSshKey, sshFingerprint, type SshKey } from './signature-ssh.ts';

/** An SSH key that may sign, with the limits that its line sets. */
export interface AllowedSshKey {
  /** Who the line says it is. */
  readonly principal: string;
  readonly key: SshKey;
  readonly fingerprint: string;
  /** Milliseconds since the epoch. */
  readonly validAfter: number | undefined;
  readonly validBefore: number | undefined;
}

/** An OpenPGP key that may sign. */
export interface AllowedOpenPgpKey {
  /** Who it is: the name of the file without `.asc`. */
  readonly principal: string;
  readonly key: Key;
  readonly fingerprint: string;
  /** Mail addresses of its user ids, lower case. */
  readonly emails: readonly string[];
}

/** All keys that count, and what of the folder was not understood: such a line or file lets nobody sign. */
export interface Signers {
  readonly ssh: readonly AllowedSshKey[];
  readonly openPgp: readonly AllowedOpenPgpKey[];
  readonly problems: readonly string[];
}

/** Folder of the config repository that says who may sign. */
export const signersFolder = 'signers/';
const listFile = `${signersFolder}allowed_signers`;
/** Namespace of commits and tags in SSH signatures (git-config(1), gpg.ssh.allowedSignersFile). */
export const gitNamespace = 'git';

/** A principal must mean one person: no patterns. */
const principalPattern = /^[^\s*?!,"]+$/;

/** Reads `20270101`, `202701011200`, `20270101120000`, with or without a Z: always as UTC. */
function readTime(text: string): number | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?Z?$/.exec(text);
  if (parts === null) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts
    .slice(1)
    .map((part) => Number(part ?? 0));
  const at = Date.UTC(year, month - 1, day, hour, minute, second);
  const back = new Date(at);
  return back.getUTCMonth() === month - 1 && back.getUTCDate() === day && hour < 24 && minute < 60 ? at : undefined;
}

interface Limits {
  namespaces?: string;
  after?: number;
  before?: number;
}

/** The options of a line; a string says what is wrong with them. */
function readOptions(text: string): Limits | string {
  const limits: Limits = {};
  const pattern = /([a-z-]+)(?:="([^"]*)")?(?:,|$)/gy;
  let end = 0;
  for (let match = pattern.exec(text); match !== null && end < text.length; match = pattern.exec(text)) {
    end = pattern.lastIndex;
    const [, name = '', value] = match;
    if (name === 'cert-authority') return 'certificates are not understood here; list the keys themselves';
    if (name === 'namespaces' && value !== undefined && limits.namespaces === undefined) limits.namespaces = value;
    else if ((name === 'valid-after' || name === 'valid-before') && value !== undefined) {
      const at = readTime(value);
      const side = name === 'valid-after' ? 'after' : 'before';
      if (at === undefined || limits[side] !== undefined)
        return `"${name}" must be given once, as YYYYMMDD or YYYYMMDDHHMM[SS]`;
      limits[side] = at;
    } else return `the option "${name}" is not known`;
  }
  return end === text.length ? limits : 'its options cannot be read';
}

/** One line that is neither empty nor a comment. */
function readLine(line: string): AllowedSshKey | undefined | string {
  const fields = /^(\S+)\s+(?:((?:[a-z-]+(?:="[^"]*")?,?)+)\s+)?([a-z0-9@.-]+)\s+([A-Za-z0-9+/=]+)(?:\s.*)?$/.exec(
    line,
  );
  const [, names = '', options = '', type = '', base64 = ''] = fields ?? [];
  if (fields === null) return 'expected: principal [options] type key';
  const principals = names.replace(/^"(.*)"$/, '$1').split(',');
  const [principal = ''] = principals;
  if (principals.length !== 1 || !principalPattern.test(principal))
    return 'one principal a line, without patterns, so that a key is one person';
  const limits = readOptions(options);
  if (typeof limits === 'string') return limits;
  const key = readSshKey(type, base64);
  if (key === undefined) return `"${type}" with this text is not a key that is understood`;
  const spaces = limits.namespaces?.split(',');
  if (spaces?.some((space) => /[*?!]/.test(space)) === true) return 'patterns in "namespaces" are not understood';
  // A key for other purposes: rightly in the list, and no signer of commits.
  if (spaces !== undefined && !spaces.includes(gitNamespace)) return undefined;
  return { principal, key, fingerprint: sshFingerprint(key), validAfter: limits.after, validBefore: limits.before };
}

/** Reads the folder from the texts of its files, by path from the repository's root. Other paths are not looked at. */
export async function readSigners(files: ReadonlyMap<string, string>): Promise<Signers> {
  const ssh: AllowedSshKey[] = [];
  const openPgp: AllowedOpenPgpKey[] = [];
  const problems: string[] = [];
  for (const [index, written] of (files.get(listFile) ?? '').split('\n').entries()) {
    const line = written.trim();
    if (line === '' || line.startsWith('#')) continue;
    const read = readLine(line);
    if (typeof read === 'string') problems.push(`${listFile}:${index + 1}: ${read}.`);
    else if (read !== undefined) ssh.push(read);
  }
  for (const [path, armoredKeys] of files) {
    const principal = /^signers\/([^/]+)\.asc$/.exec(path)?.[1];
    if (principal === undefined) continue;
    try {
      for (const key of await readKeys({ armoredKeys })) {
        if (key.isPrivate()) throw new Error('it is a private key; make a new one, this one is known to everybody now');
        const emails = key.users.flatMap(({ userID }) => (userID?.email ? [userID.email.toLowerCase()] : []));
        openPgp.push({ principal, key, fingerprint: key.getFingerprint().toUpperCase(), emails });
      }
    } catch (error) {
      problems.push(
        `${path}: not an armoured OpenPGP public key (${error instanceof Error ? error.message : 'unreadable'}).`,
      );
    }
  }
  return { ssh, openPgp, problems };
}

// The raw bytes of a commit, taken apart: who wrote it, what was signed, and the signature over that.
import { AdapterError } from '../model/failure.ts';

/** Why a signature does not count. */
export interface SignatureFault {
  readonly kind: 'bad';
  readonly code:
    'Malformed' | 'BadSignature' | 'UnknownKey' | 'WrongNamespace' | 'WeakAlgorithm' | 'KeyNotValid' | 'InTheFuture';
  /** A sentence. */
  readonly message: string;
}

/** A person as a commit names one. Nobody checks such a name; only a signature proves anything. */
export interface Person {
  readonly name: string;
  /** In lower case. */
  readonly email: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** A commit and what of it was signed. */
export interface SignedCommit {
  readonly tree: string;
  readonly parents: readonly string[];
  readonly author: Person;
  readonly committer: Person;
  /** Mail addresses of `Co-authored-by` trailers, with names. */
  readonly coAuthors: readonly { readonly name: string; readonly email: string }[];
  readonly message: string;
  /** The armoured signature, or undefined when there is none. */
  readonly signature: string | undefined;
  /** What the signature is over: the commit without the header that carries the signature. */
  readonly payload: Buffer;
}

function malformed(why: string): AdapterError {
  return new AdapterError('rejected', 'GitCommitMalformed', `The commit is not one that Git would make: ${why}.`);
}

const personPattern = /^(.*?) ?<([^<>\n]*)> (\d{1,12}) [-+]\d{4}$/;

function person(value: string): Person {
  const [, name = '', email = '', seconds = ''] = personPattern.exec(value) ?? [];
  if (seconds === '') throw malformed('a person without a mail address or a time');
  return { name, email: email.toLowerCase(), at: Number(seconds) * 1000 };
}

/** The headers with their values, continuation lines included, in order. */
function readHeaders(head: string): { readonly name: string; readonly value: string; readonly lines: number }[] {
  const headers: { name: string; value: string; lines: number }[] = [];
  for (const line of head.split('\n')) {
    const last = headers.at(-1);
    if (line.startsWith(' ')) {
      if (last === undefined) throw malformed('it begins with a blank');
      last.value += `\n${line.slice(1)}`;
      last.lines++;
      continue;
    }
    const space = line.indexOf(' ');
    if (space <= 0) throw malformed('a header without a value');
    headers.push({ name: line.slice(0, space), value: line.slice(space + 1), lines: 1 });
  }
  return headers;
}

/**
 * Takes a commit apart. Stricter than Git: the four headers that every commit has must be there once and in order, and there may be one
 * signature at most (git itself joins several). Throws GitCommitMalformed.
 */
export function readSignedCommit(raw: Uint8Array): SignedCommit {
  // One character for each byte, so that positions in the text are positions in the bytes.
  const bytes = Buffer.from(raw);
  const text = bytes.toString('latin1');
  if (text.includes('\0')) throw malformed('a NUL byte');
  const blank = text.indexOf('\n\n');
  if (blank < 0) throw malformed('no message');
  const headers = readHeaders(text.slice(0, blank));
  const names = headers.map(({ name }) => name);
  const parents = names.filter((name) => name === 'parent').length;
  const order = ['tree', ...Array<string>(parents).fill('parent'), 'author', 'committer'];
  if (order.some((name, index) => names[index] !== name)) throw malformed('its headers are not in order');
  if (names.slice(order.length).some((name) => order.includes(name))) throw malformed('a header comes twice');
  const signatures = headers.filter(({ name }) => name.startsWith('gpgsig'));
  if (signatures.length > 1) throw malformed('more than one signature');
  const [signature] = signatures;
  if (signature !== undefined && signature.name !== 'gpgsig') throw malformed(`a signature under "${signature.name}"`);

  const oids = headers.slice(0, parents + 1).map(({ value }) => value);
  if (oids.some((oid) => !/^[0-9a-f]{40}$/.test(oid))) throw malformed('the name of an object is none');
  const utf8 = (value: string): string => Buffer.from(value, 'latin1').toString('utf8');
  const message = utf8(text.slice(blank + 2));
  return {
    tree: oids[0] ?? '',
    parents: oids.slice(1),
    author: person(utf8(headers[parents + 1]?.value ?? '')),
    committer: person(utf8(headers[parents + 2]?.value ?? '')),
    coAuthors: [...message.matchAll(/^co-authored-by:\s*(.*?)\s*<([^<>\n]+)>\s*$/gim)].map(
      ([, name = '', email = '']) => ({
        name,
        email: email.toLowerCase(),
      }),
    ),
    message,
    signature: signature?.value,
    payload: signature === undefined ? bytes : without(text, signature.lines, blank),
  };
}

/** The bytes without the lines of the signature's header; the message, whatever it says, is not looked at. */
function without(text: string, lines: number, blank: number): Buffer {
  const start = text.indexOf('\ngpgsig ') + 1;
  let end = start;
  for (let line = 0; line < lines; line++) end = Math.min(text.indexOf('\n', end), blank) + 1;
  return Buffer.from(text.slice(0, start) + text.slice(end), 'latin1');
}

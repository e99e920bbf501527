// Questions to a Git server that need no local copy: which references there are, and the push of a pack by compare-and-swap.
import { listServerRefs, type ServerRef } from 'isomorphic-git';
import { AdapterError } from '../model/failure.ts';
import { quote } from './git-failure.ts';
import type { GitTransport } from './git-http.ts';

/** The tip of a branch. */
export interface Tip {
  /** Name of the branch, without `refs/heads/`. */
  readonly branch: string;
  readonly oid: string;
}

/** What became of a push. */
export type PushOutcome =
  | { readonly kind: 'accepted' }
  /** Somebody else moved the branch in between: build again on the new tip. */
  | { readonly kind: 'moved'; readonly said: string };

const heads = 'refs/heads/';
const nothing = '0'.repeat(40);

async function refs(transport: GitTransport, prefix: string): Promise<ServerRef[]> {
  const found = await listServerRefs({
    http: transport,
    url: transport.url,
    protocolVersion: transport.protocol,
    prefix,
    symrefs: true,
  });
  return found.filter((ref) => ref.ref.startsWith(prefix));
}

/** Looks at the tip of a branch, or of the branch that HEAD names; `undefined` when the repository has no branch at all. */
export async function probe(transport: GitTransport, branch: string | undefined): Promise<Tip | undefined> {
  if (branch !== undefined) {
    const found = (await refs(transport, heads + branch)).find(({ ref }) => ref === heads + branch);
    if (found !== undefined) return { branch, oid: found.oid };
  } else {
    const head = (await refs(transport, 'HEAD')).find(({ ref }) => ref === 'HEAD');
    if (head?.target?.startsWith(heads) === true) return { branch: head.target.slice(heads.length), oid: head.oid };
    if (head !== undefined)
      throw new AdapterError(
        'missing',
        'GitBranchMissing',
        `HEAD of ${transport.shown} does not say which branch it is. Name the branch in the settings.`,
      );
  }
  const others = (await refs(transport, heads)).map(({ ref }) => ref.slice(heads.length));
  if (others.length === 0) return undefined;
  const shown = others.slice(0, 5).join(', ') + (others.length > 5 ? ', …' : '');
  throw new AdapterError(
    'missing',
    'GitBranchMissing',
    branch === undefined
      ? `HEAD of ${transport.shown} names a branch that does not exist; there is ${shown}. Correct HEAD on the server, or name the branch in the settings.`
      : `${transport.shown} has no branch "${branch}"; there is ${shown}.`,
  );
}

/** The tip of a branch as the side that takes pushes sees it, read just before a push; `undefined` when there is no such branch. */
export async function pushTip(transport: GitTransport, branch: string): Promise<string | undefined> {
  const found = await listServerRefs({
    http: transport,
    url: transport.url,
    protocolVersion: 1,
    forPush: true,
    prefix: heads + branch,
  });
  return found.find(({ ref }) => ref === heads + branch)?.oid;
}

/** Refusals that only say "the branch is not where you think": from git itself, its hooks' sandbox, and JGit. */
const movedText =
  /failed to update ref|cannot lock ref|failed to lock|unable to lock|incorrect old value|fetch first|non-fast-forward|reference already exists|reference conflict|stale info|lock failure|remote ref .* changed|is at [0-9a-f]{40} but expected/i;

/**
 * Pushes a pack: the branch goes from `before` (undefined: it must not exist) to `after`, or not at all. The server compares and swaps,
 * so nothing of anybody else is ever overwritten. Throws GitPushRefused when the server does not want it, and transport errors, after which it
 * is not known whether the push arrived.
 */
export async function push(
  transport: GitTransport,
  branch: string,
  before: string | undefined,
  after: string,
  pack: Buffer,
): Promise<PushOutcome> {
  const command = `${before ?? nothing} ${after} ${heads}${branch}\0 report-status side-band-64k agent=oakum`;
  const length = (Buffer.byteLength(command) + 4).toString(16).padStart(4, '0');
  const request = Buffer.concat([Buffer.from(`${length}${command}0000`), pack]);
  async function* body(): AsyncGenerator<Uint8Array> {
    yield request;
  }
  const answer = await transport.request({
    url: `${transport.url}/git-receive-pack`,
    method: 'POST',
    headers: {
      'content-type': 'application/x-git-receive-pack-request',
      accept: 'application/x-git-receive-pack-result',
    },
    body: body(),
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.body ?? []) chunks.push(chunk);
  const { report, spoken } = readSideBands(Buffer.concat(chunks));
  return judge(transport, branch, report, spoken);
}

/** Splits the answer into the report (band 1) and what hooks and the server say to people (bands 2 and 3). */
function readSideBands(bytes: Buffer): { readonly report: string; readonly spoken: string } {
  let inner = Buffer.alloc(0);
  let spoken = '';
  for (const line of packetLines(bytes)) {
    const band = line[0];
    if (band === 1) inner = Buffer.concat([inner, line.subarray(1)]);
    else if (band === 2 || band === 3) spoken += line.toString('utf8', 1);
    // A server without side bands sends the report bare.
    else inner = Buffer.concat([inner, Buffer.from((line.length + 4).toString(16).padStart(4, '0')), line]);
  }
  return { report: [...packetLines(inner)].map((line) => line.toString('utf8').trimEnd()).join('\n'), spoken };
}

function* packetLines(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = parseInt(bytes.toString('latin1', at, at + 4), 16);
    if (Number.isNaN(length)) return;
    if (length > 4) yield bytes.subarray(at + 4, at + length);
    at += Math.max(length, 4);
  }
}

function judge(transport: GitTransport, branch: string, report: string, spoken: string): PushOutcome {
  const lines = report.split('\n');
  const unpack = lines.find((line) => line.startsWith('unpack '));
  const verdict = lines.find((line) => line.endsWith(` ${heads}${branch}`) || line.includes(` ${heads}${branch} `));
  if (unpack === 'unpack ok' && verdict?.startsWith('ok ') === true) return { kind: 'accepted' };
  const reason =
    verdict?.startsWith('ng ') === true ? verdict.slice(verdict.indexOf(heads) + heads.length + branch.length + 1) : '';
  if (movedText.test(reason)) return { kind: 'moved', said: reason };
  if (unpack === undefined)
    throw new AdapterError(
      'transient',
      'GitUnreachable',
      `${transport.shown} gave no answer to a push. ${quote(spoken)}`.trim(),
    );
  if (unpack !== 'unpack ok')
    throw new AdapterError(
      'transient',
      'GitPushFailed',
      `${transport.shown} could not store a push: ${quote(unpack.slice(7))}. ${quote(spoken)}`.trim(),
    );
  throw new AdapterError(
    'rejected',
    'GitPushRefused',
    `${transport.shown} refuses pushes to "${branch}": ${quote(reason || 'no reason given')}. ${spoken === '' ? '' : `It said: ${quote(spoken)} `}Allow Oakum's account to push to this branch.`,
  );
}

// Pushes a pack to one branch by compare-and-swap, and understands what the server says to it.
import { AdapterError } from '../model/failure.ts';
import { quote, stopped } from './git-failure.ts';
import type { GitTransport } from './git-http.ts';
import { packet, packets } from './git-packets.ts';

/** What became of a push. */
export type PushOutcome =
  | { readonly kind: 'accepted' }
  /** Somebody else moved the branch in between: build again on the new tip. */
  | { readonly kind: 'moved'; readonly said: string };

const heads = 'refs/heads/';
const nothing = '0'.repeat(40);

/** Refusals that only say "the branch is not where you think": from git itself, its hooks' sandbox, and JGit. */
const movedText =
  /failed to update ref|cannot lock ref|failed to lock|unable to lock|incorrect old value|fetch first|non-fast-forward|reference already exists|reference conflict|stale info|lock failure|remote ref .* changed|is at [0-9a-f]{40} but expected/i;

/**
 * Pushes a pack: the branch goes from `before` (undefined: it must not exist) to `after` (undefined: it is removed, and there is no pack), or not
 * at all. The server compares and swaps, so nothing that was not seen is ever overwritten. Throws GitPushRefused when the server does not want it, and transport errors, after which it
 * is not known whether the push arrived.
 */
export async function push(
  transport: GitTransport,
  branch: string,
  before: string | undefined,
  after: string | undefined,
  pack: Buffer | undefined,
): Promise<PushOutcome> {
  const command = `${before ?? nothing} ${after ?? nothing} ${heads}${branch}\0 report-status side-band-64k agent=oakum`;
  const request = Buffer.concat([packet(command), Buffer.from('0000'), pack ?? Buffer.alloc(0)]);
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

const longestPauseMs = 30_000;

/** Waits before the next attempt, longer each time; `attempt` counts from 0. Throws when the signal fires. */
export async function pauseBeforeRetry(
  transport: GitTransport,
  backoffMs: number,
  attempt: number,
  signal: AbortSignal,
): Promise<void> {
  const longest = Math.min(backoffMs * 2 ** attempt, longestPauseMs);
  // Jitter: writers that were refused together must not come back together.
  const milliseconds = longest * (0.5 + Math.random() / 2);
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(stopped(signal, transport.shown));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    }, milliseconds);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** Splits the answer into the report (band 1) and what hooks and the server say to people (bands 2 and 3). */
function readSideBands(bytes: Buffer): { readonly report: string; readonly spoken: string } {
  let inner = Buffer.alloc(0);
  let spoken = '';
  for (const line of packets(bytes)) {
    const band = line[0];
    if (band === 1) inner = Buffer.concat([inner, line.subarray(1)]);
    else if (band === 2 || band === 3) spoken += line.toString('utf8', 1);
    // A server without side bands sends the report bare.
    else inner = Buffer.concat([inner, packet(line)]);
  }
  return { report: [...packets(inner)].map((line) => line.toString('utf8').trimEnd()).join('\n'), spoken };
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

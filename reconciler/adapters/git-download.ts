// Downloads a pack (gitprotocol-pack(5), version 0 without negotiation: one commit wanted, at most one told to be here).
import crypto from 'node:crypto';
import { AdapterError } from '../model/failure.ts';
import { quote } from './git-failure.ts';
import type { GitTransport } from './git-http.ts';
import { packet, packets } from './git-packets.ts';

/** What to ask for. */
export interface Wish {
  readonly want: string;
  /** A commit that is here whole (but for what `shallow` says). */
  readonly have: string | undefined;
  /** Commits whose parents are not here. */
  readonly shallow: readonly string[];
  /** Commits to get, counted from the wanted one; undefined: all that is new. */
  readonly depth: number | undefined;
  /**
   * The pack may lean on objects that are here (a "thin" pack). Without it a server that is asked for a depth sends whole snapshots, whatever
   * is here already.
   */
  readonly thin: boolean;
}

/** What came. */
export interface Download {
  /** Checked against its own checksum. */
  readonly pack: Buffer;
  /** Commits whose parents are not here, afterwards. */
  readonly shallow: readonly string[];
}

const trailerLength = 20;

/** Asks and reads the whole answer. An answer that is cut off is an error and never half a pack. */
export async function download(transport: GitTransport, wish: Wish): Promise<Download> {
  const lines = [
    packet(
      `want ${wish.want}${wish.thin ? ' thin-pack' : ''} ofs-delta side-band-64k no-progress shallow agent=oakum\n`,
    ),
    ...wish.shallow.map((oid) => packet(`shallow ${oid}\n`)),
    ...(wish.depth === undefined ? [] : [packet(`deepen ${wish.depth}\n`)]),
    Buffer.from('0000'),
    ...(wish.have === undefined ? [] : [packet(`have ${wish.have}\n`)]),
    packet('done\n'),
  ];
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.concat(lines);
  }
  const answer = await transport.request({
    url: `${transport.url}/git-upload-pack`,
    method: 'POST',
    headers: {
      'content-type': 'application/x-git-upload-pack-request',
      accept: 'application/x-git-upload-pack-result',
    },
    body: body(),
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.body ?? []) chunks.push(chunk);
  return readAnswer(transport, Buffer.concat(chunks), wish);
}

function readAnswer(transport: GitTransport, bytes: Buffer, wish: Wish): Download {
  const shallow = new Set(wish.shallow);
  const data: Buffer[] = [];
  let refusal = '';
  for (const line of packets(bytes)) {
    const band = line[0];
    if (band === 1) data.push(line.subarray(1));
    else if (band === 3) refusal = line.toString('utf8', 1);
    else if (band !== 2) {
      const [word = '', oid = ''] = line.toString('utf8').trim().split(' ');
      if (word === 'shallow') shallow.add(oid);
      else if (word === 'unshallow') shallow.delete(oid);
      else if (word === 'ERR') refusal = line.toString('utf8', 4);
    }
  }
  // A branch that moved between the two questions is the usual reason; the next look asks for the new tip.
  if (refusal !== '')
    throw new AdapterError(
      'transient',
      'GitFetchRefused',
      `${transport.shown} refused to send ${wish.want.slice(0, 10)}: ${quote(refusal)}`,
    );
  const pack = Buffer.concat(data);
  const content = pack.subarray(0, Math.max(0, pack.length - trailerLength));
  const sum = crypto.createHash('sha1').update(content).digest();
  if (content.length < 12 || !sum.equals(pack.subarray(content.length)))
    throw new AdapterError('transient', 'GitUnreachable', `${transport.shown} broke off in the middle of a pack.`);
  return { pack, shallow: [...shallow].sort() };
}

/** Number of objects in a pack. */
export function packedObjects(pack: Buffer): number {
  return pack.readUInt32BE(8);
}

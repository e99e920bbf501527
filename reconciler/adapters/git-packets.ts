// The lines of Git's wire protocol (gitprotocol-common(5), "pkt-line Format").

/** One line, with its length in front. */
export function packet(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from((bytes.length + 4).toString(16).padStart(4, '0')), bytes]);
}

/** The lines of an answer, without the flushes in between. A line that is cut off is not among them. */
export function* packets(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = parseInt(bytes.toString('latin1', at, at + 4), 16);
    if (Number.isNaN(length) || at + length > bytes.length) return;
    if (length > 4) yield bytes.subarray(at + 4, at + length);
    at += Math.max(length, 4);
  }
}

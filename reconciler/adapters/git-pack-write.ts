// Writes packs and their indexes: what a push sends, and how the same objects are kept afterwards.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { objectId, type GitObject, type GitObjectType } from './git-packs.ts';

const typeNumbers: Readonly<Record<GitObjectType, number>> = { commit: 1, tree: 2, blob: 3, tag: 4 };

/** Objects that a repository is about to get, each once. */
export interface NewObjects {
  readonly objects: Map<string, GitObject>;
  /** Adds an object and tells its name. */
  add(type: GitObjectType, content: Buffer): string;
}

export function collectObjects(): NewObjects {
  const objects = new Map<string, GitObject>();
  return {
    objects,
    add(type, content) {
      const oid = objectId(type, content);
      objects.set(oid, { type, content });
      return oid;
    },
  };
}

/** A pack (version 2, whole objects) and its index (version 2); both formats: gitformat-pack(5). */
export function buildPack(objects: ReadonlyMap<string, GitObject>): { readonly pack: Buffer; readonly index: Buffer } {
  const header = Buffer.alloc(12);
  header.write('PACK');
  header.writeUInt32BE(2, 4);
  header.writeUInt32BE(objects.size, 8);
  const parts: Buffer[] = [header];
  const entries: { readonly name: Buffer; readonly at: number; readonly crc: number }[] = [];
  let at = 12;
  for (const [oid, { type, content }] of objects) {
    const prefix: number[] = [];
    let rest = Math.floor(content.length / 16);
    let byte = (typeNumbers[type] << 4) | (content.length & 15);
    while (rest > 0) {
      prefix.push(byte | 0x80);
      byte = rest & 0x7f;
      rest = Math.floor(rest / 128);
    }
    prefix.push(byte);
    const packed = Buffer.concat([Buffer.from(prefix), zlib.deflateSync(content)]);
    entries.push({ name: Buffer.from(oid, 'hex'), at, crc: zlib.crc32(packed) });
    parts.push(packed);
    at += packed.length;
  }
  const body = Buffer.concat(parts);
  const checksum = crypto.createHash('sha1').update(body).digest();
  return { pack: Buffer.concat([body, checksum]), index: buildIndex(entries, checksum) };
}

function buildIndex(
  entries: { readonly name: Buffer; readonly at: number; readonly crc: number }[],
  packChecksum: Buffer,
): Buffer {
  entries.sort((left, right) => Buffer.compare(left.name, right.name));
  const count = entries.length;
  const index = Buffer.alloc(8 + 1024 + count * 28);
  index.writeUInt32BE(0xff744f63, 0);
  index.writeUInt32BE(2, 4);
  const buckets = new Array<number>(256).fill(0);
  entries.forEach(({ name, at, crc }, place) => {
    const first = name.readUInt8(0);
    buckets[first] = (buckets[first] ?? 0) + 1;
    name.copy(index, 1032 + place * 20);
    index.writeUInt32BE(crc, 1032 + count * 20 + place * 4);
    // Packs of ours stay far below the 2 GiB at which offsets need a second table.
    index.writeUInt32BE(at, 1032 + count * 24 + place * 4);
  });
  let sum = 0;
  buckets.forEach((inBucket, first) => {
    sum += inBucket;
    index.writeUInt32BE(sum, 8 + first * 4);
  });
  const body = Buffer.concat([index, packChecksum]);
  return Buffer.concat([body, crypto.createHash('sha1').update(body).digest()]);
}

/** Puts a file in place in one step: a reader sees the old content or the new, never half of it. */
export function writeWhole(file: string, content: Buffer | string): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}.draft`;
  fs.writeFileSync(draft, content);
  fs.renameSync(draft, file);
}

/** Keeps a pack in a repository. The index comes last: without it nobody looks at the pack. */
export function storePack(gitdir: string, built: { readonly pack: Buffer; readonly index: Buffer }): void {
  const name = path.join(gitdir, 'objects', 'pack', `pack-${built.pack.subarray(-20).toString('hex')}`);
  writeWhole(`${name}.pack`, built.pack);
  writeWhole(`${name}.idx`, built.index);
}

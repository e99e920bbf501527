// Reads Git objects from packs and loose files with node:zlib, checks every SHA-1, and keeps no more in memory than it may.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { corrupt, errorCode } from './git-failure.ts';

/** The kinds of objects that a repository holds. */
export type GitObjectType = 'commit' | 'tree' | 'blob' | 'tag';

export interface GitObject {
  readonly type: GitObjectType;
  readonly content: Buffer;
}

/** One pack: its index in memory (format: gitformat-pack(5), version 2), its data read from the file as needed. */
interface Pack {
  readonly name: string;
  readonly index: Buffer;
  readonly count: number;
  readonly descriptor: number;
  readonly size: number;
}

const packedTypes = ['', 'commit', 'tree', 'blob', 'tag', '', 'offset-delta', 'ref-delta'] as const;
const fanout = 8;
const names = fanout + 256 * 4;
/** Objects beyond this are never read whole. */
const largestObject = 64 * 1024 * 1024;
const cacheLimit = 32 * 1024 * 1024;
/** Git itself makes chains of at most 50, or 250 when asked to be aggressive; 4095 is what it can be told. */
const longestChain = 4095;

/** The name of an object: SHA-1 over its header and content. */
export function objectId(type: GitObjectType, content: Uint8Array): string {
  return crypto.createHash('sha1').update(`${type} ${content.length}\0`).update(content).digest('hex');
}

/** Undoes a delta (gitformat-pack(5), "Deltified representation"). */
function applyDelta(base: Buffer, delta: Buffer): Buffer {
  const [baseSize, afterBase] = varint(delta, 0);
  const [size, start] = varint(delta, afterBase);
  if (baseSize !== base.length || size > largestObject) throw corrupt('a delta does not fit its base');
  const out = Buffer.allocUnsafe(size);
  let from = start;
  let to = 0;
  while (from < delta.length) {
    const code = delta.readUInt8(from++);
    if ((code & 0x80) !== 0) {
      let offset = 0;
      let length = 0;
      for (let byte = 0; byte < 4; byte++)
        if ((code & (1 << byte)) !== 0) offset += delta.readUInt8(from++) * 2 ** (8 * byte);
      for (let byte = 0; byte < 3; byte++)
        if ((code & (0x10 << byte)) !== 0) length += delta.readUInt8(from++) * 2 ** (8 * byte);
      if (length === 0) length = 0x10000;
      if (offset + length > base.length || to + length > size) throw corrupt('a delta points outside its base');
      base.copy(out, to, offset, offset + length);
      to += length;
    } else {
      if (code === 0 || to + code > size || from + code > delta.length) throw corrupt('a delta is cut off');
      delta.copy(out, to, from, from + code);
      from += code;
      to += code;
    }
  }
  if (to !== size) throw corrupt('a delta ends early');
  return out;
}

/** A number in groups of seven bits, lowest first, and where the next thing begins. */
function varint(bytes: Buffer, start: number): [number, number] {
  let value = 0;
  for (let at = start, scale = 1; at < bytes.length; at++, scale *= 128) {
    const byte = bytes.readUInt8(at);
    value += (byte & 0x7f) * scale;
    if ((byte & 0x80) === 0) return [value, at + 1];
  }
  throw corrupt('a number is cut off');
}

/** Reader over the object store of one bare repository that no other process writes. */
export class Packs {
  readonly #objects: string;
  #packs: Pack[] = [];
  /** Least recently used first. */
  readonly #cache = new Map<string, GitObject>();
  #cacheBytes = 0;

  constructor(gitdir: string) {
    this.#objects = path.join(gitdir, 'objects');
    this.reload();
  }

  /** Looks for packs that came or went. */
  reload(): void {
    const folder = path.join(this.#objects, 'pack');
    const found = new Set(listOf(folder).filter((name) => name.endsWith('.idx')));
    for (const pack of this.#packs) if (!found.has(pack.name)) fs.closeSync(pack.descriptor);
    this.#packs = this.#packs.filter((pack) => found.has(pack.name));
    const known = new Set(this.#packs.map((pack) => pack.name));
    for (const name of found) if (!known.has(name)) this.#packs.push(openPack(folder, name));
  }

  /** Number and bytes of the packs, to know when the cache has grown too much. */
  get extent(): { readonly packs: number; readonly bytes: number } {
    return { packs: this.#packs.length, bytes: this.#packs.reduce((sum, pack) => sum + pack.size, 0) };
  }

  close(): void {
    for (const pack of this.#packs) fs.closeSync(pack.descriptor);
    this.#packs = [];
    this.#cache.clear();
    this.#cacheBytes = 0;
  }

  has(oid: string): boolean {
    return this.#locate(oid) !== undefined || fs.existsSync(this.#loose(oid));
  }

  /** The object; throws GitCorrupt when it is missing, damaged or larger than 64 MiB. */
  read(oid: string): GitObject {
    const hit = this.#cache.get(oid);
    if (hit !== undefined) {
      this.#cache.delete(oid);
      this.#cache.set(oid, hit);
      return hit;
    }
    const object = this.#readUnchecked(oid, 0);
    if (objectId(object.type, object.content) !== oid)
      throw corrupt(`object ${oid} has other content than its name says`);
    this.#remember(oid, object);
    return object;
  }

  /** Bytes of an object, without reading more of it than needed. */
  sizeOf(oid: string): number {
    const place = this.#locate(oid);
    if (place === undefined) return this.read(oid).content.length;
    const { type, size, dataAt } = this.#header(place.pack, place.at);
    if (type !== 'offset-delta' && type !== 'ref-delta') return size;
    // The target's size is the second number of the delta: a few bytes of it suffice.
    const start = this.#bytes(place.pack, dataAt.data, 256);
    const head = zlib.inflateSync(start, { finishFlush: zlib.constants.Z_SYNC_FLUSH });
    return varint(head, varint(head, 0)[1])[0];
  }

  #remember(oid: string, object: GitObject): void {
    if (object.content.length > cacheLimit / 8) return;
    this.#cache.set(oid, object);
    this.#cacheBytes += object.content.length;
    for (const [oldest, value] of this.#cache) {
      if (this.#cacheBytes <= cacheLimit) break;
      this.#cache.delete(oldest);
      this.#cacheBytes -= value.content.length;
    }
  }

  #loose(oid: string): string {
    return path.join(this.#objects, oid.slice(0, 2), oid.slice(2));
  }

  #locate(oid: string): { pack: Pack; at: number } | undefined {
    const wanted = Buffer.from(oid, 'hex');
    const first = wanted.readUInt8(0);
    for (const pack of this.#packs) {
      const { index, count } = pack;
      let low = first === 0 ? 0 : index.readUInt32BE(fanout + (first - 1) * 4);
      let high = index.readUInt32BE(fanout + first * 4);
      while (low < high) {
        const middle = (low + high) >>> 1;
        const order = index.compare(wanted, 0, 20, names + middle * 20, names + middle * 20 + 20);
        if (order === 0) {
          const at = index.readUInt32BE(names + count * 24 + middle * 4);
          if (at < 0x80000000) return { pack, at };
          return { pack, at: Number(index.readBigUInt64BE(names + count * 28 + (at - 0x80000000) * 8)) };
        }
        if (order < 0) low = middle + 1;
        else high = middle;
      }
    }
    return undefined;
  }

  #readUnchecked(oid: string, depth: number): GitObject {
    const place = this.#locate(oid);
    if (place !== undefined) return this.#readAt(place.pack, place.at, depth);
    let raw: Buffer;
    try {
      raw = zlib.inflateSync(fs.readFileSync(this.#loose(oid)), { maxOutputLength: largestObject });
    } catch (error) {
      throw corrupt(errorCode(error) === 'ENOENT' ? `object ${oid} is missing` : `object ${oid} cannot be read`);
    }
    const end = raw.indexOf(0);
    const type = raw.toString('latin1', 0, raw.indexOf(32));
    if (type !== 'commit' && type !== 'tree' && type !== 'blob' && type !== 'tag')
      throw corrupt(`object ${oid} is of no known type`);
    return { type, content: raw.subarray(end + 1) };
  }

  #bytes(pack: Pack, at: number, length: number): Buffer {
    const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(length, pack.size - at)));
    if (fs.readSync(pack.descriptor, buffer, 0, buffer.length, at) !== buffer.length)
      throw corrupt(`${pack.name} is cut off`);
    return buffer;
  }

  #header(pack: Pack, at: number) {
    const head = this.#bytes(pack, at, 64);
    let cursor = 0;
    const next = (): number => {
      if (cursor >= head.length) throw corrupt(`${pack.name} is cut off`);
      return head.readUInt8(cursor++);
    };
    let byte = next();
    const type = packedTypes[(byte >> 4) & 7] ?? '';
    let size = byte & 15;
    for (let scale = 16; (byte & 0x80) !== 0; scale *= 128) {
      byte = next();
      size += (byte & 0x7f) * scale;
    }
    let base: { readonly at: number } | { readonly oid: string } | undefined;
    if (type === 'offset-delta') {
      byte = next();
      let back = byte & 0x7f;
      while ((byte & 0x80) !== 0) {
        byte = next();
        back = (back + 1) * 128 + (byte & 0x7f);
      }
      if (back <= 0 || back >= at) throw corrupt(`${pack.name} has a delta without a base`);
      base = { at: at - back };
    } else if (type === 'ref-delta') {
      base = { oid: head.toString('hex', cursor, cursor + 20) };
      cursor += 20;
    }
    return { type, size, dataAt: { data: at + cursor, base } };
  }

  #readAt(pack: Pack, at: number, depth: number): GitObject {
    if (depth > longestChain) throw corrupt(`${pack.name} has an endless chain of deltas`);
    const key = `${pack.name}:${at}`;
    const hit = this.#cache.get(key);
    if (hit !== undefined) return hit;
    const { type, size, dataAt } = this.#header(pack, at);
    if (size > largestObject) throw corrupt(`an object in ${pack.name} is larger than 64 MiB`);
    // Deflate never needs more than this for `size` bytes; what follows the stream is ignored by zlib.
    const compressed = this.#bytes(pack, dataAt.data, size + (size >> 3) + 1088);
    let data: Buffer;
    try {
      data = zlib.inflateSync(compressed, { maxOutputLength: Math.max(size, 1), chunkSize: Math.max(64, size + 64) });
    } catch {
      throw corrupt(`an object in ${pack.name} cannot be unpacked`);
    }
    if (data.length !== size) throw corrupt(`an object in ${pack.name} has the wrong length`);
    const { base } = dataAt;
    if (base === undefined) {
      if (type !== 'commit' && type !== 'tree' && type !== 'blob' && type !== 'tag')
        throw corrupt(`${pack.name} holds an unknown type`);
      return { type, content: data };
    }
    const origin = 'at' in base ? this.#readAt(pack, base.at, depth + 1) : this.#readUnchecked(base.oid, depth + 1);
    const object = { type: origin.type, content: applyDelta(origin.content, data) };
    if ('at' in base) this.#remember(`${pack.name}:${base.at}`, origin);
    return object;
  }
}

function listOf(folder: string): string[] {
  try {
    return fs.readdirSync(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

function openPack(folder: string, name: string): Pack {
  const index = fs.readFileSync(path.join(folder, name));
  if (index.length < names + 40 || index.readUInt32BE(0) !== 0xff744f63 || index.readUInt32BE(4) !== 2)
    throw corrupt(`${name} is no index`);
  const count = index.readUInt32BE(fanout + 255 * 4);
  if (index.length < names + count * 28 + 40) throw corrupt(`${name} is cut off`);
  let descriptor: number;
  try {
    descriptor = fs.openSync(path.join(folder, name.replace(/idx$/, 'pack')), 'r');
  } catch {
    throw corrupt(`the pack of ${name} is missing`);
  }
  return { name, index, count, descriptor, size: fs.fstatSync(descriptor).size };
}

// SSH signatures (PROTOCOL.sshsig of OpenSSH), checked with node:crypto.
import crypto from 'node:crypto';
import type { SignatureFault } from './signed-commit.ts';

/** A public key as allowed_signers has it. */
export interface SshKey {
  readonly type: string;
  /** The key in the encoding of the wire: what signatures carry, and what the fingerprint is of. */
  readonly blob: Buffer;
}

/** What an armoured signature holds. */
export interface SshSignature {
  readonly key: SshKey;
  readonly namespace: string;
  readonly hash: 'sha256' | 'sha512';
  /** Reserved bytes; part of what is signed. */
  readonly reserved: Buffer;
  readonly algorithm: string;
  readonly rest: Buffer;
}

const magic = 'SSHSIG';
const armour = /^-----BEGIN SSH SIGNATURE-----\n((?:[A-Za-z0-9+/=]+\n)+)-----END SSH SIGNATURE-----\n*$/;
/** Larger ones are not made by anybody. */
const longestSignature = 16 * 1024;
const smallestRsa = 2048;

/** Reads fields of the SSH wire (RFC 4251, section 5); throws a RangeError where there is nothing left. */
function wire(bytes: Buffer) {
  let at = 0;
  const take = (length: number): Buffer => {
    if (at + length > bytes.length) throw new RangeError('cut off');
    at += length;
    return bytes.subarray(at - length, at);
  };
  return {
    string: (): Buffer => take(take(4).readUInt32BE()),
    byte: (): number => take(1).readUInt8(),
    number: (): number => take(4).readUInt32BE(),
    rest: (): Buffer => take(bytes.length - at),
    take,
  };
}

function string(bytes: Buffer | string): Buffer {
  const content = Buffer.from(bytes);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  return Buffer.concat([length, content]);
}

/** `SHA256:…` as ssh-keygen prints it. */
export function sshFingerprint(key: SshKey): string {
  return `SHA256:${crypto.createHash('sha256').update(key.blob).digest('base64').replace(/=+$/, '')}`;
}

/** A key from its text in base64; undefined when it is not one of the type that it claims. */
export function readSshKey(type: string, base64: string): SshKey | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return undefined;
  const blob = Buffer.from(base64, 'base64');
  const key = { type, blob };
  try {
    if (wire(blob).string().toString('latin1') !== type) return undefined;
    publicKey(key);
    return key;
  } catch {
    return undefined;
  }
}

/** Takes an armoured signature apart; a fault when it is not one that is understood. */
export function readSshSignature(text: string): SshSignature | SignatureFault {
  const body = text.length > longestSignature ? undefined : armour.exec(`${text.trimEnd()}\n`)?.[1];
  if (body === undefined) return fault('Malformed', 'The SSH signature is not armoured as OpenSSH does it.');
  const bytes = Buffer.from(body, 'base64');
  // Node reads over bits that mean nothing; ssh-keygen does not.
  if (bytes.toString('base64') !== body.replaceAll('\n', ''))
    return fault('Malformed', 'The SSH signature is not armoured as OpenSSH does it.');
  try {
    const outer = wire(bytes);
    if (outer.take(magic.length).toString('latin1') !== magic || outer.number() !== 1)
      return fault('Malformed', 'The SSH signature is of a version that is not known.');
    const blob = outer.string();
    const namespace = outer.string().toString('utf8');
    const reserved = outer.string();
    const hash = outer.string().toString('latin1');
    const inner = wire(outer.string());
    if (outer.rest().length > 0) return fault('Malformed', 'The SSH signature has something after its end.');
    if (hash !== 'sha256' && hash !== 'sha512')
      return fault('WeakAlgorithm', `The SSH signature is over a hash that does not count: "${hash.slice(0, 20)}".`);
    const type = wire(blob).string().toString('latin1');
    return {
      key: { type, blob },
      namespace,
      hash,
      reserved,
      algorithm: inner.string().toString('latin1'),
      rest: inner.rest(),
    };
  } catch {
    return fault('Malformed', 'The SSH signature is cut off.');
  }
}

function fault(code: SignatureFault['code'], message: string): SignatureFault {
  return { kind: 'bad', code, message };
}

/** Signature algorithms of each type of key, and the hash inside. */
const algorithms: Readonly<Record<string, Readonly<Record<string, string | null>>>> = {
  'ssh-ed25519': { 'ssh-ed25519': null },
  'sk-ssh-ed25519@openssh.com': { 'sk-ssh-ed25519@openssh.com': null },
  'ssh-rsa': { 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512' },
  'ecdsa-sha2-nistp256': { 'ecdsa-sha2-nistp256': 'sha256' },
  'ecdsa-sha2-nistp384': { 'ecdsa-sha2-nistp384': 'sha384' },
  'ecdsa-sha2-nistp521': { 'ecdsa-sha2-nistp521': 'sha512' },
  'sk-ecdsa-sha2-nistp256@openssh.com': { 'sk-ecdsa-sha2-nistp256@openssh.com': 'sha256' },
};

const curves: Readonly<Record<string, { readonly name: string; readonly width: number }>> = {
  nistp256: { name: 'P-256', width: 32 },
  nistp384: { name: 'P-384', width: 48 },
  nistp521: { name: 'P-521', width: 66 },
};

/** The key for node:crypto, and what a security key signs beside the message. Throws when the key is of no known form. */
function publicKey({ type, blob }: SshKey): {
  readonly key: crypto.KeyObject;
  readonly application: Buffer | undefined;
} {
  const fields = wire(blob);
  fields.string();
  const base64url = (bytes: Buffer): string => bytes.toString('base64url');
  let jwk: crypto.JsonWebKey;
  if (type === 'ssh-ed25519' || type === 'sk-ssh-ed25519@openssh.com') {
    jwk = { kty: 'OKP', crv: 'Ed25519', x: base64url(fields.string()) };
  } else if (type === 'ssh-rsa') {
    const exponent = fields.string();
    const modulus = fields.string();
    jwk = { kty: 'RSA', e: base64url(unsigned(exponent)), n: base64url(unsigned(modulus)) };
  } else {
    const curve = curves[fields.string().toString('latin1')];
    const point = fields.string();
    if (curve === undefined || !type.includes('ecdsa') || point.length !== 1 + 2 * curve.width || point[0] !== 4)
      throw new RangeError('not a point');
    const x = base64url(point.subarray(1, 1 + curve.width));
    jwk = { kty: 'EC', crv: curve.name, x, y: base64url(point.subarray(1 + curve.width)) };
  }
  const application = type.startsWith('sk-') ? fields.string() : undefined;
  if (fields.rest().length > 0) throw new RangeError('something after the key');
  return { key: crypto.createPublicKey({ key: jwk, format: 'jwk' }), application };
}

/** A positive number of the wire without the zero byte that keeps it positive. */
function unsigned(bytes: Buffer): Buffer {
  let from = 0;
  while (from < bytes.length - 1 && bytes[from] === 0) from++;
  return bytes.subarray(from);
}

/** Checks that the signature is the key's over these bytes. Whose key it is, and whether it is allowed, is not asked here. */
export function checkSshSignature(signature: SshSignature, payload: Buffer): 'good' | SignatureFault {
  const { key, hash, algorithm } = signature;
  const digest = algorithms[key.type]?.[algorithm];
  if (digest === undefined)
    return fault(
      'WeakAlgorithm',
      `Signatures by "${algorithm.slice(0, 40)}" with a key "${key.type.slice(0, 40)}" do not count.`,
    );
  const hashed = crypto.createHash(hash).update(payload).digest();
  const message = Buffer.concat([
    Buffer.from(magic),
    string(signature.namespace),
    string(signature.reserved),
    string(hash),
    string(hashed),
  ]);
  try {
    const { key: parsed, application } = publicKey(key);
    const bits = parsed.asymmetricKeyDetails?.modulusLength;
    if (bits !== undefined && bits < smallestRsa)
      return fault('WeakAlgorithm', `An RSA key of ${bits} bits does not count; it needs ${smallestRsa}.`);
    const fields = wire(signature.rest);
    const blob = fields.string();
    const flags = application === undefined ? undefined : fields.byte();
    const counter = application === undefined ? undefined : fields.take(4);
    if (fields.rest().length > 0) return fault('Malformed', 'The SSH signature has something after its end.');
    // PROTOCOL.u2f: bit 0 says that somebody touched the key.
    if (flags !== undefined && (flags & 1) === 0)
      return fault('BadSignature', 'The security key was not touched for this signature.');
    const signed =
      application === undefined || flags === undefined || counter === undefined
        ? message
        : Buffer.concat([sha256(application), Buffer.from([flags]), counter, sha256(message)]);
    const plain = digest === null || algorithm.startsWith('rsa');
    const bytes = plain ? blob : ecdsaPair(blob, parsed);
    const verifier = plain ? parsed : { key: parsed, dsaEncoding: 'ieee-p1363' as const };
    if (crypto.verify(digest, signed, verifier, bytes)) return 'good';
  } catch {
    return fault('Malformed', 'The SSH signature or its key is not well formed.');
  }
  return fault('BadSignature', 'The SSH signature does not belong to this commit: one of the two was changed.');
}

function sha256(bytes: Buffer): Buffer {
  return crypto.createHash('sha256').update(bytes).digest();
}

/** Two numbers of the wire, side by side in the width of the curve (IEEE P1363). */
function ecdsaPair(blob: Buffer, key: crypto.KeyObject): Buffer {
  const width = Object.values(curves).find(({ name }) => name === key.export({ format: 'jwk' }).crv)?.width ?? 0;
  const fields = wire(blob);
  const numbers = [unsigned(fields.string()), unsigned(fields.string())];
  if (fields.rest().length > 0 || numbers.some(({ length }) => length > width)) throw new RangeError('not a signature');
  return Buffer.concat(numbers.map((number) => Buffer.concat([Buffer.alloc(width - number.length), number])));
}

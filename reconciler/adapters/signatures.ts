// Is a commit signed by somebody who may sign? Decided on the raw bytes of the commit, never by asking a program.
import { createMessage, enums, readSignature, verify, type Signature } from 'openpgp';
import { AdapterError } from '../model/failure.ts';
import { checkSshSignature, readSshSignature, sshFingerprint } from './signature-ssh.ts';
import { readSignedCommit, type SignatureFault, type SignedCommit } from './signed-commit.ts';
import { gitNamespace, type Signers } from './signers.ts';

/** What is to be thought of a commit's signature. */
export type SignatureVerdict =
  | {
      readonly kind: 'good';
      /** Fingerprint of the key (of the primary key, with OpenPGP). */
      readonly fingerprint: string;
      readonly principal: string;
      /** Mail addresses that are known of the signer, lower case. */
      readonly emails: readonly string[];
      /** When it was signed, as the signature or the commit says; milliseconds since the epoch. */
      readonly at: number;
    }
  | { readonly kind: 'unsigned' }
  | SignatureFault;

/** How far the clock of a signer may be ahead. */
const skewMs = 5 * 60_000;

function bad(code: SignatureFault['code'], message: string): SignatureFault {
  return { kind: 'bad', code, message };
}

/**
 * Judges the signature of a commit, given as raw bytes. A key must have been valid when it signed and must be valid at `now`: whoever has
 * an old key could claim any time. Never throws; a commit that is not well formed is `Malformed`.
 */
export async function judgeSignature(raw: Uint8Array, signers: Signers, now: number): Promise<SignatureVerdict> {
  let commit: SignedCommit;
  try {
    commit = readSignedCommit(raw);
  } catch (error) {
    return bad('Malformed', error instanceof AdapterError ? error.message : 'The commit cannot be read.');
  }
  const { signature } = commit;
  if (signature === undefined) return { kind: 'unsigned' };
  if (commit.committer.at > now + skewMs) return bad('InTheFuture', 'The commit says that it was made in the future.');
  if (signature.startsWith('-----BEGIN SSH SIGNATURE-----')) return judgeSsh(signature, commit, signers, now);
  if (signature.startsWith('-----BEGIN PGP SIGNATURE-----')) return await judgeOpenPgp(signature, commit, signers, now);
  return bad('Malformed', 'The signature is neither OpenPGP nor SSH.');
}

function judgeSsh(text: string, commit: SignedCommit, signers: Signers, now: number): SignatureVerdict {
  const signature = readSshSignature(text);
  if ('kind' in signature) return signature;
  if (signature.namespace !== gitNamespace)
    return bad('WrongNamespace', `The SSH signature was made for "${signature.namespace.slice(0, 40)}", not for Git.`);
  const checked = checkSshSignature(signature, commit.payload);
  if (checked !== 'good') return checked;
  const fingerprint = sshFingerprint(signature.key);
  const lines = signers.ssh.filter(({ key }) => key.blob.equals(signature.key.blob));
  if (lines.length === 0)
    return bad('UnknownKey', `The SSH key ${fingerprint} is not in signers/allowed_signers of the accepted commit.`);
  const { at } = commit.committer;
  const valid = lines.find(({ validAfter = -Infinity, validBefore = Infinity }) =>
    [at, now].every((moment) => validAfter <= moment && moment < validBefore),
  );
  if (valid === undefined)
    return bad('KeyNotValid', `The SSH key ${fingerprint} is outside the times that signers/allowed_signers gives it.`);
  const { principal } = valid;
  return { kind: 'good', fingerprint, principal, emails: principal.includes('@') ? [principal.toLowerCase()] : [], at };
}

async function judgeOpenPgp(
  armoured: string,
  commit: SignedCommit,
  signers: Signers,
  now: number,
): Promise<SignatureVerdict> {
  if (!isWholeArmour(armoured)) return bad('Malformed', 'The OpenPGP signature is not wrapped as RFC 9580 says.');
  let signature: Signature;
  try {
    signature = await readSignature({ armoredSignature: armoured });
  } catch {
    return bad('Malformed', 'The OpenPGP signature cannot be read.');
  }
  const [packet] = signature.packets;
  if (packet === undefined || signature.packets.length !== 1)
    return bad('Malformed', 'There must be one OpenPGP signature, not several.');
  if (packet.signatureType !== enums.signature.binary)
    return bad('Malformed', 'The OpenPGP signature is not one over the bytes of a file.');
  const id = packet.issuerKeyID;
  const hexId = id.toHex().toUpperCase();
  const signer = signers.openPgp.find(({ key }) => key.getKeys(id).length > 0);
  if (signer === undefined)
    return bad('UnknownKey', `The OpenPGP key ${hexId} is not in the folder signers/ of the accepted commit.`);
  const at = packet.created?.getTime() ?? Number.NaN;
  if (!(at <= now + skewMs)) return bad('InTheFuture', 'The OpenPGP signature says that it was made in the future.');
  if (weakHashes.has(packet.hashAlgorithm ?? 0))
    return bad('WeakAlgorithm', 'The OpenPGP signature uses a hash that can be forged (MD5, SHA-1 or RIPEMD).');
  try {
    await signer.key.getSigningKey(id, new Date(now));
    await signer.key.getSigningKey(id, new Date(at));
  } catch (error) {
    return bad('KeyNotValid', `The OpenPGP key ${hexId} may not sign: ${reason(error)}.`);
  }
  try {
    const message = await createMessage({ binary: commit.payload });
    const keys = { verificationKeys: signer.key, date: new Date(now + skewMs) };
    const { signatures } = await verify({ message, signature, format: 'binary', ...keys });
    for (const each of signatures) await each.verified;
    if (signatures.length !== 1) throw new Error('none was checked');
  } catch (error) {
    return bad('BadSignature', `The OpenPGP signature does not hold: ${reason(error)}.`);
  }
  const { fingerprint, principal } = signer;
  const emails = new Set([...signer.emails, ...(principal.includes('@') ? [principal.toLowerCase()] : [])]);
  return { kind: 'good', fingerprint, principal, emails: [...emails], at };
}

/**
 * Is this one OpenPGP signature in ASCII armour, from its first line to its last, with a checksum that fits if it has one (RFC 9580, section 6)?
 * The library reads over a damaged frame and a wrong checksum; gpg, and with it `git verify-commit`, does not.
 */
function isWholeArmour(text: string): boolean {
  const [, body = '', checksum] = armourPattern.exec(text) ?? [];
  if (body === '') return false;
  const bytes = Buffer.from(body, 'base64');
  if (bytes.toString('base64') !== body.replaceAll('\n', '')) return false;
  if (checksum === undefined) return true;
  let crc = 0xb704ce;
  for (const byte of bytes) {
    crc ^= byte << 16;
    for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc & 0x800000 ? 0x1864cfb : 0);
  }
  return Buffer.from([crc >> 16, crc >> 8, crc].map((value) => value & 0xff)).toString('base64') === checksum;
}

const armourPattern =
  /^-----BEGIN PGP SIGNATURE-----\n(?:[A-Z][A-Za-z]*: [ -~]*\n)*\n((?:[A-Za-z0-9+/]{1,76}\n)*[A-Za-z0-9+/]{1,76}={0,2}\n)(?:=([A-Za-z0-9+/]{4})\n)?-----END PGP SIGNATURE-----\n?$/;

const weakHashes: ReadonlySet<number> = new Set([enums.hash.md5, enums.hash.sha1, enums.hash.ripemd]);

function reason(error: unknown): string {
  return error instanceof Error ? error.message.replace(/\.$/, '') : 'it cannot be read';
}

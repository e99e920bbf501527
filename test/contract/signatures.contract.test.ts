import crypto from 'node:crypto';
import fs from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { judgeSignature, type SignatureVerdict } from '../../reconciler/adapters/signatures.ts';
import { readSigners, type Signers } from '../../reconciler/adapters/signers.ts';
import { gpgSettings, openSigningPlace, sshSettings, type SigningPlace } from '../support/signing.ts';

const sshTypes = {
  ed25519: ['ed25519'],
  p256: ['ecdsa', '-b', '256'],
  p384: ['ecdsa', '-b', '384'],
  p521: ['ecdsa', '-b', '521'],
  rsa: ['rsa', '-b', '2048'],
} as const;

let place: SigningPlace;
let signers: Signers;
const sshKeys = new Map<string, string>();
const gpgKeys = new Map<string, string>();

const judge = (raw: Buffer, by: Signers = signers): Promise<SignatureVerdict> => judgeSignature(raw, by, Date.now());
const judged = async (commit: string, by?: Signers) => await judge(place.raw(commit), by);

beforeAll(async () => {
  place = openSigningPlace();
  const lines: string[] = ['# people'];
  for (const [name, type] of Object.entries(sshTypes)) {
    sshKeys.set(name, place.sshKey(name, type));
    lines.push(`${name}@example.org ${sshKeys.get(name) ?? ''} a comment`);
  }
  const extra = (name: string, options: string): void => {
    sshKeys.set(name, place.sshKey(name, ['ed25519']));
    lines.push(`${name}@example.org ${options} ${sshKeys.get(name) ?? ''}`);
  };
  extra('limited', 'namespaces="git,file",valid-after="20200101",valid-before="20990101Z"');
  extra('late', 'valid-before="20200101"');
  extra('early', 'valid-after="20990101"');
  extra('files', 'namespaces="file"');
  sshKeys.set('stranger', place.sshKey('stranger', ['ed25519']));
  sshKeys.set('small', place.sshKey('small', ['rsa', '-b', '1024']));
  lines.push(`small@example.org ${sshKeys.get('small') ?? ''}`);
  const files = new Map([['signers/allowed_signers', `${lines.join('\n')}\n`]]);
  fs.writeFileSync(place.allowedSigners, files.get('signers/allowed_signers') ?? '');
  for (const [name, algorithm] of [
    ['rsa', 'rsa2048'],
    ['curve', 'ed25519'],
    ['p256', 'nistp256'],
    ['revoked', 'ed25519'],
  ] as const)
    gpgKeys.set(name, place.gpgKey(`${name}@example.org`, algorithm));
  gpgKeys.set('foreign', place.gpgKey('foreign@example.org', 'ed25519'));
  for (const name of ['rsa', 'curve', 'p256', 'revoked'])
    files.set(`signers/${name}@example.org.asc`, place.exportKey(gpgKeys.get(name) ?? ''));
  signers = await readSigners(files);
  expect(signers.problems).toEqual([]);
}, 120_000);
afterAll(() => place.stop());

describe('signatures agree with git, gpg and ssh-keygen', () => {
  it.each(Object.keys(sshTypes))('an SSH key of type %s', async (name) => {
    const commit = place.commit({ settings: sshSettings(place, name) });
    expect(place.verify(commit)).toBe(true);
    const line = place.run('ssh-keygen', ['-l', '-f', `${place.folder}/${name}.pub`]).toString();
    expect(await judged(commit)).toMatchObject({
      kind: 'good',
      principal: `${name}@example.org`,
      emails: [`${name}@example.org`],
      fingerprint: line.split(' ')[1],
    });
  });

  it.each(['rsa', 'curve', 'p256'])('an OpenPGP key of type %s', async (name) => {
    const commit = place.commit({ settings: gpgSettings(gpgKeys.get(name) ?? '') });
    expect(place.verify(commit)).toBe(true);
    expect(await judged(commit)).toMatchObject({
      kind: 'good',
      principal: `${name}@example.org`,
      emails: [`${name}@example.org`],
      fingerprint: gpgKeys.get(name),
    });
  });

  it('a subkey signs for its primary key', async () => {
    const fingerprint = place.gpgKey('sub@example.org', 'ed25519');
    place.run('gpg', ['--batch', '--passphrase', '', '--quick-add-key', fingerprint, 'ed25519', 'sign', 'never']);
    const by = await readSigners(new Map([['signers/sub.asc', place.exportKey(fingerprint)]]));
    const commit = place.commit({ settings: gpgSettings(fingerprint) });
    expect(place.verify(commit)).toBe(true);
    expect(await judged(commit, by)).toMatchObject({ kind: 'good', principal: 'sub', fingerprint });
  });

  it('a line with limits that are kept', async () => {
    const commit = place.commit({ settings: sshSettings(place, 'limited') });
    expect(place.verify(commit)).toBe(true);
    expect(await judged(commit)).toMatchObject({ kind: 'good', principal: 'limited@example.org' });
  });

  it('messages with anything in them: other encodings, no end of line, text that looks like a signature', async () => {
    const signature = '-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----';
    for (const message of [
      '',
      'no end',
      'ümläut 漢字\n',
      `x\n\ngpgsig ${signature}\n`,
      `gpgsig ${signature.replaceAll('\n', '\n ')}\n`,
      '\n\n\n',
    ]) {
      for (const settings of [sshSettings(place, 'ed25519'), gpgSettings(gpgKeys.get('curve') ?? '')]) {
        const commit = place.commit({ settings, message });
        expect(place.verify(commit)).toBe(true);
        expect(await judged(commit)).toMatchObject({ kind: 'good' });
      }
      const unsigned = place.commit({ message, sign: false });
      expect(place.verify(unsigned)).toBe(false);
      expect(await judged(unsigned)).toEqual({ kind: 'unsigned' });
    }
  });
});

describe('what does not count', () => {
  const refused = async (commit: string, code: string, byGit = false): Promise<void> => {
    expect(await judged(commit)).toMatchObject({ kind: 'bad', code });
    expect(place.verify(commit)).toBe(byGit);
  };

  it('keys that nobody listed', async () => {
    await refused(place.commit({ settings: sshSettings(place, 'stranger') }), 'UnknownKey');
    // gpg has it in its own key ring; ours is the folder alone.
    await refused(place.commit({ settings: gpgSettings(gpgKeys.get('foreign') ?? '') }), 'UnknownKey', true);
  });

  it('keys outside their times, and keys for other purposes', async () => {
    await refused(place.commit({ settings: sshSettings(place, 'late') }), 'KeyNotValid');
    await refused(place.commit({ settings: sshSettings(place, 'early') }), 'KeyNotValid');
    await refused(place.commit({ settings: sshSettings(place, 'files') }), 'UnknownKey');
    // An old key may claim any time: git believes it, we do not.
    const backdated = place.commit({ settings: sshSettings(place, 'late'), date: '2019-06-01T00:00:00Z' });
    await refused(backdated, 'KeyNotValid', true);
  });

  it('OpenPGP keys that expired or were revoked', async () => {
    const expired = place.gpgKey('expired@example.org', 'ed25519', 'seconds=4');
    const commit = place.commit({ settings: gpgSettings(expired) });
    const by = await readSigners(new Map([['signers/expired.asc', place.exportKey(expired)]]));
    expect(await judged(commit, by)).toMatchObject({ kind: 'good' });
    await new Promise((resolve) => setTimeout(resolve, 5000));
    expect(place.verify(commit)).toBe(false);
    expect(await judged(commit, by)).toMatchObject({ kind: 'bad', code: 'KeyNotValid' });

    const revoked = gpgKeys.get('revoked') ?? '';
    const before = place.commit({ settings: gpgSettings(revoked) });
    expect(await judged(before)).toMatchObject({ kind: 'good' });
    const certificate = fs.readFileSync(`${place.folder}/gpg/openpgp-revocs.d/${revoked}.rev`, 'utf8');
    place.run('gpg', ['--batch', '--import'], certificate.replace(/^:-----/m, '-----'));
    expect(place.verify(before)).toBe(false);
    const now = await readSigners(new Map([['signers/revoked.asc', place.exportKey(revoked)]]));
    expect(await judged(before, now)).toMatchObject({ kind: 'bad', code: 'KeyNotValid' });
  }, 30_000);

  it('hashes and keys that can be forged', async () => {
    fs.writeFileSync(`${place.folder}/gpg/gpg.conf`, 'digest-algo SHA1\npersonal-digest-preferences SHA1\n');
    const commit = place.commit({ settings: gpgSettings(gpgKeys.get('rsa') ?? '') });
    fs.rmSync(`${place.folder}/gpg/gpg.conf`);
    // gpg 2.2 still believes SHA-1.
    await refused(commit, 'WeakAlgorithm', true);
    const small = place.commit({ settings: sshSettings(place, 'small') });
    expect(await judged(small)).toMatchObject({ kind: 'bad', code: 'WeakAlgorithm' });
  });

  it('a commit that says that it was made in the future', async () => {
    const commit = place.commit({ settings: sshSettings(place, 'ed25519'), date: '2090-01-01T00:00:00Z' });
    await refused(commit, 'InTheFuture', true);
  });

  it('a signature that was made for something else, or moved from another commit, or doubled', async () => {
    const raw = place.raw(place.commit({ sign: false, message: 'for another purpose\n' }));
    const sign = (namespace: string): string =>
      place
        .run('ssh-keygen', ['-q', '-Y', 'sign', '-n', namespace, '-f', `${place.folder}/ed25519`], raw)
        .toString()
        .trimEnd();
    const withSignature = (signature: string, into: Buffer = raw, name = 'gpgsig'): Buffer => {
      const at = into.indexOf('\n\n') + 1;
      const header = Buffer.from(`${name} ${signature.replaceAll('\n', '\n ')}\n`);
      return Buffer.concat([into.subarray(0, at), header, into.subarray(at)]);
    };
    expect(await judge(withSignature(sign('git')))).toMatchObject({ kind: 'good' });
    expect(place.verify(place.store(withSignature(sign('git'))))).toBe(true);
    await refused(place.store(withSignature(sign('file'))), 'WrongNamespace');
    const other = Buffer.from(raw.toString().replace('another', 'an0ther'));
    await refused(place.store(withSignature(sign('git'), other)), 'BadSignature');
    // git joins the two, and ssh-keygen looks at the first only.
    await refused(place.store(withSignature(sign('git'), withSignature(sign('git')))), 'Malformed', true);
    await refused(
      place.store(withSignature(sign('git'), withSignature(sign('git'), raw, 'gpgsig-sha256'))),
      'Malformed',
      true,
    );
    const text = 'not a signature at all';
    await refused(place.store(withSignature(text)), 'Malformed');
    const pgp = place.raw(place.commit({ settings: gpgSettings(gpgKeys.get('curve') ?? '') }));
    await refused(place.store(Buffer.from(pgp.toString().replace('a change', 'a chance'))), 'BadSignature');
    const twice = ['curve', 'rsa'].map((name) =>
      place.run('gpg', ['--batch', '--detach-sign', '-u', gpgKeys.get(name) ?? ''], raw),
    );
    const both = place.run('gpg', ['--enarmor'], Buffer.concat(twice)).toString();
    const armoured = both
      .replaceAll('ARMORED FILE', 'SIGNATURE')
      .replace(/^Comment: .*\n/m, '')
      .trimEnd();
    await refused(place.store(withSignature(armoured)), 'Malformed');
  });

  it('headers that Git would not write', async () => {
    const raw = place.raw(place.commit({ settings: sshSettings(place, 'ed25519') })).toString();
    const changed = [
      raw.replace(/^author .*\n/m, ''),
      raw.replace(/^(author .*\n)/m, '$1$1'),
      raw.replace(/^(tree .*\n)/m, '$1parent nothing\n'),
      raw.replace(/^committer .*$/m, 'committer nobody'),
      raw.replace('\n\n', '\n'),
      `${raw}\0`,
      '',
    ];
    for (const text of changed) expect(await judge(Buffer.from(text))).toMatchObject({ kind: 'bad' });
  });
});

describe('security keys', () => {
  /** A signature as a security key makes it (PROTOCOL.u2f), by a key that lies in memory. */
  function securityKey(kind: 'ed25519' | 'ecdsa') {
    const text = (value: Buffer | string): Buffer => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(Buffer.from(value).length);
      return Buffer.concat([length, Buffer.from(value)]);
    };
    const pair =
      kind === 'ed25519'
        ? crypto.generateKeyPairSync('ed25519')
        : crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = pair.publicKey.export({ format: 'jwk' });
    const part = (value: string | undefined): Buffer => Buffer.from(value ?? '', 'base64url');
    const type = kind === 'ed25519' ? 'sk-ssh-ed25519@openssh.com' : 'sk-ecdsa-sha2-nistp256@openssh.com';
    const point = Buffer.concat([Buffer.from([4]), part(jwk.x), part(jwk.y)]);
    const own = kind === 'ed25519' ? text(part(jwk.x)) : Buffer.concat([text('nistp256'), text(point)]);
    const blob = Buffer.concat([text(type), own, text('ssh:')]);
    const hash = (value: Buffer | string): Buffer => crypto.createHash('sha256').update(value).digest();
    const sign = (payload: Buffer, flags: number): string => {
      const digest = crypto.createHash('sha512').update(payload).digest();
      const message = Buffer.concat([Buffer.from('SSHSIG'), text('git'), text(''), text('sha512'), text(digest)]);
      const tail = Buffer.from([flags, 0, 0, 0, 7]);
      const signed = Buffer.concat([hash('ssh:'), tail, hash(message)]);
      const encoding = { key: pair.privateKey, dsaEncoding: 'ieee-p1363' as const };
      const bytes = crypto.sign(
        kind === 'ed25519' ? null : 'sha256',
        signed,
        kind === 'ed25519' ? pair.privateKey : encoding,
      );
      const number = (value: Buffer): Buffer => {
        const short = value.subarray(
          Math.max(
            0,
            value.findIndex((byte) => byte !== 0),
          ),
        );
        return text((short[0] ?? 0) > 127 ? Buffer.concat([Buffer.from([0]), short]) : short);
      };
      const inner =
        kind === 'ed25519' ? bytes : Buffer.concat([number(bytes.subarray(0, 32)), number(bytes.subarray(32))]);
      const whole = Buffer.concat([
        Buffer.from('SSHSIG\0\0\0\x01'),
        ...[blob, Buffer.from('git'), Buffer.alloc(0), Buffer.from('sha512')].map(text),
        text(Buffer.concat([text(type), text(inner), tail])),
      ]);
      const lines = whole.toString('base64').match(/.{1,70}/g) ?? [];
      return ['-----BEGIN SSH SIGNATURE-----', ...lines, '-----END SSH SIGNATURE-----'].join('\n');
    };
    return { line: `${type} ${blob.toString('base64')}`, sign };
  }

  it.each(['ed25519', 'ecdsa'] as const)('%s: touched counts, untouched does not', async (kind) => {
    const key = securityKey(kind);
    const list = `sk@example.org ${key.line}\n`;
    const by = await readSigners(new Map([['signers/allowed_signers', list]]));
    fs.appendFileSync(place.allowedSigners, list);
    const raw = place.raw(place.commit({ sign: false }));
    const at = raw.indexOf('\n\n') + 1;
    const signed = (flags: number): Buffer =>
      Buffer.concat([
        raw.subarray(0, at),
        Buffer.from(`gpgsig ${key.sign(raw, flags).replaceAll('\n', '\n ')}\n`),
        raw.subarray(at),
      ]);
    expect(await judge(signed(1), by)).toMatchObject({ kind: 'good', principal: 'sk@example.org' });
    expect(place.verify(place.store(signed(1)))).toBe(true);
    expect(await judge(signed(0), by)).toMatchObject({ kind: 'bad', code: 'BadSignature' });
  });
});

describe('any byte that changes', () => {
  const commits = (): Buffer[] => [
    ...['ed25519', 'p256', 'rsa'].map((name) => place.raw(place.commit({ settings: sshSettings(place, name) }))),
    place.raw(place.commit({ settings: gpgSettings(gpgKeys.get('curve') ?? '') })),
  ];

  it('never makes a signature good that git refuses', async () => {
    // Every bit of every byte: a library that reads over damage hides it from a few random tries.
    for (const raw of commits()) {
      const start = raw.indexOf('\ngpgsig ') + 1;
      const end = raw.indexOf('\n\n', start);
      const wrong: string[] = [];
      for (let at = 0; at < raw.length; at++)
        for (let bit = 0; bit < 8; bit++) {
          const changed = Buffer.from(raw);
          changed[at] = (changed[at] ?? 0) ^ (1 << bit);
          if ((await judge(changed)).kind !== 'good') continue;
          const signed = at < start || at > end;
          if (signed || !place.verify(place.store(changed))) wrong.push(`bit ${String(bit)} of byte ${String(at)}`);
        }
      expect(wrong).toEqual([]);
    }
  }, 120_000);

  it('makes a signature bad that git likes only by its form', async () => {
    for (const raw of commits()) {
      const flips = fc.record({ at: fc.nat(raw.length - 1), bit: fc.integer({ min: 0, max: 7 }) });
      await fc.assert(
        fc.asyncProperty(flips, async ({ at, bit }) => {
          const changed = Buffer.from(raw);
          changed[at] = (changed[at] ?? 0) ^ (1 << bit);
          const verdict = await judge(changed);
          // Where git is content and we are not, it is about how the signature is wrapped, never whose it is.
          if (verdict.kind !== 'good' && place.verify(place.store(changed)))
            expect(verdict).toMatchObject({ kind: 'bad', code: 'Malformed' });
        }),
        { numRuns: 25 },
      );
    }
  }, 180_000);
});

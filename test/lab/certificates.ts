// A certificate authority for one lab cluster, made with the openssl command.
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A key pair as files, because the programs want files, and as PEM text, because kubeconfigs want text. */
export interface KeyPair {
  readonly certificatePath: string;
  readonly keyPath: string;
  readonly certificate: string;
  readonly key: string;
}

/** Issues certificates of one authority. All live ten days: a lab does not. */
export interface Authority {
  readonly certificatePath: string;
  readonly keyPath: string;
  readonly certificate: string;
  /** Signs a certificate for `subject` (openssl's form, `/O=group/CN=name`) that serves and is a client; `names` are its alternative names. */
  issue(file: string, subject: string, names?: readonly string[]): Promise<KeyPair>;
  /** A key pair without certificate, for service account tokens. */
  signingKey(file: string): Promise<{ readonly publicPath: string; readonly privatePath: string }>;
}

/** Makes an authority in `folder`. Elliptic curve keys: an RSA key would take a second each on a busy machine. */
export async function createAuthority(folder: string): Promise<Authority> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = (name: string): string => join(folder, name);
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const authorityKey = path('ca.key');
  const authorityCertificate = path('ca.crt');
  const openssl = async (words: readonly string[]): Promise<void> => {
    try {
      await run('openssl', words, { timeout: 30_000 });
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
        throw new Error('openssl is not installed: the lab makes its certificates with it.', { cause: error });
      throw error;
    }
  };
  await openssl([
    'req',
    '-x509',
    ...curve,
    '-keyout',
    authorityKey,
    '-out',
    authorityCertificate,
    '-days',
    '10',
    '-subj',
    '/CN=oakum-lab',
  ]);
  return {
    certificatePath: authorityCertificate,
    keyPath: authorityKey,
    certificate: await readFile(authorityCertificate, 'utf8'),
    async issue(file, subject, names = []) {
      const keyPath = path(`${file}.key`);
      const requestPath = path(`${file}.csr`);
      const certificatePath = path(`${file}.crt`);
      const extensions = ['extendedKeyUsage=serverAuth,clientAuth'];
      if (names.length > 0) extensions.push(`subjectAltName=${names.join(',')}`);
      await writeFile(path(`${file}.ext`), `${extensions.join('\n')}\n`);
      await openssl(['req', ...curve, '-keyout', keyPath, '-out', requestPath, '-subj', subject]);
      const serial = `0x${Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString('hex')}`;
      const signing = ['-CA', authorityCertificate, '-CAkey', authorityKey, '-set_serial', serial, '-days', '10'];
      await openssl([
        'x509',
        '-req',
        '-in',
        requestPath,
        ...signing,
        '-extfile',
        path(`${file}.ext`),
        '-out',
        certificatePath,
      ]);
      return {
        certificatePath,
        keyPath,
        certificate: await readFile(certificatePath, 'utf8'),
        key: await readFile(keyPath, 'utf8'),
      };
    },
    async signingKey(file) {
      const privatePath = path(`${file}.key`);
      const publicPath = path(`${file}.pub`);
      await openssl(['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', privatePath]);
      await openssl(['ec', '-in', privatePath, '-pubout', '-out', publicPath]);
      return { publicPath, privatePath };
    },
  };
}

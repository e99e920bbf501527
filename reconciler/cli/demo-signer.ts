// Keys made on the spot for the people of the demo, and a program by which git signs with it: the demo needs neither gpg nor ssh-keygen.
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateKey } from 'openpgp';

/** Somebody who can sign. */
export interface DemoSigner {
  /** Armoured public key, for `signers/`. */
  readonly publicKey: string;
  /** Settings of git that make it sign with the key. */
  readonly settings: Readonly<Record<string, string>>;
}

/** What git runs in place of gpg (gitformat-signature(5), git-config(1) `gpg.program`): the payload comes in, the signature and a line of status go out. */
const program = (library: string, privateKey: string): string => `import { readFileSync } from 'node:fs';
import { createMessage, readPrivateKey, sign } from ${JSON.stringify(library)};
const message = await createMessage({ binary: readFileSync(0) });
const signingKeys = await readPrivateKey({ armoredKey: ${JSON.stringify(privateKey)} });
process.stdout.write(await sign({ message, signingKeys, detached: true }));
process.stderr.write('\\n[GNUPG:] SIG_CREATED D\\n');
`;

/** Makes a key for somebody; its files lie in `folder` and go with it. */
export async function makeDemoSigner(folder: string, name: string, email: string): Promise<DemoSigner> {
  const { privateKey, publicKey } = await generateKey({ type: 'ecc', userIDs: [{ name, email }], format: 'armored' });
  const script = join(folder, `sign-${email}.mjs`);
  writeFileSync(script, program(import.meta.resolve('openpgp'), privateKey), { mode: 0o600 });
  const shim = join(folder, `sign-${email}`);
  writeFileSync(shim, `#!/bin/sh\nexec "${process.execPath}" "${script}"\n`);
  chmodSync(shim, 0o700);
  return { publicKey, settings: { 'gpg.format': 'openpgp', 'gpg.program': shim, 'user.signingkey': email } };
}

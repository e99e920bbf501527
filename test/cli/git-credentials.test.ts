// Two credentials for Git: one that reads the configuration, one for what Oakum pushes.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { silentLog } from '../../reconciler/adapters/log.ts';
import { openGitFrom } from '../../reconciler/cli/parts.ts';
import { commitFiles, git, startGitServer } from '../support/git-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'oakum-credentials-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function secret(name: string, files: Readonly<Record<string, string>>): string {
  mkdirSync(join(folder, name));
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, name, file), text);
  return join(folder, name);
}

const basic = (token: string): string => `Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;

it('what is pushed goes by the credentials for writing, and nothing else does', async () => {
  const server = await startGitServer();
  commitFiles(server.repository, 'main', { 'oakum.yaml': 'a\n' });
  server.allowed = [basic('reads'), basic('writes')];
  const flags = { repo: server.url, statusBranch: 'oakum/status', cacheDir: join(folder, 'cache') };
  const port = openGitFrom(
    {
      ...flags,
      gitSecretDir: secret('read', { token: 'reads\n' }),
      gitWriteSecretDir: secret('write', { token: 'writes\n' }),
    },
    silentLog,
    'all',
  );
  try {
    await port.sync({ after: undefined });
    const before = server.seen.length;
    expect(new Set(server.seen.map(({ authorization }) => authorization))).toEqual(new Set([basic('reads')]));
    await port.publish({ files: new Map([['README.md', 'status\n']]), message: 'status' });
    const pushes = server.seen.slice(before).filter(({ path }) => path.includes('receive-pack'));
    expect(pushes.length).toBeGreaterThan(0);
    expect(new Set(pushes.map(({ authorization }) => authorization))).toEqual(new Set([basic('writes')]));
    expect(await git(server.repository, 'show', 'oakum/status:README.md')).toBe('status');
  } finally {
    await port.close();
    await server.stop();
  }
});

it('a folder for writing without credentials is an error that names it', () => {
  const empty = secret('empty', {});
  const flags = { repo: 'https://git.example.org/x.git', statusBranch: 'oakum/status', cacheDir: join(folder, 'none') };
  expect(() => openGitFrom({ ...flags, gitWriteSecretDir: empty }, silentLog, 'all')).toThrow(
    `--git-write-secret-dir: ${empty} has none of token, password and ssh-privatekey`,
  );
});

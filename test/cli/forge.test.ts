// Where a forge's API is, from the address of the repository.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { deployedSigners } from '../../reconciler/cli/accepted-signers.ts';
import { addressOf, apiOf, approvalFloorOf } from '../../reconciler/cli/forge.ts';

it.each([
  ['https://github.com/acme/config.git', 'github', 'https://api.github.com', 'acme/config'],
  ['https://git.example.org:8443/acme/config', 'github', 'https://git.example.org:8443/api/v3', 'acme/config'],
  [
    'ssh://git@git.example.org:2222/group/sub/config.git',
    'gitlab',
    'https://git.example.org/api/v4',
    'group/sub/config',
  ],
  ['git@gitea.example.org:acme/config.git', 'gitea', 'https://gitea.example.org/api/v1', 'acme/config'],
] as const)('%s is served by %s at %s', (repo, kind, api, path) => {
  const address = addressOf(repo);
  expect(address.path).toBe(path);
  expect(apiOf(kind, address.host)).toBe(api);
});

it('an address without a host needs the flag', () => {
  expect(() => apiOf('github', addressOf('/srv/config.git').host)).toThrow('--forge-url');
});

it('without a forge the branch is trusted only when that is said', () => {
  expect(approvalFloorOf({ forge: 'git' }, 'none')).toBe('review');
  expect(approvalFloorOf({ forge: 'git', trustBranch: true }, 'merge')).toBe('merge');
  expect(approvalFloorOf({ forge: 'github' }, 'none')).toBe('none');
});

it('the keys of the deployment are the files of a folder, and a folder without any is a mistake', () => {
  const folder = mkdtempSync(join(tmpdir(), 'oakum-keys-'));
  try {
    expect(() => deployedSigners('signers', folder)).toThrow('neither allowed_signers nor a file <name>.asc');
    expect(() => deployedSigners('signers', join(folder, 'nothing'))).toThrow('cannot be read');
    writeFileSync(join(folder, 'allowed_signers'), 'a line\n');
    writeFileSync(join(folder, 'bob.asc'), 'a key\n');
    writeFileSync(join(folder, 'notes.txt'), 'nothing\n');
    expect([...deployedSigners('signers', folder)]).toEqual([
      ['signers/allowed_signers', 'a line\n'],
      ['signers/bob.asc', 'a key\n'],
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

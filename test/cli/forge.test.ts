// Where a forge's API is, from the address of the repository.
import { expect, it } from 'vitest';
import { addressOf, apiOf } from '../../reconciler/cli/forge.ts';

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

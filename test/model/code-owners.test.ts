// CODEOWNERS: the examples of GitHub's and GitLab's own documentation, and whatever is not understood.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ownersOf, type OwnerSyntax } from '../../reconciler/model/code-owners.ts';
import { cpuMs } from '../support/cpu.ts';

/** Owners of a path, group by group; a sentence when the file is not understood. */
function owners(text: string, syntax: OwnerSyntax, path: string): string[] | string {
  const demand = ownersOf(text, syntax, [path]);
  if (demand.kind === 'unclear') return demand.message;
  return demand.groups.map((group) => `${group.owners.join(' ')}${group.wanted > 1 ? ` x${group.wanted}` : ''}`);
}

/** After docs.github.com, "About code owners", example of a file. */
const github = `# A comment.
*       @global-owner1 @global-owner2
*.js    @js-owner #an inline comment
*.go docs@example.com
*.txt @octo-org/octocats
/build/logs/ @doctocat
docs/*  docs@example.com
apps/ @octocat
/docs/ @doctocat
/scripts/ @doctocat @octocat
**/logs @octocat
/apps/ @octocat
/apps/github
`;

describe("GitHub's example", () => {
  it.each<[string, string[]]>([
    ['README', ['@global-owner1 @global-owner2']],
    ['a/b/c', ['@global-owner1 @global-owner2']],
    ['x.js', ['@js-owner']],
    ['deep/in/x.js', ['@js-owner']],
    ['x.go', ['docs@example.com']],
    ['deep/x.txt', ['@octo-org/octocats']],
    ['build/logs', ['@octocat']],
    ['build/x', ['@global-owner1 @global-owner2']],
    ['build/logs/a/b', ['@octocat']],
    ['other/build/logs', ['@octocat']],
    ['docs/getting-started.md', ['@doctocat']],
    ['docs/build-app/troubleshooting.md', ['@doctocat']],
    ['scripts/x', ['@doctocat @octocat']],
    ['deep/scripts/x', ['@global-owner1 @global-owner2']],
    ['deeply/nested/logs/x', ['@octocat']],
    ['apps/x', ['@octocat']],
    ['some/apps/x', ['@octocat']],
    ['apps/github', []],
    ['apps/github/x', []],
  ])('%s belongs to %j', (path, expected) => {
    expect(owners(github, 'github', path)).toEqual(expected);
  });

  it.each<[string, string, boolean]>([
    ['docs/*', 'docs/a', true],
    ['docs/*', 'docs/a/b', false],
    ['docs/*', 'x/docs/a', false],
    ['/build/logs/', 'build/logs', false],
    ['/build/logs/', 'build/logs/x/y', true],
    ['/build/logs/', 'x/build/logs/y', false],
    ['apps/', 'x/apps/y', true],
    ['/docs/**/x.md', 'docs/x.md', true],
    ['/docs/**/x.md', 'docs/a/b/x.md', true],
    ['/docs/**', 'docs/a/b', true],
    ['clusters/*/policy.yaml', 'clusters/prod/policy.yaml', true],
    ['clusters/*/policy.yaml', 'clusters/a/b/policy.yaml', false],
    ['clusters/prod', 'clusters/prod/runs/x.yaml', true],
    ['clusters/prod', 'clusters/production/x.yaml', false],
    ['/polic?.yaml', 'a/policy.yaml', false],
    ['polic?es', 'policies/x', true],
    ['a\\ b', 'a b', true],
    ['.github/CODEOWNERS', '.github/CODEOWNERS', true],
    ['README', 'readme', false],
  ])('%s and %s: %s', (pattern, path, expected) => {
    expect(owners(`${pattern} @x`, 'github', path)).toEqual(expected ? ['@x'] : []);
  });
});

describe("GitLab's examples", () => {
  /** After docs.gitlab.com, "Advanced CODEOWNERS configuration", regular entries and sections. */
  const sections = `# Required for all files
* @general-approvers

[Documentation] @docs-team
docs/
README.md
*.txt

[Database] @database-team
model/db/
config/db/database-setup.md @docs-team
`;
  it.each<[string, string[]]>([
    ['x.rb', ['@general-approvers']],
    ['docs/api/x', ['@general-approvers', '@docs-team']],
    ['model/db/CHANGELOG.txt', ['@general-approvers', '@docs-team', '@database-team']],
    ['config/db/database-setup.md', ['@general-approvers', '@docs-team']],
    ['a/README.md', ['@general-approvers', '@docs-team']],
  ])('%s belongs to %j', (path, expected) => {
    expect(owners(sections, 'gitlab', path)).toEqual(expected);
  });

  it.each<[string, string, string, string[]]>([
    ['a section that wants two', '[Documentation][2] @docs-team\ndocs/\nREADME.md', 'docs/x', ['@docs-team x2']],
    ['an optional section', '^[Database] @database-team\nmodel/db/', 'model/db/x', []],
    ['a section that comes twice', '[A]\nx @one\n[a]\nx @two', 'x', ['@two']],
    ['the last entry of a section', '*.rb @ruby\nx.rb @x', 'a/x.rb', ['@x']],
    ['an exclusion', '* @all\n!pom.xml', 'pom.xml', []],
    ['an exclusion of one section only', '* @all\n[Build]\n*.xml @build\n!pom.xml', 'pom.xml', ['@all']],
    ['an escaped sign', '\\#file.rb @owner', '#file.rb', ['@owner']],
    ['spaces', 'path\\ with\\ spaces/ @owner', 'path with spaces/x', ['@owner']],
    ['a folder anywhere', 'lib/ @lib', 'a/lib/b/c', ['@lib']],
    ['a folder in the root', '/config/ @config', 'a/config/b', []],
    ['a file without a slash at the end', '/docs @docs', 'docs/x', []],
    ['files in a folder', '/docs/* @docs', 'docs/a/x', []],
    ['files of a kind below a folder', '/docs/**/*.md @docs', 'docs/x.md', ['@docs']],
    [
      'nested groups and addresses',
      'R @group/with-nested/subgroup jane@gitlab.com',
      'R',
      ['@group/with-nested/subgroup jane@gitlab.com'],
    ],
    ['dot files', '* @all', '.gitignore', ['@all']],
  ])('%s', (_name, text, path, expected) => {
    expect(owners(text, 'gitlab', path)).toEqual(expected);
  });
});

describe('what is not understood', () => {
  it.each<[OwnerSyntax, string]>([
    ['github', '* @all\n!x'],
    ['github', '[Section]\nx @a'],
    ['github', '*.[ch] @a'],
    ['github', '\\#x @a'],
    ['github', '* all'],
    ['github', '* @'],
    ['gitlab', '[Section\nx @a'],
    ['gitlab', '[] @a'],
    ['gitlab', '/config/ @@maintainer'],
    ['gitlab', 'x @a # comment'],
    ['gitlab', '!x @a'],
    ['gitlab', 'x[a] @a'],
    ['gitlab', '// @a'],
  ])('%s: %j holds, whatever path is asked for', (syntax, text) => {
    expect(owners(text, syntax, 'something/else')).toMatch(/^CODEOWNERS, line [12]: /);
  });

  it('is judged in reasonable time, however many stars there are', () => {
    const text = `${'*a'.repeat(240)}b @x\n${'**/a/'.repeat(90)}b @x`;
    const cost = cpuMs(() => {
      expect(owners(text, 'github', `${'a'.repeat(2_000)}/${'a/'.repeat(400)}c`)).toEqual([]);
      expect(owners(`${'*a'.repeat(251)} @x`, 'github', 'a')).toContain('too long');
    });
    expect(cost).toBeLessThan(10_000);
  });

  it('matches as a plain search does', () => {
    const piece = fc.constantFrom('a', 'b', '*', '?', 'ab');
    const name = fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 6 }).map((all) => all.join(''));
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 5 }), name, (pieces, found) => {
        const source = pieces.map((one) => (one === '*' ? '[^/]*' : one === '?' ? '[^/]' : one)).join('');
        const expected = new RegExp(`^(?:${source})$`).test(found) ? ['@x'] : [];
        expect(owners(`/folder/${pieces.join('')} @x`, 'gitlab', `folder/${found}`)).toEqual(expected);
      }),
      { numRuns: 2_000 },
    );
  });
});

// CODEOWNERS: which people and teams must agree to a change of a file, read as GitHub and as GitLab read it. What is not understood is an error.

/** Whose syntax counts. */
export type OwnerSyntax = 'github' | 'gitlab';

/** People of whom some must approve a file. */
export interface OwnerGroup {
  readonly path: string;
  /** `@user`, `@org/team` or a mail address, as written. Never empty. */
  readonly owners: readonly string[];
  /** How many of them. */
  readonly wanted: number;
}

/** What CODEOWNERS demands for some files. */
export type OwnerDemand =
  | { readonly kind: 'groups'; readonly groups: readonly OwnerGroup[] }
  /** The file is missing, or not understood: nothing can be approved. */
  | { readonly kind: 'unclear'; readonly message: string };

/** Where each forge looks, in its order; the first that is there counts. */
export const ownerFiles: Readonly<Record<OwnerSyntax, readonly string[]>> = {
  github: ['.github/CODEOWNERS', 'CODEOWNERS', 'docs/CODEOWNERS'],
  gitlab: ['CODEOWNERS', 'docs/CODEOWNERS', '.gitlab/CODEOWNERS'],
};

/** All paths at which a file with owners may lie. */
export const ownerPaths: readonly string[] = [...new Set([...ownerFiles.github, ...ownerFiles.gitlab])];

/** Characters of a pattern: longer ones are no paths. */
const longestPattern = 500;

interface Entry {
  readonly pattern: Pattern;
  readonly owners: readonly string[];
  /** GitLab's `!path`: in this section nobody owns it. */
  readonly excludes: boolean;
}

interface Section {
  readonly optional: boolean;
  readonly wanted: number;
  readonly entries: Entry[];
}

interface Pattern {
  /** `**` is any number of folders. */
  readonly segments: readonly string[];
  /** The path itself, what is below it, or either. */
  readonly means: 'itself' | 'below' | 'either';
}

/** What a file demands for these paths; a sentence when it is not understood, because a line that is left out could be the one that protects. */
export function ownersOf(text: string, syntax: OwnerSyntax, paths: readonly string[]): OwnerDemand {
  const sections = readSections(text, syntax);
  if (typeof sections === 'string') return { kind: 'unclear', message: sections };
  const groups: OwnerGroup[] = [];
  for (const path of [...new Set(paths)].sort())
    for (const { optional, wanted, entries } of sections) {
      const parts = path.split('/');
      const fitting = entries.filter(({ pattern }) => matches(pattern, parts));
      const owners = fitting.at(-1)?.owners ?? [];
      if (optional || owners.length === 0 || fitting.some(({ excludes }) => excludes)) continue;
      groups.push({ path, owners, wanted });
    }
  return { kind: 'groups', groups };
}

/** The sections by name; the first is the one without a name. GitHub has only that one. */
function readSections(text: string, syntax: OwnerSyntax): Section[] | string {
  const unnamed: Section = { optional: false, wanted: 1, entries: [] };
  const sections = new Map<string, Section>([['', unnamed]]);
  let section = unnamed;
  let inherited: readonly string[] = [];
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const fault = (why: string): string => `CODEOWNERS, line ${index + 1}: ${why}`;
    if (syntax === 'gitlab' && /^\^?\[/.test(line)) {
      const heading = /^(\^)?\[([^[\]]+)\](?:\[(\d{1,2})\])?(?:\s+(.+))?$/.exec(line);
      if (heading === null) return fault('the heading of the section is not understood');
      const [, optional, name = '', wanted, words = ''] = heading;
      const owners = readOwners(words.split(/\s+/).filter((word) => word !== ''));
      if (typeof owners === 'string') return fault(owners);
      const key = name.trim().toLowerCase();
      const made = { optional: optional !== undefined, wanted: Math.max(1, Number(wanted ?? 1)), entries: [] };
      // A section that comes twice is one; what its first heading says counts.
      section = sections.get(key) ?? made;
      sections.set(key, section);
      inherited = owners;
      continue;
    }
    const read = readEntry(line, syntax, inherited);
    if (typeof read === 'string') return fault(read);
    section.entries.push(read);
  }
  return [...sections.values()];
}

function readEntry(line: string, syntax: OwnerSyntax, inherited: readonly string[]): Entry | string {
  const [written = '', ...rest] = line.match(/(?:\\.|[^\s\\])+/g) ?? [];
  // GitHub takes a comment behind the owners; to GitLab it is more owners, which nobody means.
  const comment = rest.findIndex((word) => word.startsWith('#'));
  if (comment >= 0 && syntax === 'gitlab') return 'GitLab has no comments behind owners';
  const owners = readOwners(comment < 0 ? rest : rest.slice(0, comment));
  if (typeof owners === 'string') return owners;
  const excludes = written.startsWith('!');
  if (excludes && (syntax === 'github' || owners.length > 0))
    return '"!" is not understood by GitHub, and takes no owners in GitLab';
  const path = excludes ? written.slice(1) : written;
  if (path.length > longestPattern) return 'the path is too long';
  if (/[[\]]/.test(path)) return 'ranges of characters are not understood';
  if (syntax === 'github' && path.startsWith('\\#')) return 'GitHub does not understand a "#" that is escaped';
  if (path === '' || path === '/' || /\/\/|\\$/.test(path)) return `"${path.slice(0, 100)}" is not a path`;
  const pattern = syntax === 'github' ? githubPattern(path) : gitlabPattern(path);
  return { pattern, owners: owners.length > 0 || excludes ? owners : inherited, excludes };
}

/** Names that can be asked for; roles of GitLab (`@@maintainer`) cannot. */
function readOwners(words: readonly string[]): readonly string[] | string {
  const strange = words.find((word) => !/^(?:@[A-Za-z0-9_][\w./-]*|[^\s@]+@[^\s@]+\.[^\s@]+)$/.test(word));
  return strange === undefined ? words : `"${strange.slice(0, 100)}" is no person, team or mail address`;
}

/** As in .gitignore, but that `docs/*` means only what lies directly in the folder. */
function githubPattern(written: string): Pattern {
  const folder = written.endsWith('/');
  const path = written.replace(/^\/|\/$/g, '');
  const anchored = written.startsWith('/') || path.includes('/');
  const segments = [...(anchored ? [] : ['**']), ...path.split('/')];
  const last = segments.at(-1);
  return { segments, means: folder ? 'below' : last === '*' && anchored ? 'itself' : 'either' };
}

/** As `File.fnmatch` with whole paths; what does not begin with a slash may lie anywhere. */
function gitlabPattern(written: string): Pattern {
  const path = written.replace(/^\//, '');
  const anywhere = written.startsWith('/') ? [] : ['**'];
  const segments = path.endsWith('/') ? [...path.slice(0, -1).split('/'), '**', '*'] : path.split('/');
  return { segments: [...anywhere, ...segments], means: 'itself' };
}

function matches({ segments, means }: Pattern, path: readonly string[]): boolean {
  if (means !== 'below' && matchPath(segments, path)) return true;
  return means !== 'itself' && matchPath([...segments, '**', '*'], path);
}

/** One list of wildcards against one list of names; each star takes as little as it can, and is the only one that is tried again. */
function matchPath(pattern: readonly string[], path: readonly string[]): boolean {
  return walk(pattern, path, '**', matchName);
}

function matchName(pattern: string, name: string): boolean {
  const words = (pattern.match(/\\.|./gsu) ?? []).map((word) => word.replace(/\*\*+/g, '*'));
  return walk(words, [...name], '*', (word, char) => word === '?' || word.replace(/^\\/, '') === char);
}

function walk(
  pattern: readonly string[],
  items: readonly string[],
  star: string,
  fits: (one: string, item: string) => boolean,
): boolean {
  let at = 0;
  let back: { readonly pattern: number; item: number } | undefined;
  for (let item = 0; item < items.length || at < pattern.length;) {
    const one = pattern[at];
    const now = items[item];
    if (one === star) {
      back = { pattern: at, item };
      at++;
    } else if (one !== undefined && now !== undefined && fits(one, now)) {
      at++;
      item++;
    } else if (back !== undefined && back.item < items.length) {
      back.item++;
      item = back.item;
      at = back.pattern + 1;
    } else return false;
  }
  return true;
}

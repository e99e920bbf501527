// Who wrote a commit: its author, its committer, and everybody in a Co-authored-by trailer.
import type { Contributor, Identity } from '../model/approval.ts';

/** A commit as forges tell of it. */
export interface WrittenCommit {
  readonly author: { readonly name: string; readonly email: string; readonly account: Identity | undefined };
  readonly committer: { readonly name: string; readonly email: string; readonly account: Identity | undefined };
  readonly message: string;
}

/**
 * Everybody in the `Co-authored-by` trailers of a commit message (git-interpret-trailers(1); the key is matched in any case, as forges do).
 * Read anywhere in the message, because a squash merge may carry trailers in its middle: one person too many only makes an approval harder.
 */
export function coAuthors(message: string): { readonly name: string; readonly email: string }[] {
  const found: { name: string; email: string }[] = [];
  for (const line of message.split(/\r?\n/)) {
    const match = /^\s*co-authored-by\s*:\s*([^<>]*)<([^<>]+)>/i.exec(line);
    if (match) found.push({ name: (match[1] ?? '').trim(), email: (match[2] ?? '').trim().toLowerCase() });
  }
  return found;
}

/** Everybody who had a hand in these commits, each once per role. `accountOf` knows accounts by mail address. */
export function contributorsOf(
  commits: readonly WrittenCommit[],
  accountOf: (email: string) => Identity | undefined,
): readonly Contributor[] {
  const found = new Map<string, Contributor>();
  const add = (one: Contributor): void => {
    const key = JSON.stringify([one.role, one.account?.id ?? '', one.email, one.name]);
    if (!found.has(key)) found.set(key, one);
  };
  for (const { author, committer, message } of commits) {
    for (const [role, person] of [
      ['author', author],
      ['committer', committer],
    ] as const) {
      const email = person.email.trim().toLowerCase();
      add({ account: person.account ?? accountOf(email), name: person.name, email, role });
    }
    for (const { name, email } of coAuthors(message))
      add({ account: accountOf(email), name, email, role: 'co-author' });
  }
  return [...found.values()];
}

// Whose addresses the Co-authored-by trailers of commits are: of all of GitHub, only its GraphQL API says it.
import type { Octokit } from 'octokit';
import type { Identity } from '../model/approval.ts';
import { coAuthors } from './forge-contributors.ts';
import { forgeRefusal, notUnderstood, type ForgeCall } from './forge-failure.ts';
import { fieldReaders } from './forge-fields.ts';
import type { CallRequest } from './forge-github-client.ts';

/** Commits that are asked for at once. */
const perQuestion = 50;
/** Answers about so many commits are kept; an address may be claimed later, so not for ever. */
const mostKept = 1_000;
const keptMs = 600_000;

/** Accounts by address, in lower case. */
type Accounts = ReadonlyMap<string, Identity>;

export interface GithubAuthors {
  /** The accounts behind the addresses in these commits' trailers, as far as GitHub knows and tells them. Nothing is asked when there are no trailers. */
  of(
    commits: readonly { readonly sha: string; readonly commit: { readonly message: string } }[],
    octokit: Octokit,
    request: CallRequest,
    call: ForgeCall,
  ): Promise<Accounts>;
}

const { fieldsOf, textOf, numberOf } = fieldReaders('GitHub');

/** Opens it for one repository. `now` in milliseconds. */
export function openGithubAuthors(
  { owner, repo }: { readonly owner: string; readonly repo: string },
  now: () => number,
): GithubAuthors {
  const kept = new Map<string, { readonly accounts: Accounts; readonly at: number }>();

  async function ask(
    shas: readonly string[],
    octokit: Octokit,
    request: CallRequest,
    call: ForgeCall,
  ): Promise<readonly Accounts[]> {
    // docs.github.com, GraphQL, `Commit.authors`: from the author and the Co-authored-by trailers.
    const wanted = shas.map(
      (sha, index) =>
        `c${index}: object(oid: "${sha}") { ... on Commit { authors(first: 100) { nodes { email user { databaseId login } } } } }`,
    );
    const query = `query ($owner: String!, $repo: String!) { repository(owner: $owner, name: $repo) { ${wanted.join(' ')} } }`;
    try {
      const answer = fieldsOf(await octokit.graphql(query, { owner, repo, request }), 'the answer');
      const repository = fieldsOf(answer['repository'], 'the repository');
      return shas.map((_, index) => accountsOf(repository[`c${index}`], call));
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'GraphqlResponseError') throw error;
      return refused(error, shas, call, now());
    }
  }

  return {
    async of(commits, octokit, request, call) {
      const shas = commits.filter(({ commit }) => coAuthors(commit.message).length > 0).map(({ sha }) => sha);
      const missing = shas.filter((sha) => now() - (kept.get(sha)?.at ?? Number.NEGATIVE_INFINITY) >= keptMs);
      for (let at = 0; at < missing.length; at += perQuestion) {
        const part = missing.slice(at, at + perQuestion);
        const answers = await ask(part, octokit, request, call);
        for (const [index, sha] of part.entries()) {
          kept.delete(sha);
          kept.set(sha, { accounts: answers[index] ?? new Map<string, Identity>(), at: now() });
        }
      }
      const found = new Map(shas.flatMap((sha) => [...(kept.get(sha)?.accounts ?? [])]));
      for (const oldest of kept.keys()) {
        if (kept.size <= mostKept) break;
        kept.delete(oldest);
      }
      return found;
    },
  };
}

/** The accounts of one commit; none for one that GitHub has lost meanwhile. */
function accountsOf(commit: unknown, call: ForgeCall): Accounts {
  if (commit === null) return new Map();
  const { nodes } = fieldsOf(fieldsOf(commit, 'a commit')['authors'], 'the authors of a commit');
  if (!Array.isArray(nodes)) throw notUnderstood(call, 'the authors of a commit are no list');
  return new Map(
    nodes.flatMap((node: unknown): [string, Identity][] => {
      const author = fieldsOf(node, 'an author');
      if (author['user'] === null || author['email'] === null) return [];
      const user = fieldsOf(author['user'], 'an account');
      const name = textOf(user, 'login', 'an account');
      const id = String(numberOf(user, 'databaseId', 'an account'));
      return [[textOf(author, 'email', 'an author').trim().toLowerCase(), { id, name, bot: name.endsWith('[bot]') }]];
    }),
  );
}

/** GraphQL refuses with status 200. What we may not ask stays unknown; anything else is an error. */
function refused(error: Error, shas: readonly string[], call: ForgeCall, now: number): readonly Accounts[] {
  const { errors, headers } = error as Error & {
    readonly errors?: readonly { readonly type?: string }[];
    readonly headers?: Readonly<Record<string, string>>;
  };
  const types = (errors ?? []).map(({ type }) => type);
  if (types.includes('RATE_LIMITED'))
    throw forgeRefusal({ status: 429, headers: headers ?? {}, message: error.message }, call, [], now);
  if (types.length > 0 && types.every((type) => type === 'FORBIDDEN')) return shas.map(() => new Map());
  throw notUnderstood(call, error.message);
}

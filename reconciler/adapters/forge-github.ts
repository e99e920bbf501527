// The Forge port for GitHub (github.com, Enterprise Cloud and Enterprise Server) over its REST API.
import { AdapterError } from '../model/failure.ts';
import type { Change, PullRequest } from '../model/approval.ts';
import type { Forge } from '../ports.ts';
import { contributorsOf } from './forge-contributors.ts';
import { notUnderstood } from './forge-failure.ts';
import { openGithubAuthors } from './forge-github-authors.ts';
import { openGithubChecks } from './forge-github-checks.ts';
import { everyPage, openGithubClient, pageSize, projectOf, type GithubClient } from './forge-github-client.ts';
import { accountOfEmail, commitOf, pullOf, reviewOf, type GithubPull } from './forge-github-reading.ts';
import { openGithubSaying } from './forge-github-saying.ts';
import type { ForgeOptions } from './forge-options.ts';

/** `GET pulls/{n}/commits` tells of no more (docs.github.com, "List commits on a pull request"). */
const mostCommits = 250;

/** A forge that holds connections. */
export interface OpenForge extends Forge {
  /** Lets connections go. */
  end(): Promise<void>;
}

/** Opens the Forge port. `spread: false` leaves out the pauses between writes that GitHub asks of programs; only tests do. */
export function openGithub(options: ForgeOptions, { spread = true }: { readonly spread?: boolean } = {}): OpenForge {
  const client = openGithubClient(options, spread);
  const reading = openReading(options, client);
  const writing = { ...openGithubSaying(options, client), ...openGithubChecks(options, client) };
  return { kind: 'github', ...reading, ...writing, end: () => client.close() };
}

type Reading = Pick<Forge, 'open' | 'bringing' | 'change' | 'headRef'>;

function openReading(options: ForgeOptions, client: GithubClient): Reading {
  const project = projectOf(options);
  const { branch } = options;
  const host = hostOf(options.api);
  const authors = openGithubAuthors(project, () => options.clock.now());

  /** A team's members; undefined when it is gone or may not be read. */
  async function members(name: string, signal: AbortSignal | undefined): Promise<readonly string[] | undefined> {
    const [org = '', slug = '', more] = name.replace(/^@/, '').split('/');
    if (org === '' || slug === '' || more !== undefined) return undefined;
    try {
      return await client.call(
        `read the members of ${name}`,
        'Members: read (organization)',
        signal,
        async (octokit, request, call) => {
          const found = await everyPage(call, (page) =>
            octokit.rest.teams.listMembersInOrg({ org, team_slug: slug, per_page: pageSize, page, request }),
          );
          return found.map(({ id }) => String(id));
        },
      );
    } catch (error) {
      if (!(error instanceof AdapterError) || (error.kind !== 'missing' && error.code !== 'ForgeDenied')) throw error;
      options.log.warn({ code: error.code, team: name }, error.message);
      return undefined;
    }
  }

  return {
    headRef: (number) => `refs/pull/${number}/head`,

    open: (signal) =>
      client.call('list open pull requests', 'Pull requests: read', signal, async (octokit, request, call) => {
        const found = await everyPage(call, (page) =>
          octokit.rest.pulls.list({
            ...project,
            state: 'open',
            base: branch,
            sort: 'created',
            direction: 'asc',
            per_page: pageSize,
            page,
            request,
          }),
        );
        return once(found.map((pull) => pullOf(pull, call)));
      }),

    bringing: (path, signal) =>
      client.call(
        `find out how ${path} came to ${branch}`,
        'Contents: read',
        signal,
        async (octokit, request, call) => {
          const { data } = await octokit.rest.repos.listCommits({
            ...project,
            sha: branch,
            path,
            per_page: 1,
            request,
          });
          const last = data[0];
          if (last === undefined)
            throw new AdapterError(
              'missing',
              'ForgeNotFound',
              `GitHub: ${path} was never on ${branch} of ${options.project}.`,
            );
          const pulls = await everyPage(call, (page) =>
            octokit.rest.repos.listPullRequestsAssociatedWithCommit({
              ...project,
              commit_sha: last.sha,
              per_page: pageSize,
              page,
              request,
            }),
          );
          const merged = pulls
            .filter((pull) => pull.merged_at !== null && pull.base.ref === branch)
            // The same commit may be in several pull requests: the first one that was merged brought it.
            .sort((one, other) => Date.parse(one.merged_at ?? '') - Date.parse(other.merged_at ?? ''));
          const [first] = merged;
          if (first === undefined) return { commit: last.sha, pull: undefined };
          const { data: whole } = await octokit.rest.pulls.get({ ...project, pull_number: first.number, request });
          return { commit: last.sha, pull: pullOf(whole, call) };
        },
      ),

    async change(number, teams, signal) {
      const what = await client.call(
        `read pull request ${number}`,
        'Pull requests: read',
        signal,
        async (octokit, request, call) => {
          const get = async (): Promise<GithubPull & { readonly commits: number }> =>
            (await octokit.rest.pulls.get({ ...project, pull_number: number, request })).data;
          const raw = await get();
          const pull = pullOf(raw, call);
          const reviews = await everyPage(call, (page) =>
            octokit.rest.pulls.listReviews({ ...project, pull_number: number, per_page: pageSize, page, request }),
          );
          const commits = await everyPage(call, (page) =>
            octokit.rest.pulls.listCommits({ ...project, pull_number: number, per_page: pageSize, page, request }),
          );
          // Pages are read one after another: a head that has moved in between would put reviews and commits of two versions together.
          const after = pullOf(await get(), call);
          if (!sameVersion(pull, after))
            throw new AdapterError(
              'transient',
              'ForgeMoved',
              `GitHub: pull request ${number} changed while it was read.`,
            );
          if (raw.commits < commits.length || (raw.commits > commits.length && commits.length < mostCommits))
            throw notUnderstood(call, `${raw.commits} commits are announced and ${commits.length} came`);
          const claimed = await authors.of(commits, octokit, request, call);
          return {
            pull,
            contributors: contributorsOf(
              commits.map((one) => commitOf(one, call)),
              (email) => claimed.get(email) ?? accountOfEmail(email, host),
            ),
            reviews: reviews.flatMap((one) => reviewOf(one, host, call) ?? []),
            doubts: [
              ...(raw.commits > commits.length
                ? [
                    `Pull request ${number} has ${raw.commits} commits and GitHub tells of ${mostCommits} only: who wrote the others is not known. Split it.`,
                  ]
                : []),
              ...(raw.user === null
                ? [`The account that opened pull request ${number} is gone: whether it approved itself is not known.`]
                : []),
            ],
          };
        },
      );
      const read: Record<string, readonly string[] | undefined> = {};
      for (const name of new Set(teams)) read[name] = await members(name, signal);
      const change: Change = { ...what, teams: read };
      return change;
    },
  };
}

/** A list that grows while its pages are read may name the same thing twice. */
function once(pulls: readonly PullRequest[]): readonly PullRequest[] {
  return [...new Map(pulls.map((pull) => [pull.number, pull])).values()].sort(
    (one, other) => one.number - other.number,
  );
}

function sameVersion(one: PullRequest, other: PullRequest): boolean {
  return one.head === other.head && one.state === other.state && one.base === other.base;
}

/** The host of the web pages, which is in the private mail addresses that GitHub gives out. */
function hostOf(api: string): string {
  return new URL(api).hostname.replace(/^api\./, '');
}

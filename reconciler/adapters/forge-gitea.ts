// The Forge port for Gitea and Forgejo: what people said about a change, complete, and what Oakum says to them.
import type { Change, Contributor, PullRequest } from '../model/approval.ts';
import { AdapterError } from '../model/failure.ts';
import type { Forge } from '../ports.ts';
import { notUnderstood } from './forge-failure.ts';
import { openGiteaCalls, projectPath, type GiteaCall } from './forge-gitea-calls.ts';
import { openGiteaHistory } from './forge-gitea-history.ts';
import {
  commitEntryOf,
  commitOf,
  everybodyIn,
  fieldsOf,
  identityOf,
  numberOf,
  pullOf,
  pusherOf,
  reviewOf,
  textOf,
  type GiteaPull,
} from './forge-gitea-shapes.ts';
import { openGiteaWriting, openOwnAccount } from './forge-gitea-writing.ts';
import { commentLimit } from './forge-writing.ts';
import type { ForgeOptions } from './forge-options.ts';

const timeline = { forge: 'Gitea', what: 'read the timeline of a pull request', needs: 'read:issue' };
/** Of 50 entries each. */
const mostTimelinePages = 20;

/**
 * Opens a repository of a Gitea or Forgejo, by its REST API and a token. There is no library in between: the clients that are published are
 * generated from one version of the API and lag behind it, and this needs a dozen of its calls.
 */
export function openGitea(options: ForgeOptions): Forge & { end(): Promise<void> } {
  const { branch, log, clock } = options;
  const repository = projectPath(options.project);
  const calls = openGiteaCalls(options);
  const account = openOwnAccount();
  const history = openGiteaHistory({ repository, branch, clock });

  async function openPulls(call: GiteaCall): Promise<readonly GiteaPull[]> {
    const query = { state: 'open', sort: 'oldest', base_branch: branch };
    const pulls = (await call.list(`${repository}/pulls`, query)).map(pullOf);
    // Older versions do not know the parameter and tell those to other branches too.
    return pulls.filter(({ pull }) => pull.base === branch).sort((a, b) => a.pull.number - b.pull.number);
  }

  /** A pull request with the head that reviewers saw: its own ref, for its branch may have gone on after the merge. */
  async function pullAt(call: GiteaCall, number: number): Promise<PullRequest> {
    const { pull } = pullOf(await call.get(`${repository}/pulls/${number}`));
    const ref = headRef(number);
    const answer = await call.get(`${repository}/git/${ref}`);
    // One ref is told as an object, and as a list with those whose name begins with it.
    const refs = (Array.isArray(answer) ? answer : [answer]).map((one) => fieldsOf(one, 'a ref'));
    const exact = refs.find((one) => one['ref'] === ref);
    if (exact === undefined) throw new AdapterError('missing', 'ForgeNotFound', `There is no ref ${ref}.`);
    const head = commitOf(fieldsOf(exact['object'], ref), 'sha', ref);
    if (pull.state === 'open' && head !== pull.head)
      throw new AdapterError(
        'transient',
        'ForgeMoved',
        `Pull request ${number}: the forge has not taken in the last push (${pull.head}) yet.`,
      );
    return { ...pull, head };
  }

  async function teamMembers(call: GiteaCall, team: string): Promise<readonly string[] | undefined> {
    const [organisation, name, ...rest] = team.replace(/^@/, '').split('/');
    if (organisation === undefined || organisation === '' || name === undefined || name === '' || rest.length > 0)
      return undefined;
    try {
      const teams = (await call.list(`/orgs/${encodeURIComponent(organisation)}/teams`)).map((one) =>
        fieldsOf(one, 'a team'),
      );
      const found = teams.find((one) => textOf(one, 'name', 'a team').toLowerCase() === name.toLowerCase());
      if (found === undefined) return undefined;
      const members = await call.list(`/teams/${numberOf(found, 'id', 'a team')}/members`);
      // Our own account must be a member to see the others; what it writes is never a review.
      const own = await account.id(call);
      return members.map((one) => identityOf(one, `a member of ${team}`).id).filter((id) => id !== own);
    } catch (error) {
      // A token that may not see the team, and a team that is gone, are for the judgement: it knows that it knows nothing.
      if (!(error instanceof AdapterError) || (error.kind !== 'missing' && error.kind !== 'denied')) throw error;
      log.warn({ team, error: error.message }, 'the members of a team cannot be read');
      return undefined;
    }
  }

  /**
   * Who pushed to an open pull request, as far as the forge remembers: this only adds contributors, so it need not be complete. The timeline
   * tells no length that could be relied on, and a force-push takes older pushes out of it.
   */
  async function pushers(call: GiteaCall, number: number): Promise<readonly Contributor[]> {
    const found: Contributor[] = [];
    for (let page = 1; page <= mostTimelinePages; page += 1) {
      const entries = await call.get(`${repository}/issues/${number}/timeline`, { page, limit: 50 });
      // An empty page is null.
      if (entries !== null && !Array.isArray(entries)) throw notUnderstood(timeline, 'no list');
      if (entries === null || entries.length === 0) break;
      found.push(...entries.flatMap((one) => pusherOf(one) ?? []));
    }
    return found;
  }

  async function read(call: GiteaCall, number: number, teams: readonly string[]): Promise<Change> {
    const pull = await pullAt(call, number);
    const commits = (
      await call.list(`${repository}/pulls/${number}/commits`, { verification: false, files: false }, { settled: true })
    ).map(commitEntryOf);
    const reviews = (await call.list(`${repository}/pulls/${number}/reviews`, {}, { hides: true })).flatMap(
      (one) => reviewOf(one) ?? [],
    );
    const authors = everybodyIn(commits);
    const known = new Set(authors.map(({ account }) => account?.id));
    const pushed = (await pushers(call, number)).filter((one) => !known.has(one.account?.id));
    const members: Record<string, readonly string[] | undefined> = {};
    for (const team of new Set(teams)) members[team] = await teamMembers(call, team);
    const again = await pullAt(call, number);
    if (again.head !== pull.head || again.state !== pull.state || again.base !== pull.base)
      throw new AdapterError('transient', 'ForgeMoved', `Pull request ${number} changed while it was read.`);
    const doubts = commits.some(({ sha }) => sha === pull.head)
      ? []
      : [
          `The forge does not tell (any more) which commits pull request ${number} had, so nobody knows who may not approve it: it was merged by hand, or its commits were on ${branch} before.`,
        ];
    return {
      pull,
      contributors: distinct([...authors, ...pushed]),
      reviews,
      teams: members,
      doubts,
    };
  }

  return {
    kind: 'gitea',
    end: () => calls.end(),
    commentLimit,
    headRef,
    open: async (signal) => (await openPulls(calls.begin(signal))).map(({ pull }) => pull),
    async bringing(path, signal) {
      const call = calls.begin(signal);
      const { commit, number } = await history.bringing(call, path);
      return { commit, pull: number === undefined ? undefined : await pullAt(call, number) };
    },
    change: (number, teams, signal) => read(calls.begin(signal), number, teams),
    ...openGiteaWriting({ repository, branch, calls, account, open: openPulls }),
  };
}

function headRef(number: number): string {
  return `refs/pull/${number}/head`;
}

/** Everybody once for each account, address and role. */
function distinct(contributors: readonly Contributor[]): readonly Contributor[] {
  return [
    ...new Map(contributors.map((one) => [JSON.stringify([one.account?.id, one.email, one.role]), one])).values(),
  ];
}

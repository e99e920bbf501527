// The Forge port for GitLab (gitlab.com and self-managed): what people said about a change, complete, and what Oakum says to them.
import type { Change, Contributor } from '../model/approval.ts';
import { AdapterError } from '../model/failure.ts';
import type { Forge } from '../ports.ts';
import { openGitlabCalls, type GitlabCall } from './forge-gitlab-calls.ts';
import { openGitlabPeople } from './forge-gitlab-people.ts';
import { gitlabReviews, pusherOf } from './forge-gitlab-reviews.ts';
import {
  approvalsOf,
  commitOf,
  fieldsOf,
  noteOf,
  pullOf,
  shaOf,
  versionOf,
  vetoOf,
  type GitlabPull,
} from './forge-gitlab-shapes.ts';
import { openGitlabWriting } from './forge-gitlab-writing.ts';
import { commentLimit } from './forge-writing.ts';
import type { ForgeOptions } from './forge-options.ts';

const settingsPage = 'Settings, Merge requests, Merge request approvals; GitLab Premium';

/** Opens a project of a GitLab, by its REST API and a token of a person, a project or a group. */
export function openGitlab(options: ForgeOptions): Forge & { end(): Promise<void> } {
  const { project, branch, log } = options;
  const calls = openGitlabCalls(options);
  const people = openGitlabPeople(options.api, log);

  async function openPulls(call: GitlabCall): Promise<readonly GitlabPull[]> {
    const entries = await call.list(({ requests }, page) =>
      requests.all({
        projectId: project,
        state: 'opened',
        targetBranch: branch,
        orderBy: 'created_at',
        sort: 'asc',
        ...page,
      }),
    );
    const pulls = entries.map(pullOf).filter(({ pull }) => pull.base === branch && pull.state === 'open');
    return pulls.sort((a, b) => a.pull.number - b.pull.number);
  }

  const show = async (call: GitlabCall, number: number) =>
    pullOf(await call.ask(({ requests }) => requests.show(project, number))).pull;

  /** Commits of the newest version of a merge request. */
  const commitsOf = async (call: GitlabCall, number: number) =>
    (await call.list(({ requests }, page) => requests.allCommits(project, number, { ...page }))).map(commitOf);

  /** What must be set so that an approval says something about a commit; a sentence for each that is not. */
  async function settings(call: GitlabCall): Promise<{ readonly resets: boolean; readonly doubts: readonly string[] }> {
    let read: Readonly<Record<string, unknown>> = {};
    try {
      read = fieldsOf(await call.ask(({ approvals }) => approvals.showConfiguration(project)), 'the approval settings');
    } catch (error) {
      // Without the tier there are none; without the right they are not shown.
      if (!(error instanceof AdapterError) || (error.kind !== 'missing' && error.kind !== 'denied')) throw error;
      log.warn({ project, error: error.message }, 'the settings for approvals cannot be read');
    }
    const resets = read['reset_approvals_on_push'] === true;
    const excludes = read['merge_requests_disable_committers_approval'] === true;
    return {
      resets,
      doubts: [
        ...(resets
          ? []
          : [
              `GitLab does not say which commit was approved, and its setting "Remove all approvals" when a commit is added (reset_approvals_on_push) is off or cannot be read: ${settingsPage}.`,
            ]),
        ...(excludes
          ? []
          : [
              `GitLab does not say whose account a commit belongs to, and its setting "Prevent approvals by users who add commits" (merge_requests_disable_committers_approval) is off or cannot be read: ${settingsPage}.`,
            ]),
      ],
    };
  }

  async function read(call: GitlabCall, number: number, names: readonly string[]): Promise<Change> {
    const pull = await show(call, number);
    const commits = await commitsOf(call, number);
    const notes = (await call.list(({ notes: api }, page) => api.all(project, number, { sort: 'asc', ...page }))).map(
      noteOf,
    );
    const approvals = approvalsOf(
      await call.ask(({ approvals: api }) => api.showConfiguration(project, { mergerequestIId: number })),
    );
    const reviewers = await call.list(({ requests }, page) => requests.showReviewers(project, number, { ...page }));
    const vetoes = reviewers.flatMap((one) => vetoOf(one) ?? []);
    const versions = (
      await call.list(({ requests }, page) => requests.allDiffVersions(project, number, { ...page }))
    ).map(versionOf);
    const { resets, doubts } = await settings(call);
    const accounts = await people.accounts(
      call,
      [...approvals.map(({ by }) => by), ...vetoes].map(({ id }) => id),
    );
    const contributors = await people.contributors(call, commits);
    const teams: Record<string, readonly string[] | undefined> = {};
    for (const name of new Set(names)) teams[name] = await people.team(call, name);
    const again = await show(call, number);
    const newest = versions.find(({ id }) => versions.every((other) => other.id <= id));
    const late = pull.state === 'open' && newest !== undefined && newest.head !== pull.head;
    if (late || again.head !== pull.head || again.state !== pull.state || again.base !== pull.base)
      throw new AdapterError('transient', 'ForgeMoved', `Merge request ${number} changed while it was read.`);
    return {
      pull,
      contributors: [...contributors, ...pushers(notes)],
      reviews: gitlabReviews({
        head: pull.head,
        notes: [...notes].sort((a, b) => a.at - b.at || Number(a.id) - Number(b.id)),
        approvals,
        vetoes,
        versions,
        resets,
        accounts,
        privateEmails: (by) => people.privateEmails(by),
      }),
      teams,
      doubts: commits.some(({ sha }) => sha === pull.head)
        ? doubts
        : [
            ...doubts,
            `GitLab does not tell which commits merge request ${number} has: nobody knows who may not approve.`,
          ],
    };
  }

  async function bringing(call: GitlabCall, path: string): ReturnType<Forge['bringing']> {
    if (/[*?[\]\\]|^:/.test(path))
      throw new AdapterError(
        'rejected',
        'ForgePath',
        `"${path}" has a character that Git takes for a pattern: rename it.`,
      );
    // By its commit: a tag may have the name of the branch.
    const told = fieldsOf(await call.ask(({ branches }) => branches.show(project, branch)), 'the branch');
    const tip = shaOf(fieldsOf(told['commit'], 'the tip of the branch'), 'id', 'the tip of the branch');
    const found = await call.ask(({ commits }) => commits.all(project, { refName: tip, path, page: 1, perPage: 1 }));
    if (Array.isArray(found) && found.length === 0)
      throw new AdapterError('missing', 'ForgeNotFound', `No commit of ${branch} has "${path}".`);
    const last = commitOf(Array.isArray(found) ? found[0] : found).sha;
    const related = await call.list(({ commits }, page) => commits.allMergeRequests(project, last, { ...page }));
    const merged = related
      .map((one) => pullOf(one).pull)
      .filter((one) => one.state === 'merged' && one.base === branch)
      .sort((a, b) => (a.merged?.at ?? 0) - (b.merged?.at ?? 0));
    for (const { number } of merged) {
      // GitLab also names those that once had the commit, in a version that was replaced before the merge.
      const pull = await show(call, number);
      if (await brought(call, pull.number, last, related)) return { commit: last, pull };
    }
    return { commit: last, pull: undefined };
  }

  async function brought(
    call: GitlabCall,
    number: number,
    commit: string,
    related: readonly unknown[],
  ): Promise<boolean> {
    const fields = related.map((one) => fieldsOf(one, 'a merge request')).find((one) => one['iid'] === number) ?? {};
    if (['merge_commit_sha', 'squash_commit_sha', 'sha'].some((name) => fields[name] === commit)) return true;
    return (await commitsOf(call, number)).some(({ sha }) => sha === commit);
  }

  return {
    kind: 'gitlab',
    end: () => calls.end(),
    commentLimit,
    headRef: (number) => `refs/merge-requests/${number}/head`,
    open: async (signal) => (await openPulls(calls.begin(signal))).map(({ pull }) => pull),
    bringing: (path, signal) => bringing(calls.begin(signal), path),
    change: (number, teams, signal) => read(calls.begin(signal), number, teams),
    ...openGitlabWriting({ project, branch, calls, people, open: openPulls }),
  };
}

/** Who pushed while the merge request was open, each once: known by account, whatever the commits say. */
function pushers(notes: readonly Parameters<typeof pusherOf>[0][]): readonly Contributor[] {
  const found = new Map(notes.flatMap((note) => pusherOf(note) ?? []).map((by) => [by.id, by]));
  return [...found.values()].map((account) => ({ account, name: account.name, email: '', role: 'committer' }));
}

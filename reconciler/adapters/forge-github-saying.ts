// What Oakum says on GitHub: its pull requests, its one comment on each, and commit statuses; written only when it differs.
import { AdapterError } from '../model/failure.ts';
import type { Forge } from '../ports.ts';
import type { PullRequest } from '../model/approval.ts';
import { everyPage, pageSize, projectOf, type CallRequest, type GithubClient } from './forge-github-client.ts';
import { pullOf, type GithubPull } from './forge-github-reading.ts';
import { shorten } from './forge-text.ts';
import type { ForgeCall } from './forge-failure.ts';
import type { ForgeOptions } from './forge-options.ts';
import type { Octokit } from 'octokit';

type Saying = Pick<Forge, 'propose' | 'close' | 'comment' | 'status' | 'commentLimit'>;

/** GitHub takes 65,536 characters; it counts some of them differently from us. */
const longestText = 65_000;
const longestTitle = 250;
const longestStatus = 140;

/** Opens the writing half of the port. */
export function openGithubSaying(options: ForgeOptions, client: GithubClient): Saying {
  const project = projectOf(options);
  const { branch: base } = options;
  const writePulls = 'Pull requests: read and write';

  async function openFrom(octokit: Octokit, branch: string, request: CallRequest): Promise<GithubPull | undefined> {
    const head = `${project.owner}:${branch}`;
    const { data } = await octokit.rest.pulls.list({ ...project, state: 'open', head, base, request });
    // Some servers have ignored `head` when they did not understand it.
    return data.find((pull) => pull.head.ref === branch && pull.head.repo?.full_name === pull.base.repo.full_name);
  }

  /** Whether people have said no to exactly this: a pull request from the branch was closed at this commit, and not merged. */
  async function refused(
    octokit: Octokit,
    branch: string,
    commit: string,
    request: CallRequest,
  ): Promise<GithubPull | undefined> {
    const head = `${project.owner}:${branch}`;
    const { data } = await octokit.rest.pulls.list({
      ...project,
      state: 'closed',
      head,
      base,
      sort: 'updated',
      direction: 'desc',
      per_page: 30,
      request,
    });
    return data.find((pull) => pull.head.ref === branch && pull.head.sha === commit && pull.merged_at === null);
  }

  async function bringUpToDate(
    octokit: Octokit,
    pull: GithubPull,
    { title, text }: { readonly title: string; readonly text: string },
    request: CallRequest,
    call: ForgeCall,
  ): Promise<PullRequest> {
    if (pull.title === title && sameText(pull.body ?? '', text)) return pullOf(pull, call);
    const { data } = await octokit.rest.pulls.update({
      ...project,
      pull_number: pull.number,
      title,
      body: text,
      request,
    });
    return pullOf(data, call);
  }

  /** Comments of ours that carry the marker, oldest first: those of other people are left alone, whatever is in them. */
  async function ours(
    octokit: Octokit,
    number: number,
    marker: string,
    login: string,
    request: CallRequest,
    call: ForgeCall,
  ): Promise<readonly { readonly id: number; readonly body?: string }[]> {
    const all = await everyPage(call, (page) =>
      octokit.rest.issues.listComments({ ...project, issue_number: number, per_page: pageSize, page, request }),
    );
    return all.filter((one) => one.user?.login === login && (one.body ?? '').includes(marker));
  }

  return {
    commentLimit: longestText,

    propose: (proposal, signal) =>
      client.call(`propose ${proposal.branch}`, writePulls, signal, async (octokit, request, call) => {
        refuseLong(proposal.text, call);
        const wanted = { title: shorten(proposal.title, longestTitle), text: proposal.text };
        const there = await openFrom(octokit, proposal.branch, request);
        if (there) return bringUpToDate(octokit, there, wanted, request, call);
        const { commit } = proposal;
        const no = commit === undefined ? undefined : await refused(octokit, proposal.branch, commit, request);
        if (no) return pullOf(no, call);
        try {
          const { data } = await octokit.rest.pulls.create({
            ...project,
            title: wanted.title,
            body: wanted.text,
            head: proposal.branch,
            base,
            request: { ...request, retries: 0 },
          });
          return pullOf(data, call);
        } catch (error) {
          // Somebody else was faster, or our own request got through and its answer did not.
          const again = await openFrom(octokit, proposal.branch, request);
          if (again) return bringUpToDate(octokit, again, wanted, request, call);
          throw error;
        }
      }),

    async close(number, why, signal) {
      const login = await client.viewer(signal);
      await client.call(`close pull request ${number}`, writePulls, signal, async (octokit, request, call) => {
        const { data } = await octokit.rest.pulls.get({ ...project, pull_number: number, request });
        const pull = pullOf(data, call);
        if (pull.state !== 'open') return;
        if (pull.fork || !pull.branch.startsWith('oakum/'))
          throw new AdapterError('rejected', 'ForgeNotOurs', `GitHub: pull request ${number} is not one of Oakum's.`);
        const marker = `<!-- oakum:closed ${pull.head} -->`;
        const text = `${why}\n\n${marker}`;
        refuseLong(text, call);
        if ((await ours(octokit, number, marker, login, request, call)).length === 0)
          await octokit.rest.issues.createComment({
            ...project,
            issue_number: number,
            body: text,
            request: { ...request, retries: 0 },
          });
        await octokit.rest.pulls.update({ ...project, pull_number: number, state: 'closed', request });
      });
    },

    async comment(number, marker, text, signal) {
      const login = await client.viewer(signal);
      await client.call(`comment on pull request ${number}`, writePulls, signal, async (octokit, request, call) => {
        const body = text.includes(marker) ? text : `${text}\n\n${marker}`;
        refuseLong(body, call);
        const [first, ...others] = await ours(octokit, number, marker, login, request, call);
        if (first === undefined)
          await octokit.rest.issues.createComment({
            ...project,
            issue_number: number,
            body,
            request: { ...request, retries: 0 },
          });
        else if (!sameText(first.body ?? '', body))
          await octokit.rest.issues.updateComment({ ...project, comment_id: first.id, body, request });
        // Two may have been written when an answer was lost.
        for (const { id } of others) await octokit.rest.issues.deleteComment({ ...project, comment_id: id, request });
      });
    },

    status: (commit, { context, state, text }, signal) =>
      client.call(
        `set ${context} on ${commit}`,
        'Commit statuses: read and write',
        signal,
        async (octokit, request, call) => {
          const description = shorten(text, longestStatus);
          const all = await everyPage(call, async (page) => {
            const answer = await octokit.rest.repos.getCombinedStatusForRef({
              ...project,
              ref: commit,
              per_page: pageSize,
              page,
              request,
            });
            return { data: answer.data.statuses, headers: answer.headers };
          });
          const now = all.find((one) => one.context === context);
          if (now?.state === state && now.description === description) return;
          await octokit.rest.repos.createCommitStatus({
            ...project,
            sha: commit,
            state,
            context,
            description,
            request: { ...request, retries: 0 },
          });
        },
      ),
  };
}

/** GitHub keeps texts with either line end. */
function sameText(one: string, other: string): boolean {
  return one.replaceAll('\r\n', '\n').trimEnd() === other.replaceAll('\r\n', '\n').trimEnd();
}

function refuseLong(text: string, call: ForgeCall): void {
  if (text.length <= longestText) return;
  throw new AdapterError(
    'rejected',
    'ForgeTextTooLong',
    `GitHub (${call.what}): the text has ${text.length} characters, and ${longestText} is the most.`,
  );
}

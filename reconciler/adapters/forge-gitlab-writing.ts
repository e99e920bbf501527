// What Oakum writes on a GitLab: one merge request for each branch of ours, one comment, statuses; each may be said twice.
import type { PullRequest } from '../model/approval.ts';
import { AdapterError } from '../model/failure.ts';
import type { Forge } from '../ports.ts';
import type { GitlabCall, GitlabCalls } from './forge-gitlab-calls.ts';
import type { GitlabPeople } from './forge-gitlab-people.ts';
import { fieldsOf, noteOf, numberOf, pullOf, textOf, type GitlabPull } from './forge-gitlab-shapes.ts';
import { shorten } from './forge-text.ts';

/** GitLab takes a million characters; a page with more than this is not read by people, and GitHub's limit is the same. */
export const commentLimit = 65_536;
/** The column of a title, and of a status. */
const titleLimit = 255;
/** The longest text of a status that the port allows. */
const statusLimit = 140;
/** Stands in the comment that says why a merge request was closed, so that it is said once. */
const closingMarker = '<!-- oakum:closed -->';

export type GitlabWriting = Pick<Forge, 'propose' | 'close' | 'comment' | 'status'>;

/**
 * A text in which no line is a command: GitLab carries out lines such as `/approve` or `/merge` of notes and descriptions with the rights of whoever
 * wrote them (docs.gitlab.com, "GitLab quick actions"), and Oakum repeats what other people wrote in files. A character without width in front of
 * the slash stops that.
 */
export function withoutCommands(text: string): string {
  return text.replace(/(^|[\n\r\u0085\u2028\u2029])([^\S\n\r]*)\/(?=\w)/g, '$1$2\u200b/');
}

export function openGitlabWriting(options: {
  readonly project: string;
  readonly branch: string;
  readonly calls: GitlabCalls;
  readonly people: GitlabPeople;
  /** Open merge requests to our branch. */
  readonly open: (call: GitlabCall) => Promise<readonly GitlabPull[]>;
}): GitlabWriting {
  const { project, branch: base, calls, people } = options;

  async function openFrom(call: GitlabCall, branch: string): Promise<readonly GitlabPull[]> {
    const all = await options.open(call);
    return all.filter(({ pull }) => pull.branch === branch && !pull.fork).sort((a, b) => a.pull.number - b.pull.number);
  }

  /** Whether people have said no to exactly this: a merge request from the branch was closed at this commit, and not merged. */
  async function refused(call: GitlabCall, branch: string, commit: string): Promise<PullRequest | undefined> {
    const closed = await call.list(({ requests }, page) =>
      requests.all({ projectId: project, state: 'closed', sourceBranch: branch, targetBranch: base, ...page }),
    );
    return closed
      .map((one) => pullOf(one).pull)
      .find((pull) => pull.state === 'closed' && pull.branch === branch && pull.head === commit && !pull.fork);
  }

  async function update(call: GitlabCall, found: GitlabPull, title: string, text: string): Promise<PullRequest> {
    const { number } = found.pull;
    if (found.pull.title === title && found.text === text) return found.pull;
    return pullOf(await call.ask(({ requests }) => requests.edit(project, number, { title, description: text }))).pull;
  }

  async function shut(call: GitlabCall, number: number): Promise<void> {
    await call.ask(({ requests }) => requests.edit(project, number, { stateEvent: 'close' }));
  }

  async function writeComment(call: GitlabCall, number: number, marker: string, text: string): Promise<void> {
    const own = await people.own(call);
    const notes = await call.list(({ notes: api }, page) => api.all(project, number, { sort: 'asc', ...page }));
    const ours = notes
      .map(noteOf)
      .filter(({ by, text: said, system }) => !system && by.id === own && said.includes(marker))
      .sort((a, b) => Number(a.id) - Number(b.id));
    const [first, ...others] = ours;
    if (first === undefined) await call.ask(({ notes: api }) => api.create(project, number, text));
    else if (first.text !== text)
      await call.ask(({ notes: api }) => api.edit(project, number, Number(first.id), { body: text }));
    // Two Oakums may have written at the same moment.
    for (const { id } of others) await call.ask(({ notes: api }) => api.remove(project, number, Number(id)));
  }

  return {
    async propose({ branch, title: long, text: said, commit }, signal) {
      const call = calls.begin(signal);
      const title = shorten(long, titleLimit);
      const text = withoutCommands(said);
      const [found] = await openFrom(call, branch);
      if (found !== undefined) return update(call, found, title, text);
      const no = commit === undefined ? undefined : await refused(call, branch, commit);
      if (no !== undefined) return no;
      try {
        await call.ask(({ requests }) => requests.create(project, branch, base, title, { description: text }));
      } catch (error) {
        // Somebody else opened it in this very moment.
        if (!(error instanceof AdapterError) || error.kind !== 'conflict') throw error;
      }
      // The forge looks for another one before it makes ours, but not in one step: of two that were made at once the older one stays.
      const [oldest, ...younger] = await openFrom(call, branch);
      if (oldest === undefined)
        throw new AdapterError('conflict', 'ForgeConflict', `The merge request from ${branch} was closed at once.`);
      for (const { pull } of younger) await shut(call, pull.number);
      return update(call, oldest, title, text);
    },

    async close(number, why, signal) {
      const call = calls.begin(signal);
      const { pull } = pullOf(await call.ask(({ requests }) => requests.show(project, number)));
      if (pull.state !== 'open') return;
      if (!pull.branch.startsWith('oakum/') || pull.fork)
        throw new AdapterError('rejected', 'ForgeNotOurs', `Merge request ${number} is not from a branch of ours.`);
      const text = shorten(withoutCommands(`${closingMarker}\n${why}`), commentLimit);
      await writeComment(call, number, closingMarker, text);
      await shut(call, number);
    },

    async comment(number, marker, text, signal) {
      const whole = withoutCommands(text.includes(marker) ? text : `${marker}\n${text}`);
      if (whole.length > commentLimit)
        throw new AdapterError(
          'rejected',
          'ForgeTextTooLong',
          `A comment of ${whole.length} characters is too long: at most ${commentLimit}.`,
        );
      await writeComment(calls.begin(signal), number, marker, whole);
    },

    async status(commit, { context, state, text }, signal) {
      const call = calls.begin(signal);
      const description = shorten(text, statusLimit);
      const wanted = state === 'failure' || state === 'error' ? 'failed' : state;
      const statuses = await call.list(({ commits }, page) => commits.allStatuses(project, commit, { ...page }));
      const [standing] = statuses
        .map((value) => fieldsOf(value, 'a status'))
        .filter((fields) => textOf(fields, 'name', 'a status') === context)
        .sort((a, b) => numberOf(b, 'id', 'a status') - numberOf(a, 'id', 'a status'));
      const same = standing?.['status'] === wanted;
      if (same && standing['description'] === description) return;
      try {
        await call.ask(({ commits }) => commits.editStatus(project, commit, wanted, { name: context, description }));
      } catch (error) {
        // GitLab refuses to change the text of a status that stays pending; the comment has the same text.
        const stays = error instanceof AdapterError && error.kind === 'rejected' && /transition/i.test(error.message);
        if (!same || !stays) throw error;
      }
    },
  };
}

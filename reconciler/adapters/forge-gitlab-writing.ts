// What Oakum writes on a GitLab: one merge request for each branch of ours, one comment, statuses; each may be said twice.
import type { PullRequest } from '../model/approval.ts';
import { AdapterError } from '../model/failure.ts';
import type { Forge } from '../ports.ts';
import type { GitlabCall, GitlabCalls } from './forge-gitlab-calls.ts';
import type { GitlabPeople } from './forge-gitlab-people.ts';
import { fieldsOf, noteOf, numberOf, pullOf, textOf, type GitlabPull } from './forge-gitlab-shapes.ts';
import { shorten } from './forge-text.ts';
import {
  checkOurs,
  closingMarker,
  commentLimit,
  fromBranch,
  marked,
  refusedAt,
  statusLimit,
  titleLimit,
} from './forge-writing.ts';

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
    return fromBranch(await options.open(call), branch);
  }

  async function refused(call: GitlabCall, branch: string, commit: string): Promise<PullRequest | undefined> {
    const closed = await call.list(({ requests }, page) =>
      requests.all({ projectId: project, state: 'closed', sourceBranch: branch, targetBranch: base, ...page }),
    );
    const pulls = closed.map((one) => pullOf(one).pull);
    return refusedAt(pulls, branch, commit);
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
      checkOurs(pull);
      const text = shorten(withoutCommands(`${closingMarker}\n${why}`), commentLimit);
      await writeComment(call, number, closingMarker, text);
      await shut(call, number);
    },

    async comment(number, marker, text, signal) {
      await writeComment(calls.begin(signal), number, marker, marked(withoutCommands(text), marker));
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

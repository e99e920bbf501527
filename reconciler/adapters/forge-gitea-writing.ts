// What Oakum writes on a Gitea or Forgejo: one pull request for each branch of ours, one comment, statuses; each may be said twice.
import { AdapterError } from '../model/failure.ts';
import type { PullRequest } from '../model/approval.ts';
import type { Forge } from '../ports.ts';
import type { GiteaCall, GiteaCalls } from './forge-gitea-calls.ts';
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
import { fieldsOf, identityOf, numberOf, pullOf, textOf, type GiteaPull } from './forge-gitea-shapes.ts';

export type GiteaWriting = Pick<Forge, 'propose' | 'close' | 'comment' | 'status'>;

/** The account that the token belongs to: only its comments are ours to edit. */
export interface OwnAccount {
  id(call: GiteaCall): Promise<string>;
}

/** Asks once: a token of another account comes with another start. */
export function openOwnAccount(): OwnAccount {
  let own: string | undefined;
  return {
    async id(call) {
      own ??= identityOf(await call.get('/user'), 'our own account').id;
      return own;
    },
  };
}

export function openGiteaWriting(options: {
  readonly repository: string;
  readonly branch: string;
  readonly calls: GiteaCalls;
  readonly account: OwnAccount;
  /** Open pull requests to our branch. */
  readonly open: (call: GiteaCall) => Promise<readonly GiteaPull[]>;
}): GiteaWriting {
  const { repository, branch: base, calls, account } = options;

  async function openFrom(call: GiteaCall, branch: string): Promise<readonly GiteaPull[]> {
    return fromBranch(await options.open(call), branch);
  }

  async function refused(call: GiteaCall, branch: string, commit: string): Promise<PullRequest | undefined> {
    const closed = await call.get(`${repository}/pulls?state=closed&sort=recentupdate&limit=50`);
    if (!Array.isArray(closed))
      throw new AdapterError('transient', 'ForgeNotUnderstood', 'The closed pull requests are not a list.');
    const pulls = closed.map((one: unknown) => pullOf(one).pull);
    return refusedAt(pulls, branch, commit);
  }

  async function update(call: GiteaCall, found: GiteaPull, title: string, text: string): Promise<PullRequest> {
    if (found.pull.title === title && found.text === text) return found.pull;
    const path = `${repository}/pulls/${found.pull.number}`;
    return pullOf(await call.send('PATCH', path, { title, body: text })).pull;
  }

  async function writeComment(call: GiteaCall, number: number, marker: string, text: string): Promise<void> {
    const own = await account.id(call);
    const comments = (await call.list(`${repository}/issues/${number}/comments`)).map((value) => {
      const fields = fieldsOf(value, 'a comment');
      return {
        id: numberOf(fields, 'id', 'a comment'),
        by: identityOf(fields['user'], 'the author of a comment').id,
        body: textOf(fields, 'body', 'a comment'),
      };
    });
    const ours = comments.filter(({ by, body }) => by === own && body.includes(marker)).sort((a, b) => a.id - b.id);
    const [first, ...others] = ours;
    if (first === undefined) await call.send('POST', `${repository}/issues/${number}/comments`, { body: text });
    else if (first.body !== text) await call.send('PATCH', `${repository}/issues/comments/${first.id}`, { body: text });
    // Two Oakums may have written at the same moment.
    for (const { id } of others) await call.send('DELETE', `${repository}/issues/comments/${id}`);
  }

  return {
    async propose({ branch, title: long, text, commit }, signal) {
      const call = calls.begin(signal);
      const title = shorten(long, titleLimit);
      const [found] = await openFrom(call, branch);
      if (found !== undefined) return update(call, found, title, text);
      const no = commit === undefined ? undefined : await refused(call, branch, commit);
      if (no !== undefined) return no;
      try {
        await call.send('POST', `${repository}/pulls`, { head: branch, base, title, body: text });
      } catch (error) {
        // Somebody else opened it in this very moment.
        if (!(error instanceof AdapterError) || error.kind !== 'conflict') throw error;
      }
      // The forge looks for another one before it makes ours, but not in one step: of two that were made at once the older one stays.
      const [oldest, ...younger] = await openFrom(call, branch);
      if (oldest === undefined)
        throw new AdapterError('conflict', 'ForgeConflict', `The pull request from ${branch} was closed at once.`);
      for (const { pull } of younger) {
        const path = `${repository}/pulls/${pull.number}`;
        await call.send('PATCH', path, { state: 'closed' }).catch(async (error: unknown) => {
          // The other one closes it in this very moment, and one of us is turned away (500).
          if (pullOf(await call.get(path)).pull.state === 'open') throw error;
        });
      }
      return update(call, oldest, title, text);
    },

    async close(number, why, signal) {
      const call = calls.begin(signal);
      const { pull } = pullOf(await call.get(`${repository}/pulls/${number}`));
      if (pull.state !== 'open') return;
      checkOurs(pull);
      await writeComment(call, number, closingMarker, shorten(`${closingMarker}\n${why}`, commentLimit));
      await call.send('PATCH', `${repository}/pulls/${number}`, { state: 'closed' });
    },

    async comment(number, marker, text, signal) {
      await writeComment(calls.begin(signal), number, marker, marked(text, marker));
    },

    async status(commit, { context, state, text }, signal) {
      const call = calls.begin(signal);
      const description = shorten(text, statusLimit);
      const statuses = await call.list(
        `${repository}/commits/${commit}/status`,
        {},
        {
          // Without any status the field is null.
          pick: (answer) => fieldsOf(answer, 'the status of a commit')['statuses'] ?? [],
        },
      );
      const standing = statuses
        .map((value) => fieldsOf(value, 'a status'))
        .find((fields) => textOf(fields, 'context', 'a status') === context);
      if (standing?.['status'] === state && standing['description'] === description) return;
      await call.send('POST', `${repository}/statuses/${commit}`, { context, state, description });
    },
  };
}

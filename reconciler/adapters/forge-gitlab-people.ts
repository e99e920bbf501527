// Accounts of a GitLab: what their own pages say, who is behind a mail address, and who is in a group.
import type { Contributor, Identity } from '../model/approval.ts';
import { AdapterError } from '../model/failure.ts';
import type { Log } from '../ports.ts';
import { contributorsOf } from './forge-contributors.ts';
import { notUnderstood } from './forge-failure.ts';
import type { GitlabCall } from './forge-gitlab-calls.ts';
import {
  accountOf,
  fieldsOf,
  identityOf,
  numberOf,
  type GitlabAccount,
  type GitlabCommit,
} from './forge-gitlab-shapes.ts';

/** People with a similar name or address; more are not looked at. */
const mostCandidates = 20;

export interface GitlabPeople {
  /** The account that the token belongs to. */
  own(call: GitlabCall): Promise<string>;
  /** Accounts with what their own pages say, by id; one that is gone is left out. */
  accounts(call: GitlabCall, ids: Iterable<string>): Promise<ReadonlyMap<string, GitlabAccount>>;
  /** Everybody whom the commits name; an account where the address is public, or one that GitLab gave out itself. */
  contributors(call: GitlabCall, commits: readonly GitlabCommit[]): Promise<readonly Contributor[]>;
  /** Ids of the members of a group (`@group/subgroup`), inherited ones too; undefined when it cannot be read, or is gone. */
  team(call: GitlabCall, team: string): Promise<readonly string[] | undefined>;
  /** The addresses that GitLab gives to an account itself (docs.gitlab.com, "Use an automatically-generated private commit email"). */
  privateEmails(by: Identity): readonly string[];
}

export function openGitlabPeople(api: string, log: Log): GitlabPeople {
  const host = new URL(api).hostname;
  let own: string | undefined;

  async function account(call: GitlabCall, id: string): Promise<GitlabAccount | undefined> {
    const answer = await call.find(({ users }) => users.show(Number(id)));
    return answer === undefined ? undefined : accountOf(answer);
  }

  async function behind(call: GitlabCall, email: string): Promise<Identity | undefined> {
    const given = /^(\d+)-[^@]+@users\.noreply\.([^@]+)$/.exec(email);
    if (given?.[1] !== undefined && given[2] === host) return account(call, given[1]);
    // The answer has people whose names are alike, too: only the address itself, on the account's own page, is believed.
    // No page is asked for: GitLab's description says that this list goes by keys since 17.0, and such answers do not number their pages.
    const search = await call.ask(({ users }) => users.all({ search: email, perPage: mostCandidates, maxPages: 1 }));
    if (!Array.isArray(search))
      throw notUnderstood({ forge: 'GitLab', what: 'search an account', needs: '' }, 'no list');
    for (const one of search as unknown[]) {
      const found = await account(call, identityOf(one, 'an account').id);
      if (found?.email === email) return found;
    }
    return undefined;
  }

  return {
    privateEmails: ({ id, name }) => [`${id}-${name.toLowerCase()}@users.noreply.${host}`],
    async own(call) {
      own ??= identityOf(await call.ask(({ users }) => users.showCurrentUser()), 'our own account').id;
      return own;
    },
    async accounts(call, ids) {
      const found = new Map<string, GitlabAccount>();
      for (const id of new Set(ids)) {
        const one = await account(call, id);
        if (one !== undefined) found.set(id, one);
      }
      return found;
    },
    async contributors(call, commits) {
      const nobody = () => undefined;
      const written = commits.map(({ author, committer, message }) => ({
        author: { ...author, account: undefined },
        committer: { ...committer, account: undefined },
        message,
      }));
      const accounts = new Map<string, Identity | undefined>();
      for (const { email } of contributorsOf(written, nobody))
        if (email !== '' && !accounts.has(email)) {
          const found = await behind(call, email);
          accounts.set(email, found === undefined ? undefined : { id: found.id, name: found.name, bot: found.bot });
        }
      return contributorsOf(written, (email) => accounts.get(email));
    },
    async team(call, team) {
      const group = team.replace(/^@/, '');
      if (group === '') return undefined;
      try {
        const entries = await call.list(({ members }, page) => members.all(group, { includeInherited: true, ...page }));
        const active = entries
          .map((one) => fieldsOf(one, `a member of ${team}`))
          .filter((one) => one['state'] === 'active' && one['membership_state'] !== 'awaiting');
        return [...new Set(active.map((one) => String(numberOf(one, 'id', `a member of ${team}`))))];
      } catch (error) {
        // A token that may not see the group, and a group that is gone, are for the judgement: it knows that it knows nothing.
        if (!(error instanceof AdapterError) || (error.kind !== 'missing' && error.kind !== 'denied')) throw error;
        log.warn({ team, error: error.message }, 'the members of a group cannot be read');
        return undefined;
      }
    },
  };
}

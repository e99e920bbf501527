// Which merged pull request brought a file to the config branch of a Gitea or Forgejo, whatever the style of the merge.
import { AdapterError } from '../model/failure.ts';
import type { Clock } from '../ports.ts';
import { notUnderstood } from './forge-failure.ts';
import type { GiteaCall, Query } from './forge-gitea-calls.ts';
import { commitEntryOf, commitOf, fieldsOf, pullOf, type GiteaCommit } from './forge-gitea-shapes.ts';

/** What brought a file: the commit that touched it last, and the number of the pull request, if there was one. */
export interface Bringing {
  readonly commit: string;
  readonly number: number | undefined;
}

export interface GiteaHistory {
  /** AdapterError `missing` when the file was never on the branch. */
  bringing(call: GiteaCall, path: string): Promise<Bringing>;
}

/** Commits between the one in question and the tip of the branch; more are not read. */
const mostCommits = 20_000;
/** Commits of one pull request that was merged by rebase: a longer one is not recognised, and its files count as pushed without one. */
const mostRebased = 100;
/** A commit without a pull request may get one later, by an administrator who marks one as merged by hand. */
const absentMs = 5 * 60_000;
/** Answers that are remembered. */
const mostAnswers = 10_000;

const reading = { forge: 'Gitea', what: 'the history of the branch', needs: '' };
/** Leaves out of commits what is costly to tell. */
const briefly: Query = { stat: false, verification: false, files: false };

/**
 * Gitea tells a merged pull request by the commit that its merge ended with, and by no other
 * (https://docs.gitea.com/api/, `GET /repos/{owner}/{repo}/commits/{sha}/pull`). The commit that touched a file last is another one after
 * a merge commit, and after a rebase of several commits; so the way from it to the tip of the branch is read and followed.
 */
export function openGiteaHistory(options: {
  readonly repository: string;
  readonly branch: string;
  readonly clock: Pick<Clock, 'now'>;
}): GiteaHistory {
  const { repository, branch, clock } = options;
  const answers = new Map<string, { readonly number: number | undefined; readonly at: number }>();
  const absent = new Map<string, number>();
  let knownTip: string | undefined;

  function remember<V>(map: Map<string, V>, key: string, value: V): void {
    map.delete(key);
    map.set(key, value);
    for (const oldest of map.keys()) {
      if (map.size <= mostAnswers) break;
      map.delete(oldest);
    }
  }

  function isFresh(at: number): boolean {
    const age = clock.now() - at;
    return age >= 0 && age < absentMs;
  }

  async function tipOf(call: GiteaCall): Promise<string> {
    const name = branch.split('/').map(encodeURIComponent).join('/');
    const answer = fieldsOf(await call.get(`${repository}/branches/${name}`), 'the branch');
    return commitOf(fieldsOf(answer['commit'], 'the tip of the branch'), 'id', 'the tip of the branch');
  }

  /** Commits that `tip` has and `older` has not, by id. */
  async function between(call: GiteaCall, older: string, tip: string): Promise<ReadonlyMap<string, GiteaCommit>> {
    const query = { ...briefly, sha: tip, not: older };
    const entries = await call.list(`${repository}/commits`, query, { settled: true, most: mostCommits });
    const commits = new Map(entries.map(commitEntryOf).map((one) => [one.sha, one]));
    if (commits.has(older))
      throw new AdapterError(
        'rejected',
        'ForgeTooOld',
        'The forge does not know the parameter "not" of its list of commits: Gitea 1.20 or Forgejo is needed.',
      );
    return commits;
  }

  /** The number of the pull request to our branch whose merge ended with this commit. */
  async function mergedAs(call: GiteaCall, commit: string): Promise<number | undefined> {
    const seen = absent.get(commit);
    if (seen !== undefined && isFresh(seen)) return undefined;
    const answer = await call.find(`${repository}/commits/${commit}/pull`);
    if (answer !== undefined) {
      const { pull } = pullOf(answer);
      if (pull.state === 'merged' && pull.base === branch) return pull.number;
    }
    remember(absent, commit, clock.now());
    return undefined;
  }

  /** Whether the pull request, whose merge ended with the last commit of `run`, brought the first one: `run` follows first parents, oldest first. */
  async function broughtAll(call: GiteaCall, number: number, run: readonly GiteaCommit[]): Promise<boolean> {
    const [first] = run;
    const entries = await call.list(`${repository}/pulls/${number}/commits`, briefly, { settled: true });
    const commits = entries.map(commitEntryOf);
    // A fast-forward keeps the commits as they were.
    if (commits.some(({ sha }) => sha === first?.sha)) return true;
    // A rebase makes them anew, in one line, and keeps author and message of all but the last. A squash makes one, and that is the last.
    if (run.length > commits.length || run.some(({ parents }) => parents.length !== 1)) return false;
    return commits.some((one) => one.authorship === first?.authorship && one.message === first.message);
  }

  async function search(call: GiteaCall, commit: string, tip: string): Promise<number | undefined> {
    const direct = await mergedAs(call, commit);
    if (direct !== undefined || commit === tip) return direct;
    const later = await between(call, commit, tip);
    // The branch as its pushes made it, newest first; it ends at the commit itself or beside it.
    const line: GiteaCommit[] = [];
    let at: string | undefined = tip;
    for (let next = later.get(tip); next !== undefined; next = at === undefined ? undefined : later.get(at)) {
      line.push(next);
      at = next.parents[0];
    }
    const climb = line.reverse();
    if (at !== commit) {
      // It came by a merge: the first one on the line that leads back to it.
      const reaching = descendants(commit, later);
      const merge = climb.findIndex(({ sha }) => reaching.has(sha));
      const found = climb[merge];
      if (found === undefined) throw notUnderstood(reading, `no way from ${commit} to ${tip}`);
      const number = await mergedAs(call, found.sha);
      if (number !== undefined) return number;
      return followUp(call, climb.slice(merge));
    }
    const own = await call.get(`${repository}/git/commits/${commit}`, briefly);
    return followUp(call, [commitEntryOf(own), ...climb]);
  }

  /** The first commit of the run belongs to the pull request whose merge ended with a later one of it, or to none. */
  async function followUp(call: GiteaCall, run: readonly GiteaCommit[]): Promise<number | undefined> {
    for (let end = 1; end < Math.min(run.length, mostRebased); end += 1) {
      const last = run[end];
      const number = last === undefined ? undefined : await mergedAs(call, last.sha);
      if (number === undefined) continue;
      return (await broughtAll(call, number, run.slice(0, end + 1))) ? number : undefined;
    }
    return undefined;
  }

  /** What was found stays true while the branch only grows at its end; otherwise it is looked for again. */
  async function follow(call: GiteaCall, tip: string): Promise<void> {
    if (tip === knownTip) return;
    if (knownTip !== undefined && answers.size > 0) {
      const later = await between(call, knownTip, tip);
      let at: string | undefined = tip;
      while (at !== undefined && at !== knownTip) at = later.get(at)?.parents[0];
      if (at !== knownTip) answers.clear();
    }
    knownTip = tip;
  }

  return {
    async bringing(call, path) {
      if (/[*?[\]\\]|^:/.test(path))
        throw new AdapterError(
          'rejected',
          'ForgePath',
          `"${path}" has a character that Git takes for a pattern: rename it.`,
        );
      const tip = await tipOf(call);
      await follow(call, tip).catch(() => {
        // The old tip may be gone after a rewrite; whatever it was, nothing that was found before counts now.
        answers.clear();
        knownTip = tip;
      });
      const found = await call.get(`${repository}/commits`, { ...briefly, sha: tip, path, page: 1, limit: 1 });
      if (!Array.isArray(found) || found.length === 0) throw notUnderstood(reading, `no commits of "${path}"`);
      const { sha: commit } = commitEntryOf(found[0]);
      const known = answers.get(commit);
      if (known !== undefined && (known.number !== undefined || isFresh(known.at)))
        return { commit, number: known.number };
      const number = await search(call, commit, tip);
      remember(answers, commit, { number, at: clock.now() });
      return { commit, number };
    },
  };
}

/** Those of `commits` that lead back to `older`. */
function descendants(older: string, commits: ReadonlyMap<string, GiteaCommit>): ReadonlySet<string> {
  const children = new Map<string, string[]>();
  for (const { sha, parents } of commits.values())
    for (const parent of parents) {
      const list = children.get(parent);
      if (list === undefined) children.set(parent, [sha]);
      else list.push(sha);
    }
  const found = new Set<string>();
  const open = [older];
  for (let next = open.pop(); next !== undefined; next = open.pop())
    for (const child of children.get(next) ?? [])
      if (!found.has(child)) {
        found.add(child);
        open.push(child);
      }
  return found;
}

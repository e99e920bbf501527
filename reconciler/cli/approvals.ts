// The Approvals port: asks the forge who brought a file, what was said about it, and reads what its reviewers saw.
import { createDesire } from '../desired/desired.ts';
import type { Schemas } from '../desired/schema.ts';
import { acceptedRules } from '../model/accepted-rules.ts';
import type {
  ApprovalQuestion,
  ApprovalReading,
  ApprovalReadings,
  HeadContent,
  PullRequest,
} from '../model/approval.ts';
import { closureOf, questionKey } from '../model/approval.ts';
import type { GitHistory } from '../adapters/git.ts';
import { AdapterError } from '../model/failure.ts';
import { teamsOf } from '../plan/judge.ts';
import { demandOf } from './code-owners.ts';
import type { Approvals, Clock, ConfigSnapshot, Forge, Log, ReviewGit } from '../ports.ts';

export interface ApprovalOptions {
  readonly forge: Pick<Forge, 'kind' | 'bringing' | 'change' | 'headRef'>;
  readonly git: Pick<ReviewGit, 'readAt'> & Pick<GitHistory, 'evidence'>;
  readonly schemas: Schemas;
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
  readonly log: Log;
}

/** A reading is asked for anew after this long, milliseconds. */
const freshMs = 20_000;
/** While that takes its time the old one still counts, but no longer than this: a dismissal counts after that at the latest. */
const staleMs = 120_000;
/** A pass waits this long for the forge; what has not come by then is asked on and used by a later pass. */
const patienceMs = 5_000;
/** Heads whose content is remembered: a commit never changes. */
const mostHeads = 50;

/** Opens the port. */
export function openApprovals(options: ApprovalOptions): Approvals & HeadReader {
  return new ForgeApprovals(options);
}

/** Reads what the head of a pull request says about a cluster; undefined when it is no valid configuration of it. */
export interface HeadReader {
  head(pull: Pick<PullRequest, 'head' | 'number'>, cluster: string): Promise<HeadContent | undefined>;
}

class ForgeApprovals implements Approvals, HeadReader {
  private readonly options: ApprovalOptions;
  private readonly known = new Map<string, { readonly reading: ApprovalReading; readonly at: number }>();
  private readonly asking = new Map<string, Promise<void>>();
  private readonly heads = new Map<string, HeadContent | undefined>();

  constructor(options: ApprovalOptions) {
    this.options = options;
  }

  async read(questions: readonly ApprovalQuestion[]): Promise<ApprovalReadings> {
    const { clock } = this.options;
    const wanted = new Map(questions.map((question) => [questionKey(question), question]));
    for (const key of this.known.keys()) if (!wanted.has(key)) this.known.delete(key);
    for (const [key, question] of wanted) {
      const known = this.known.get(key);
      const fresh = known !== undefined && clock.now() - known.at < freshMs && clock.now() >= known.at;
      if (!fresh && !this.asking.has(key)) this.asking.set(key, this.ask(key, question));
    }
    if (this.asking.size > 0) {
      const stop = new AbortController();
      await Promise.race([Promise.all(this.asking.values()), clock.sleep(patienceMs, stop.signal)]);
      stop.abort();
    }
    const readings = new Map<string, ApprovalReading>();
    for (const key of wanted.keys()) {
      const known = this.known.get(key);
      if (known && clock.now() - known.at < staleMs) readings.set(key, known.reading);
    }
    return readings;
  }

  private async ask(key: string, question: ApprovalQuestion): Promise<void> {
    const { clock, log } = this.options;
    const at = clock.now();
    let reading: ApprovalReading;
    try {
      reading = await this.answer(question);
    } catch (error) {
      const known = error instanceof AdapterError;
      const message = known ? error.message : 'unexpected error';
      log[known ? 'info' : 'error'](
        { cluster: question.cluster, path: question.path, ...(known ? { code: error.code } : {}) },
        `approval not read: ${message}`,
      );
      reading = { kind: 'unreadable', message };
    } finally {
      this.asking.delete(key);
    }
    this.known.set(key, { reading, at });
  }

  private async answer(question: ApprovalQuestion): Promise<ApprovalReading> {
    const { forge, git } = this.options;
    const { commit, pull } = await forge.bringing(question.path);
    if (!pull) return { kind: 'direct', commit, message: `commit ${commit.slice(0, 10)}` };
    const past = forge.kind === 'git' ? undefined : await this.notBrought(question.path, commit);
    if (past !== undefined) return past;
    const { ownersAt, path } = question;
    const owners =
      ownersAt === undefined ? undefined : demandOf(await git.readAt({ commit: ownersAt }), forge.kind, [path]);
    const teams = teamsOf({ approvers: question.teams, ...(owners ? { owners } : {}) });
    const change = await forge.change(pull.number, teams);
    const head = await this.head(change.pull, question.cluster);
    return { kind: 'found', change, head, ...(owners ? { owners } : {}) };
  }

  /**
   * Why the commit that the forge names did not bring the file as it is now; undefined: it did. Forges look along whichever parent has the same content (git-log(1), "History
   * Simplification"): a merge that takes a file from an old commit leads them to the reviews of that old one.
   */
  private async notBrought(path: string, named: string): Promise<ApprovalReading | undefined> {
    const { brought, commits, cut } = await this.options.git.evidence(path);
    if ([brought, ...commits].some(({ commit }) => commit === named)) return undefined;
    const merge = brought.commit.slice(0, 10);
    if (cut) return { kind: 'unreadable', message: `the merge ${merge} brought too many commits to look at` };
    return { kind: 'direct', commit: brought.commit, message: `commit ${merge} brought it back from an older one` };
  }

  async head(pull: Pick<PullRequest, 'head' | 'number'>, cluster: string): Promise<HeadContent | undefined> {
    const { forge, git, schemas } = this.options;
    const key = `${pull.head} ${cluster}`;
    if (this.heads.has(key)) return this.heads.get(key);
    const snapshot = await git.readAt({ commit: pull.head, ref: forge.headRef(pull.number) });
    const content = contentOf(snapshot, cluster, schemas);
    this.heads.set(key, content);
    const [oldest] = this.heads.keys();
    if (this.heads.size > mostHeads && oldest !== undefined) this.heads.delete(oldest);
    return content;
  }
}

/** What a snapshot says about one cluster, as an approval is compared with it. */
export function contentOf(snapshot: ConfigSnapshot, cluster: string, schemas: Schemas): HeadContent | undefined {
  const desired = createDesire(schemas)({ ...snapshot, changed: undefined });
  const own = desired.clusters.get(cluster);
  if (own === undefined || own.problems.length > 0) return undefined;
  const folder = `clusters/${cluster}/`;
  const files: Record<string, string> = {};
  for (const [path, { oid }] of snapshot.files)
    if (path.startsWith(folder) || !path.startsWith('clusters/') || /^clusters\/[^/]+\/cluster\.yaml$/.test(path))
      files[path] = oid;
  const rules = acceptedRules(own, desired.fleet);
  return { closure: closureOf(own, desired.fleet, {}), files, ...(rules ? { rules } : {}) };
}

/** What commits of the config branch say about a cluster, as a hash; undefined: it is not valid there. Throws what the Git port throws. */
export function meaningAt(
  git: Pick<ReviewGit, 'readAt'>,
  schemas: Schemas,
): (commit: string, cluster: string) => Promise<string | undefined> {
  return async (commit, cluster) => contentOf(await git.readAt({ commit }), cluster, schemas)?.closure.resolved;
}

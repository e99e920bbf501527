// A forge of a few maps for planner tests: files come to the branch by pull requests that people review, or past them.
import type {
  ApprovalQuestion,
  ApprovalReading,
  Change,
  HeadContent,
  Identity,
  Review,
} from '../../reconciler/model/approval.ts';
import { closureOf } from '../../reconciler/model/approval.ts';
import { acceptedRules } from '../../reconciler/model/accepted-rules.ts';
import type { ClusterDesired } from '../../reconciler/model/desired.ts';
import { aFleet } from './policies.ts';
import type { TinyWorld } from './tiny-world.ts';

export const person = (name: string, more: Partial<Identity> = {}): Identity => ({
  id: `id-${name}`,
  name,
  bot: false,
  ...more,
});

/** A review of the head, unless told otherwise. */
export function review(name: string, more: Partial<Review> = {}): Review {
  return { id: `review-${name}`, by: person(name), emails: [], state: 'Approved', commit: undefined, at: 0, ...more };
}

interface Brought {
  change: Change;
  head: HeadContent;
}

/** The forge of one world: it answers what the planner asks. */
export class Reviewed {
  readonly teams = new Map<string, readonly string[]>();
  /** The forge cannot be reached. */
  down = false;
  private readonly brought = new Map<string, Brought>();
  private readonly world: TinyWorld;
  private count = 0;

  constructor(world: TinyWorld) {
    this.world = world;
    world.reviews = (question) => this.answer(question);
  }

  /** Merges a pull request that brings these wishes; `reviews` without a commit are of its head. */
  merge(
    fields: Partial<ClusterDesired>,
    paths: readonly string[],
    options: {
      readonly author?: string;
      readonly reviews?: readonly Review[];
      readonly seen?: Partial<ClusterDesired>;
    } = {},
  ): number {
    const { world } = this;
    const number = ++this.count;
    const head = `head-${number}`;
    const seen = { ...world.desired, ...fields, ...options.seen };
    world.change(fields);
    const change: Change = {
      pull: {
        forge: 'github',
        number,
        url: `https://forge.test/pulls/${number}`,
        title: 'a change',
        state: 'merged',
        base: 'main',
        branch: 'topic',
        fork: false,
        head,
        author: person(options.author ?? 'mallory'),
        merged: { commit: world.commit, at: world.now, by: person('merger') },
      },
      contributors: [],
      reviews: (options.reviews ?? []).map((one) => ({
        ...one,
        commit: one.commit ?? head,
        at: one.at || world.now - 1,
      })),
      teams: Object.fromEntries(this.teams),
      doubts: [],
    };
    const content = contentOf(seen);
    for (const path of paths) this.brought.set(path, { change, head: content });
    return number;
  }

  /** As {@link merge}, for content that is not on the branch that the world goes by. */
  bring(seen: ClusterDesired, path: string, reviews: readonly Review[]): void {
    const { desired, commit, committedAt } = this.world;
    this.merge({}, [path], { reviews });
    Object.assign(this.world, { desired, commit, committedAt });
    const known = this.brought.get(path);
    if (known) this.brought.set(path, { ...known, head: contentOf(seen) });
  }

  /** Changes what the forge says about the pull request that brought a path. */
  amend(path: string, fields: Partial<Change>): void {
    const known = this.brought.get(path);
    if (!known) throw new Error(`nothing brought ${path}`);
    known.change = { ...known.change, ...fields };
  }

  /** The same of the pull request itself. */
  amendPull(path: string, fields: Partial<Change['pull']>): void {
    const pull = this.brought.get(path)?.change.pull;
    if (pull) this.amend(path, { pull: { ...pull, ...fields } });
  }

  /** Somebody pushes past the pull requests. */
  push(fields: Partial<ClusterDesired>, paths: readonly string[]): void {
    this.world.change(fields);
    for (const path of paths) this.brought.delete(path);
  }

  private answer(question: ApprovalQuestion): ApprovalReading {
    if (this.down) return { kind: 'unreadable', message: 'the forge answered 502' };
    const known = this.brought.get(question.path);
    if (!known) return { kind: 'direct', commit: this.world.commit, message: `commit ${this.world.commit}` };
    return { kind: 'found', change: known.change, head: known.head };
  }
}

function contentOf(desired: ClusterDesired): HeadContent {
  const asked = [...desired.requests, ...desired.runs].map(({ file, oid }) => [file, oid] as const);
  const inputs = desired.inputs.map(({ path, oid }) => [path, oid] as const);
  const rules = acceptedRules(desired, aFleet);
  return {
    closure: closureOf(desired, aFleet, {}),
    ...(rules ? { rules } : {}),
    files: { ...desired.fleetFiles, ...Object.fromEntries([...inputs, ...asked]) },
  };
}

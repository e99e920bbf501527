// What a change of the rules allows that was not allowed before.
import type { AcceptedRules } from '../model/accepted-rules.ts';
import { canonical } from '../model/digest.ts';
import type { Policy } from '../model/policy.ts';
import { loosensRollouts } from './loosening-rollouts.ts';

const doubt = { ignore: 0, oneMore: 1, hold: 2 } as const;
const strictness = { none: 0, merge: 1, review: 2 } as const;

/**
 * One sentence for everything in `after` that is looser than in `before`; none when it is equal or tighter. Whatever cannot be compared counts as
 * looser: a person with the right to agree looks at it.
 */
export function loosens(before: AcceptedRules, after: AcceptedRules): string[] {
  const found: string[] = [];
  const say = (looser: boolean, sentence: string): void => void (looser && found.push(sentence));
  const [old, next] = [before.approval, after.approval];
  say(strictness[next.mode] < strictness[old.mode], `approval.mode goes from ${old.mode} to ${next.mode}`);
  say(
    next.minApprovals < old.minApprovals,
    `approval.minApprovals goes from ${old.minApprovals} to ${next.minApprovals}`,
  );
  const newcomers = missing(next.approvers, old.approvers);
  say(newcomers.length > 0, `approval.approvers gains ${newcomers.join(', ')}`);
  // Who may approve may also object; whoever is taken off the list has no veto any more.
  const leavers = missing(old.approvers, next.approvers);
  say(leavers.length > 0, `approval.approvers loses ${leavers.join(', ')}, who could object`);
  say(old.codeOwners === true && next.codeOwners !== true, 'approval.codeOwners is switched off');
  say(
    doubt[next.unknownAuthors ?? 'oneMore'] < doubt[old.unknownAuthors ?? 'oneMore'],
    `approval.unknownAuthors becomes ${next.unknownAuthors ?? 'oneMore'}`,
  );
  // Windows: without any, every time is open; with some, each new one opens a time.
  say(
    before.windows.length > 0 && (after.windows.length === 0 || lacks(after.windows, before.windows)),
    'windows open at other times',
  );
  say(lacks(before.freezes, after.freezes), 'a freeze is taken away or changed');
  say(before.frozen && !after.frozen, 'the file FREEZE is taken away');
  const lifted = liftedStops(before, after);
  say(lifted.length > 0, `what stops nodes is taken away or changed (${lifted.join(', ')})`);
  say(before.suspended && !after.suspended, 'suspend is lifted');
  say(lacks(before.gates, after.gates), 'a gate is taken away or changed');
  const released = missing(before.hold, after.hold);
  say(released.length > 0, `updates.hold loses ${released.join(', ')}`);
  say(before.holdRuntime && !after.holdRuntime, 'the container runtime is not protected any more');
  say(moreOut(before.concurrency, after.concurrency), 'rollout.concurrency lets more nodes be out at one time');
  say(before.topologyKey !== '' && after.topologyKey !== before.topologyKey, 'rollout.topologyKey changes');
  say(
    before.canary !== undefined &&
      (after.canary === undefined ||
        after.canary.nodes > before.canary.nodes ||
        after.canary.soakMs < before.canary.soakMs),
    'rollout.canary is larger, shorter or gone',
  );
  say(
    after.maxFailures > before.maxFailures,
    `rollout.maxFailures goes from ${before.maxFailures} to ${after.maxFailures}`,
  );
  say(after.allowSingleControlPlane && !before.allowSingleControlPlane, 'a single control plane may be taken down');
  say(after.force && !before.force, 'drain.force is on');
  say(after.forceOnTimeout && !before.forceOnTimeout, 'drain.onTimeout becomes force');
  say(after.deleteEmptyDirData && !before.deleteEmptyDirData, 'drain.deleteEmptyDirData is on');
  say(
    after.maxRebootsPerDay > before.maxRebootsPerDay,
    `reboot.maxPerDay goes from ${before.maxRebootsPerDay} to ${after.maxRebootsPerDay}`,
  );
  say(after.uncordonHalfChanged && !before.uncordonHalfChanged, 'onFailure becomes uncordon');
  say(before.uid !== undefined && after.uid !== before.uid, 'the UID that the cluster is pinned to changes');
  say(after.boot !== '' && after.boot !== before.boot, 'what is done to nodes that join (onBoot) changes');
  // Which key is whose cannot be told from here, so every change is one that lets somebody else speak.
  const keys = changed(before.signers ?? {}, after.signers ?? {});
  say(keys.length > 0, `the keys of those who may sign change (${keys.join(', ')})`);
  return [...found, ...loosensRollouts(before.rollouts, after.rollouts)];
}

/** Files that stopped something and are gone, or stop something else, or for a shorter time; sorted. */
export function liftedStops(before: AcceptedRules, after: AcceptedRules): string[] {
  const now = after.stops ?? {};
  return Object.entries(before.stops ?? {})
    .filter(([path, { what, until = Infinity }]) => {
      const same = now[path];
      return same?.what !== what || (same.until ?? Infinity) < until;
    })
    .map(([path]) => path)
    .sort();
}

/** Paths with another value, sorted. */
function changed(before: Readonly<Record<string, string>>, after: Readonly<Record<string, string>>): string[] {
  const paths = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...paths].filter((path) => before[path] !== after[path]).sort();
}

/** Words of `some` that `all` does not have. */
function missing(some: readonly string[], all: readonly string[]): string[] {
  return some.filter((word) => !all.includes(word));
}

/** Whether something of `some` is not, exactly so, in `all`. */
function lacks(some: readonly unknown[], all: readonly unknown[]): boolean {
  const known = new Set(all.map((one) => canonical(one)));
  return some.some((one) => !known.has(canonical(one)));
}

/** A share and a number cannot be compared, unless the new one is a single node. */
function moreOut(before: Policy['rollout']['concurrency'], after: Policy['rollout']['concurrency']): boolean {
  if (before.kind === after.kind) return after.value > before.value;
  return !(after.kind === 'count' && after.value <= 1);
}

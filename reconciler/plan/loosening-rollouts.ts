// What a change of rollouts, or of the labels that choose clusters for them, allows one cluster that it was not allowed before.
import type { RolloutRules, WaveDemand } from '../model/rollout-rules.ts';

type Rollouts = Readonly<Record<string, RolloutRules>> | undefined;

/**
 * One sentence for everything that lets the cluster begin earlier, or with fewer others having ended well. A new rollout is none: it opens a run, which needs its own
 * approval. Waves are told apart by their names.
 */
export function loosensRollouts(before: Rollouts, after: Rollouts): string[] {
  return Object.entries(before ?? {}).flatMap(([name, old]) => {
    const next = after?.[name];
    if (!next) return [`rollout ${name} does not take this cluster along any more`];
    return between(old, next).map((sentence) => `rollout ${name}: ${sentence}`);
  });
}

function between(old: RolloutRules, next: RolloutRules): string[] {
  const found: string[] = [];
  const say = (looser: boolean, sentence: string): void => void (looser && found.push(sentence));
  say(old.suspended && !next.suspended, 'suspend is lifted');
  say(old.scheduled && !next.scheduled, 'its schedule is gone, so that the policy’s own counts again');
  for (const wave of old.before) found.push(...wavesBetween(wave, next));
  const waited = [...next.before.flatMap(({ clusters }) => clusters), ...next.unclear];
  const gone = old.beside.filter((name) => !next.beside.includes(name) && !waited.includes(name));
  say(gone.length > 0, `${gone.join(', ')} left this cluster's wave`);
  // The failures of a wave are counted in that wave alone: one of ours that goes before us now must hold us by failing, as it did.
  const lenient = next.before.filter(
    ({ clusters, maxFailures }) => maxFailures > 1 && clusters.some((name) => old.beside.includes(name)),
  );
  say(
    lenient.length > 0,
    `clusters of its own wave go before it now, in ${lenient.map(({ name }) => name).join(', ')}, of which one may fail`,
  );
  const lost = old.unclear.filter((name) => !waited.includes(name));
  say(lost.length > 0, `${lost.join(', ')}, whose labels could not be read, is in no wave before`);
  say(next.maxFailures > old.maxFailures, `maxFailures goes from ${old.maxFailures} to ${next.maxFailures}`);
  say(
    old.concurrency !== undefined && (next.concurrency ?? Number.POSITIVE_INFINITY) > old.concurrency,
    `concurrency goes from ${old.concurrency ?? 0} to ${next.concurrency ?? 'all'}`,
  );
  say(old.approval && !next.approval, 'its wave needs no approval any more');
  const gos = next.approved.filter((run) => !old.approved.includes(run));
  say(gos.length > 0, `somebody gives the go for ${gos.join(', ')}`);
  const skipped = next.skip.filter((word) => !old.skip.includes(word));
  say(skipped.length > 0, `it goes on without clusters (${skipped.join(', ')})`);
  return found;
}

/** What is not demanded any more of a wave that goes before. */
function wavesBetween(old: WaveDemand, next: RolloutRules): string[] {
  const now = next.before.find(({ name }) => name === old.name);
  if (!now) return [`wave ${old.name} does not go before any more`];
  const found: string[] = [];
  if (now.soakMs < old.soakMs) found.push(`the soak of wave ${old.name} is shorter`);
  if (now.maxFailures > old.maxFailures)
    found.push(`maxFailures of wave ${old.name} goes from ${old.maxFailures} to ${now.maxFailures}`);
  const left = old.clusters.filter((name) => !now.clusters.includes(name) && !next.unclear.includes(name));
  if (left.length > 0) found.push(`wave ${old.name} loses ${left.join(', ')}`);
  return found;
}

// Folders that name the same cluster: one of them is wrong, and nobody can say which, so both hold.
import type { ClusterDesired } from '../model/desired.ts';
import { sortProblems } from './cluster.ts';
import { problemAt, type InputFile } from './read-file.ts';

/** The clusters whose `spec.uid` another one has, too, each with a problem at its line. */
export function pinnedTwice(
  clusters: ReadonlyMap<string, ClusterDesired>,
  settingsOf: (cluster: string) => InputFile | undefined,
): ClusterDesired[] {
  const names = new Map<string, string[]>();
  for (const { name, settings } of clusters.values())
    if (settings.uid !== undefined) names.set(settings.uid, [...(names.get(settings.uid) ?? []), name]);
  return [...names.values()]
    .filter((twins) => twins.length > 1)
    .flatMap((twins) =>
      twins.flatMap((name) => {
        const [desired, file] = [clusters.get(name), settingsOf(name)];
        if (!desired || !file) return [];
        const others = twins.filter((other) => other !== name).join(', ');
        const message = `${others} has the same uid; a cluster has one folder`;
        return [
          {
            ...desired,
            problems: sortProblems([...desired.problems, problemAt(file, ['spec', 'uid'], message, twinRule)]),
          },
        ];
      }),
    );
}

/** Name of the rule. */
export const twinRule = 'uid';

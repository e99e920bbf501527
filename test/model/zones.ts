// All time zones that the runtime knows, grouped by the rules that they follow from 2020 to 2040.
import { DAY } from '../../reconciler/model/duration.ts';
import { offsetAt } from '../../reconciler/model/wall-clock.ts';

const FIRST = Date.UTC(2020, 0, 1);
const LAST = Date.UTC(2041, 0, 1);

const found = new Map<string, readonly number[]>();

/** The instants of 2020 to 2040 at which the zone's clocks change, ascending. */
export function changesOf(zone: string): readonly number[] {
  const known = found.get(zone);
  if (known !== undefined) return known;
  const changes: number[] = [];
  // Weeks, because no zone changes and changes back within one.
  for (let start = FIRST; start < LAST; start += 7 * DAY) {
    const offset = offsetAt(start, zone);
    if (offsetAt(start + 7 * DAY, zone) === offset) continue;
    let low = start;
    let high = start + 7 * DAY;
    while (high - low > 1000) {
      const middle = Math.floor((low + high) / 2000) * 1000;
      if (offsetAt(middle, zone) === offset) low = middle;
      else high = middle;
    }
    changes.push(high);
  }
  found.set(zone, changes);
  return changes;
}

let groups: readonly { zone: string; same: readonly string[] }[] | undefined;

/** One zone for each distinct set of rules, and the others that follow the same ones. */
export function zonesByRules(): readonly { zone: string; same: readonly string[] }[] {
  if (groups !== undefined) return groups;
  const byRules = new Map<string, { zone: string; same: string[] }>();
  for (const zone of Intl.supportedValuesOf('timeZone')) {
    // Three samples a month tell zones apart cheaply: every rule of these years differs for at least ten days.
    const samples: number[] = [];
    for (let at = FIRST; at < LAST; at += 10 * DAY) samples.push(offsetAt(at, zone));
    const key = samples.join();
    const group = byRules.get(key);
    if (group === undefined) byRules.set(key, { zone, same: [] });
    else group.same.push(zone);
  }
  groups = [...byRules.values()];
  return groups;
}

/** One zone for each set of rules with daylight saving, or another change of clocks. */
export function zonesWithChanges(): readonly string[] {
  return zonesByRules()
    .map(({ zone }) => zone)
    .filter((zone) => changesOf(zone).length > 0);
}

// A maintenance window in words.
import { formatDuration } from '../model/duration.ts';
import { WEEKDAYS } from '../model/wall-clock.ts';
import type { Window } from '../model/window.ts';

/** `Sat and Sun at 00:00 for 6h Europe/Berlin`. */
export function describeWindow(window: Window): string {
  const length = `for ${formatDuration(window.durationMs)} ${window.timeZone}`;
  if ('cron' in window) return `at cron "${window.cron.text}" ${length}`;
  return `${describeDays(window.days)} at ${window.start} ${length}`;
}

function describeDays(days: readonly string[] | undefined): string {
  if (days === undefined || days.length === 0 || days.length === WEEKDAYS.length) return 'every day';
  // Monday first, as people read a week; the week of the wall clock begins on Sunday.
  const week = [...WEEKDAYS.slice(1), ...WEEKDAYS.slice(0, 1)];
  const named: string[] = week.filter((day) => days.includes(day));
  const last = named.pop() ?? '';
  return named.length === 0 ? last : `${named.join(', ')} and ${last}`;
}

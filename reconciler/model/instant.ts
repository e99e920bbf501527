// Instants as text: RFC 3339 for files, a compact stamp for names.

/** RFC 3339 in UTC, to the second. */
export function iso(instant: number): string {
  return `${new Date(instant).toISOString().slice(0, 19)}Z`;
}

/** `20261206-000000`, in UTC: sorts by time and fits into a name. */
export function stamp(instant: number): string {
  return new Date(instant).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
}

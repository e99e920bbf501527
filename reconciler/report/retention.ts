// Which run archives are kept.

/** Archives to delete: all but the newest `keep`. The names of runs begin with their time, so their order is the order of time. */
export function expiredArchives(paths: Iterable<string>, keep: number): string[] {
  return [...paths]
    .filter((path) => /\/runs\/[^/]+\.yaml$/.test(path))
    .sort((a, b) => (nameOf(a) < nameOf(b) ? 1 : -1))
    .slice(Math.max(1, keep))
    .sort();
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

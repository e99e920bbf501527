// What something costs in processor time: a machine that is busy with other things does not count against it.

/** Milliseconds of processor time (user and system) that this process spends in `work`. */
export function cpuMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

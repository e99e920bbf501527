// The promises of parts A to C: where each is shown. A promise about the node's script is shown on real package managers.

/** A test that shows a promise: the file, and the beginning of the test's name in it. */
export interface Shown {
  readonly file: string;
  readonly test: string;
}

/**
 * Every promise by its id, with the tests that show it beside golden scenarios. Those with an empty list must have a scenario whose name
 * begins with their id; the others are shown by what is listed, and may have one.
 */
export const promises: Readonly<Record<string, readonly Shown[]>> = {
  // When a node is patched.
  A1: [],
  A2: [],
  A3: [],
  A4: [],
  A5: [],
  A6: [],
  A7: [],
  A8: [],
  // What is done to a node.
  B1: [
    {
      file: 'os/apt-plan.test.ts',
      test: 'scan finds the security updates, says what stays and why, and changes nothing',
    },
    { file: 'os/apt-plan.test.ts', test: 'the next release among the sources is never taken, with scope %s' },
    { file: 'os/rpm-dnf.test.ts', test: 'scan finds the smallest fixing versions' },
  ],
  B2: [
    {
      file: 'os/apt-plan.test.ts',
      test: 'scope all takes the other pockets and the vendor too, and leaves Kubernetes alone',
    },
    { file: 'os/apt-plan.test.ts', test: '%s never move a protected package or widen the selection' },
    { file: 'os/guards.test.ts', test: 'dnf: a protected package' },
    { file: 'os/guards.test.ts', test: 'zypper: a protected package' },
    {
      file: 'os/host.test.ts',
      test: 'never asks a key server, never turns a signature check off, and holds no package',
    },
  ],
  B3: [],
  B4: [],
  B5: [
    {
      file: 'os/host.test.ts',
      test: 'never asks a key server, never turns a signature check off, and holds no package',
    },
    { file: 'os/apt-patch.test.ts', test: 'installs the plan offline in an empty network' },
    { file: 'os/apt-faults.test.ts', test: 'another package manager at work: waited for with a limit' },
    { file: 'os/apt-faults.test.ts', test: 'a dpkg that was killed in the middle is repaired by the next attempt' },
  ],
  B6: [],
  B7: [],
  B8: [],
  B9: [],
  B10: [],
  B11: [
    {
      file: 'os/host.test.ts',
      test: 'scans, patches and schedules the reboot on its own host; the log is in /var/log',
    },
    { file: 'os/host.test.ts', test: 'without --reboot it only says that one is required' },
  ],
  B12: [],
  B13: [],
  B14: [],
  B15: [],
  B16: [],
  // Which nodes, in which order.
  C1: [],
  C2: [],
  C3: [],
  C4: [],
  C5: [],
  C6: [],
  C7: [],
  C8: [],
  C9: [],
  C10: [],
};

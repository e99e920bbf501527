// Reasons about single updates: how old they are, which exact versions, and who installed them. A part of the closed list.

/** See {@link reasons} in reason.ts. */
export const updateReasons = {
  LockMismatch: {
    about:
      'The exact versions that the first node of the run has installed (`updates.lock`) cannot be had on this node. Nothing was changed.',
    wayOut:
      'Make the mirror keep them. Or abort the run and commit a request: a new run makes a new lock with what the mirror has now.',
  },
  PackageListUnknown: {
    about:
      'The policy judges single packages (`updates.minAge`, `updates.lock`), and the list of the node is not known: it did not fit into the result of its Job (about 170 packages do), and the log of the Job could not be read, or names too many (about 1,000). Nothing is installed without knowing what.',
    wayOut:
      'See whether Oakum may read logs in `os-patch` (`pods/log`). Else bring the node up to date once under a policy without these fields, or split the work: commit requests under a policy whose `updates.include` names a part of the packages.',
  },
  SlaExceeded: {
    about:
      'The oldest pending update of the node was first seen longer ago than `maxAge` allows. It counts also while something keeps the update back.',
    wayOut:
      'See what the node waits for, or commit a request to patch it. `maxAge.openRun: true` opens a run by itself.',
  },
  PatchedOutside: {
    about:
      'A scan found updates installed, or another kernel, although no run of Oakum was at work on the node since the scan before. For information only.',
    wayOut:
      'Nothing, if that was meant (work by hand). An automatic updater on the node works without drain and windows: switch it off.',
  },
  LockPending: {
    about:
      'With `updates.lock`, the first node of a kind (distribution, release, architecture) goes alone: what it installs is the list for the others.',
    wayOut: 'Wait; the node is next in its turn.',
  },
} as const;

// Reasons about package managers and what they answered. A part of the closed list.

/** See {@link reasons} in reason.ts. */
export const packagesReasons = {
  NoSecurityMetadata: {
    about: 'The repositories of the node say nothing about which updates are security updates.',
    wayOut: 'Enable the security repository or its metadata, or set `updates.scope: all`.',
  },
  RepositoryUnavailable: {
    about: 'A package repository cannot be reached, or what it serves is broken or too old.',
    wayOut:
      'The message names the repository and what it answered. Nothing was changed; when it answers again, the next run does it, or commit a request.',
  },
  SignatureInvalid: {
    about: 'A package repository is not signed by a key that the node trusts.',
    wayOut: 'Put the key that the message names on the node. Oakum never fetches keys.',
  },
  PackageLockTimeout: {
    about: 'Another package manager held the lock for too long.',
    wayOut:
      'See which process holds it; automatic updaters are the usual ones. Nothing was changed; when it is gone, the next run does it, or commit a request.',
  },
  DiskFull: {
    about: 'There is not enough space in /, /var or /boot.',
    wayOut:
      'Nothing was changed. Free what the message names, then commit a request (`action: retry` while the run is open).',
  },
  PackageDatabaseBroken: {
    about: 'The package database of the node is broken and could not be repaired.',
    wayOut: 'Repair it on the node (`dpkg --configure -a`, `dnf check`), then commit a request.',
  },
  PlanRefused: {
    about:
      'What the package manager wanted to do is more than the policy allows (a protected package, a removal, another version).',
    wayOut:
      'The message names the package. Nothing was changed. Put it into `updates.exclude`, or solve it on the node by hand.',
  },
  InstallFailed: {
    about: 'Installing failed half-way; the node is changed and not verified.',
    wayOut:
      'The message names the package. Repair the node, then commit a request for it: it is verified before it is uncordoned.',
  },
  BootPatchFailed: {
    about:
      'The node joined the cluster and could not be patched before other work lands on it. `onBoot.onFailure` says whether its taint went or stays; it is due in the next run.',
    wayOut: 'Remove the cause that the message names, then commit a request for the node.',
  },
} as const;

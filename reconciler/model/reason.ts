// The closed list of reasons: one CamelCase word for everything that waits, was skipped, or went wrong.
import { updateReasons } from './reason-updates.ts';

/** What a reason means, and what a person can do. Shown by `oakum why`, in status and in docs/troubleshooting.md. */
export interface ReasonText {
  readonly about: string;
  readonly wayOut: string;
}

const reasonTable = {
  // Waiting: nothing is wrong, or somebody else must act first.
  ConfigInvalid: {
    about: 'A file that this cluster uses has a problem. Nothing new starts and nothing older is used instead.',
    wayOut: 'Run `oakum validate` in the config repository, correct the file at the place it names, and commit.',
  },
  NoPolicy: {
    about: 'The cluster has no policy, so nothing is ever patched.',
    wayOut: 'Commit `clusters/<cluster>/policy.yaml`. `oakum init` shows the smallest one.',
  },
  HistoryRewritten: {
    about: 'The branch was rewound or rewritten: its tip does not descend from the commit accepted last.',
    wayOut: 'Put the branch back, or accept the new history with `oakum accept-rewrite OLD NEW`.',
  },
  HistoryUnknown: {
    about:
      'The history between the commit accepted last and the tip could not be fetched, so a rewrite cannot be ruled out.',
    wayOut: 'Make the Git server reachable with its full history. It recovers by itself.',
  },
  GitUnavailable: {
    about:
      'The config repository cannot be read, so the newest wishes are not known. Nodes under way finish; none starts.',
    wayOut: 'Read the message: it names the address and what the server said. It recovers by itself.',
  },
  LedgerLost: {
    about:
      'The cluster carries marks of Oakum but its ledger is gone, so it is not known what was handled. Nothing is replayed.',
    wayOut: 'Restore the ConfigMaps `oakum-ledger*`, or begin anew with `oakum new-ledger`.',
  },
  LeaseHeldByOther: {
    about: 'Another Oakum holds the Lease of this cluster. Only one acts.',
    wayOut: 'Nothing, if that is meant (a replica). Else stop the other one.',
  },
  HandingOver: {
    about:
      'The node hosts the Oakum that acts. Another one waits for the Lease, and takes it before the node is cordoned.',
    wayOut: 'Wait; when nobody has taken the Lease after two minutes, the node goes as it would without a standby.',
  },
  Suspended: {
    about: 'The policy, the cluster or the fleet says `suspend: true`.',
    wayOut: 'Commit `suspend: false`.',
  },
  Frozen: {
    about:
      'A freeze is in force (a FREEZE file, a freeze of the policy, or the annotation `oakum.dev/freeze` on namespace `os-patch`). No node starts and no reboot is asked for.',
    wayOut: 'Wait for the end of the freeze, or take it away.',
  },
  OutsideWindow: {
    about: 'No maintenance window is open now.',
    wayOut: 'Wait for the next opening, which the message names, or change `windows`.',
  },
  WindowTooShort: {
    about: 'A window is open, but a node is not expected to finish before it closes.',
    wayOut:
      'Wait for the next opening. If no window is long enough for a node, make it longer and abort the run: a run keeps the windows that it began with.',
  },
  AwaitingApproval: {
    about: 'The policy wants an approval for this run and there is none yet.',
    wayOut:
      'Review and merge the proposal. If the message says that the deployment demands more, set `approval.mode` to that.',
  },
  NotApproved: {
    about: 'The run was not approved in time.',
    wayOut: 'Approve the next one earlier, or commit a request.',
  },
  MergedWithoutApproval: {
    about:
      'What is on the branch was merged, or pushed, without the approvals that the rules demand. It is not what counts: nothing is done.',
    wayOut:
      'Commit it again through a pull request and have it approved before it is merged (a request under another name).',
  },
  ApprovalOutdated: {
    about: 'What was approved is not what would be done now: a file that takes part has changed since.',
    wayOut: 'Review and merge the renewed proposal, or commit the request again under another name.',
  },
  ApprovalUnverifiable: {
    about: 'Whether enough of the right people approved cannot be found out. Nothing starts on a doubt.',
    wayOut:
      'The message names what is missing: a forge to ask, a right of the token, names in `approval.approvers`, a setting of the forge, or a forge that answers.',
  },
  BeyondApproval: {
    about: 'The node, or a package on it, is more than was approved for this run.',
    wayOut: 'Wait for the next run, or commit a request for the node.',
  },
  UnsupportedPlatform: {
    about: 'The platform of the cluster manages its own node images; patching in place is refused.',
    wayOut: 'Update the node image through the platform.',
  },
  UnsupportedFeature: {
    about: 'The policy uses a feature that this version does not carry out. Nothing starts rather than ignoring it.',
    wayOut: 'Take the field that the message names out of the policy.',
  },
  ClusterUnhealthy: {
    about:
      'As many nodes are not Ready as may be out, so no run begins; or, for a control-plane node, another one is not Ready or cordoned, or its etcd is not Ready.',
    wayOut: 'Bring the nodes that the message names back.',
  },
  OtherRunActive: {
    about: 'Another run is under way on this cluster, or on this node. Runs that patch never overlap.',
    wayOut: 'Wait for it, or abort it. A paused run is under way, too: it waits for a person.',
  },
  GateBlocked: {
    about: 'A gate of the policy says no, or cannot be read.',
    wayOut:
      'The message names the gate and what it answered. An address must be allowed by the deployment (`--gate-allow`, chart value `gates.allow`).',
  },
  ForeignMaintenance: {
    about: 'Another tool or person is at work on the node.',
    wayOut:
      'Wait until it is done; the message names the tool and its mark. If the work is over, take the mark away. After 24 hours the run ends without the node.',
  },
  Paused: {
    about:
      'The run is paused: as many nodes failed as `rollout.maxFailures` says. Nodes under way finish, no other one starts.',
    wayOut: 'Look at the failed nodes, then commit a request with `action: resume`, `retry` or `abort`.',
  },
  NoRoomInBudget: {
    about: 'As many nodes are out as the policy allows at one time, or a ceiling of the deployment is reached.',
    wayOut:
      'Wait; the node goes when its turn comes. A node that is not Ready or quarantined takes a seat until somebody has seen to it; the message names it.',
  },
  OtherZone: {
    about: 'A node of another zone is under way; nodes of two zones are never out together.',
    wayOut: 'Wait; the node is next in its turn.',
  },
  Soaking: {
    about: 'The rest between two nodes, or after the canary, is not over.',
    wayOut: 'Wait.',
  },
  ControlPlaneWaits: {
    about: 'Control-plane nodes go one at a time, after (or before) all others.',
    wayOut: 'Wait; the node is next in its turn.',
  },
  SingleControlPlane: {
    about: 'The node is the only control-plane node; draining it takes the API server away.',
    wayOut: 'Set `rollout.allowSingleControlPlane: true` if that is acceptable.',
  },
  EtcdUnknown: {
    about:
      'It is not known whether the other members of etcd are healthy, so no control-plane node is taken down: etcd must keep its quorum.',
    wayOut:
      'Look at the etcd pods in kube-system (`kubectl -n kube-system get pods -l component=etcd -o wide`), or at the API server that the message names (`kubectl get --raw /readyz/etcd`).',
  },
  NotReady: {
    about: 'The node is not Ready, so it is not touched.',
    wayOut: 'Bring the node back first.',
  },
  RetryLater: {
    about: 'A step failed for a reason that may pass; it will be tried again.',
    wayOut: 'Wait, or remove the cause that the message names.',
  },
  DisruptionBlocked: {
    about: 'A PodDisruptionBudget does not allow a pod of this node to be evicted now.',
    wayOut: 'The message names the pod and the budget: scale up, or make the budget looser.',
  },
  TwoBudgets: {
    about: 'A pod is covered by two PodDisruptionBudgets; the eviction API refuses that for ever.',
    wayOut: 'Correct the budgets so that each pod has one.',
  },
  UnmanagedPod: {
    about: 'A pod has no controller that would create it again.',
    wayOut: 'Delete the pod, or set `drain.force: true`.',
  },
  LocalData: {
    about: 'A pod keeps data in an emptyDir, which a drain would destroy.',
    wayOut:
      'Move the data, set `drain.deleteEmptyDirData: true`, or name the volume in the annotation `cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes` of the pod.',
  },
  WaitingForMigration: {
    about: 'A virtual machine of KubeVirt leaves the node by live migration.',
    wayOut:
      'Wait. The message names the machine and its migration; one that does not get on is seen in `kubectl get virtualmachineinstancemigrations -A`.',
  },
  VolumesAttached: {
    about: 'The pods have left the node, but volumes that they used are still attached to it.',
    wayOut:
      'Wait; after `drain.timeout` the drain counts as one that did not end. The message names claim and volume, and what the driver says.',
  },
  PodsTerminating: {
    about: 'Evicted pods have not ended yet.',
    wayOut: 'Wait for their grace period; the message names them.',
  },
  HookMissing: {
    about:
      'A hook of the policy is not there: namespace `oakum-hooks` has no suspended CronJob of this name, or it cannot be read.',
    wayOut:
      'The message says what was found. Put the CronJob into namespace `oakum-hooks` with `suspend: true` (the chart makes the namespace with `hooks.enabled`), or take the name out of the policy.',
  },
  // Going on.
  Due: {
    about: 'The run is due and will start as soon as it may.',
    wayOut: 'Wait.',
  },
  NotYet: {
    about: 'Its time has not come: the next slot of the schedule, or `notBefore` of the request, is later.',
    wayOut: 'Wait for the time in the message, or commit a request.',
  },
  Working: {
    about: 'Work on the node is going on.',
    wayOut: 'Wait.',
  },
  WaitingForJob: {
    about: 'A Job is at work on the node, or about to start.',
    wayOut: 'Wait; follow it with `kubectl -n os-patch get jobs`.',
  },
  WaitingForHook: {
    about: 'A hook of the policy is at work for the node.',
    wayOut: 'Wait; follow it with `kubectl -n oakum-hooks get jobs`.',
  },
  WaitingForReboot: {
    about: 'The node was told to reboot and has not come back with a new boot id yet.',
    wayOut: 'Wait; after `reboot.returnTimeout` the run stops.',
  },
  Stabilising: {
    about: 'The node is back with a new boot id and must stay Ready for a while.',
    wayOut: 'Wait.',
  },
  HeldOut: {
    about: 'The node is empty and held out for maintenance by hand, as a request asks.',
    wayOut: 'Wait for the time in the message, or take the file of the request away: the node is then uncordoned.',
  },
  // Ends that are good.
  MaintenanceOver: {
    about: 'The time of a maintenance by hand has passed, or its request was taken away; the node takes pods again.',
    wayOut: 'Nothing to do.',
  },
  Patched: {
    about: 'Updates were installed and verified.',
    wayOut: 'Nothing to do.',
  },
  UpToDate: {
    about: 'There was nothing to install and no reboot to do.',
    wayOut: 'Nothing to do.',
  },
  RebootPending: {
    about: 'Updates are installed, but they need a reboot that the policy does not allow.',
    wayOut: 'Reboot the node, commit a request with `action: reboot`, or set `reboot.when: ifRequired`.',
  },
  Completed: {
    about: 'Every node of the run was handled.',
    wayOut: 'Nothing to do.',
  },
  NothingToDo: {
    about: 'No node had anything to install or to reboot for; or there was nothing that a request could act on.',
    wayOut: 'Nothing to do. The message of a request says what it did not find.',
  },
  NoMatchingNodes: {
    about: 'The policy or the request selects no node.',
    wayOut: 'Check `nodes.selector`, `nodes.exclude`, the label `oakum.dev/patch`, and the names in the request.',
  },
  // Ends that say "not done".
  Excluded: {
    about:
      'The node is left out by the policy, by the label `oakum.dev/patch: disabled`, or because it does not run Linux.',
    wayOut: 'Change the label or the policy if it should be patched.',
  },
  SkippedByPerson: {
    about: 'A person took the node out of the run.',
    wayOut: 'Commit a request for the node to patch it.',
  },
  NodeGone: {
    about: 'The node does not exist any more, or another node has its name.',
    wayOut: 'Nothing; a new node is taken into the run by itself.',
  },
  Missed: {
    about: 'The time was noticed later than `startingDeadline` allows.',
    wayOut: 'Wait for the next slot, or commit a request.',
  },
  Expired: {
    about: 'The run or the request waited longer than it may.',
    wayOut: 'The message says what it waited for. Commit a new request.',
  },
  Aborted: {
    about: 'A person ended the run.',
    wayOut: 'Commit a new request to patch again.',
  },
  Superseded: {
    about: 'The run was proposed for a time that the schedule does not have any more.',
    wayOut: 'Nothing; the next time of the new schedule counts.',
  },
  AlreadyHandled: {
    about: 'A request of this name was handled before; each acts once.',
    wayOut: 'Commit the request under another name.',
  },
  RunFailed: {
    about: 'At least one node failed.',
    wayOut: 'Look at the failed nodes; then commit a request for them.',
  },
  // Faults of a node.
  UnsupportedOS: {
    about: 'The operating system of the node is not one that can be patched in place.',
    wayOut: 'The message names the way for this system. Exclude the node with the label `oakum.dev/patch: disabled`.',
  },
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
  RebootUnsafe: {
    about:
      'A reboot was refused because the node might not come up (unfinished packages, a kernel without its initrd).',
    wayOut: 'Repair what the message names, then commit a request.',
  },
  RebootDidNotHappen: {
    about: 'The node was told to reboot and its boot id did not change.',
    wayOut:
      'Look at the node for what holds a shutdown back, then commit a request for it. It stays cordoned until then.',
  },
  RebootLoop: {
    about: 'The node was rebooted as often as is allowed in 24 hours.',
    wayOut:
      'Find out why it still asks for a reboot. A request for it is carried out when 24 hours have passed, or under a policy with a greater `reboot.maxPerDay`.',
  },
  BootPatchFailed: {
    about:
      'The node joined the cluster and could not be patched before other work lands on it. `onBoot.onFailure` says whether its taint went or stays; it is due in the next run.',
    wayOut: 'Remove the cause that the message names, then commit a request for the node.',
  },
  NotRejoined: {
    about: 'The node did not come back in time after its reboot. The run stops.',
    wayOut:
      'Bring the node back by its console, then commit a request with `action: retry` for it, which proves it anew; or uncordon it and commit one with `action: resume`. While it is cordoned it takes a seat.',
  },
  VerifyFailed: {
    about: 'After the work, the node is not as it should be.',
    wayOut:
      'The message says what is missing. Repair it, then commit a request for the node; it stays cordoned until it is proven, or until you uncordon it.',
  },
  DrainTimeout: {
    about: 'The pods did not leave the node within `drain.timeout`.',
    wayOut:
      'The message names the pods and what holds them. The node was uncordoned; when the cause is gone, the next run does it, or commit a request.',
  },
  NoResult: {
    about: 'The Job ended several times without a result, so it is not known what was done.',
    wayOut: 'Look at the pod and at /var/lib/os-patch on the node, then commit a request for it.',
  },
  HookFailed: {
    about:
      'The Job of a hook failed or did not end in time. Before the node was disturbed: the node is as it was. After it was verified: it stays cordoned.',
    wayOut:
      'The message names the Job: read `kubectl -n oakum-hooks logs job/NAME`, remove the cause, then commit a request: `action: retry` while the run is open, else `patch` for the node.',
  },
  JobNotStarting: {
    about: 'The Job does not get a pod, or the pod does not start.',
    wayOut: 'The message says what the cluster answers (image, PodSecurity, quota, scheduling).',
  },
  ScriptFault: {
    about: 'The patch script ended in a way it should not.',
    wayOut: 'This is a bug: please report it with the message.',
  },
  // Single updates: their age, their exact versions.
  ...updateReasons,
} as const satisfies Record<string, ReasonText>;

/** One word from the closed list. */
export type Reason = keyof typeof reasonTable;

/** Every reason with its explanation. */
export const reasons: Readonly<Record<Reason, ReasonText>> = reasonTable;

/** True for a word of the closed list (for values read back from the ledger). */
export function isReason(word: string): word is Reason {
  return Object.hasOwn(reasonTable, word);
}

/** A "not yet": reason, sentence with the figures, and when to look again (milliseconds since the epoch). */
export interface Hold {
  readonly reason: Reason;
  readonly message: string;
  readonly until: number | undefined;
}

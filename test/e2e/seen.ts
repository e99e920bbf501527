// What stories look at: the status in Git, and the objects of the cluster, as far as they look.

/** One row of a status: where something stands, and why. */
interface SeenRow {
  readonly state: string;
  readonly reason: string;
  readonly message: string;
}

/** What `clusters/<cluster>/status.yaml` says. */
export interface SeenStatus {
  readonly observedCommit: string;
  readonly nodes: readonly {
    readonly name: string;
    readonly phase: string;
    readonly reason: string;
    readonly message: string;
    readonly patchedVersion: string;
    readonly lastError: string;
    readonly pendingUpdates?: number;
  }[];
  readonly runs: readonly (SeenRow & { readonly id: string; readonly counts: Readonly<Record<string, number>> })[];
  readonly requests: readonly (SeenRow & { readonly name: string })[];
}

/** A Node. */
export interface SeenNode {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly unschedulable?: boolean; readonly taints?: readonly { readonly key: string }[] };
}

/** A Job. */
export interface SeenJob {
  readonly metadata: { readonly name: string; readonly annotations: Readonly<Record<string, string>> };
  readonly spec?: {
    readonly template: { readonly metadata: { readonly annotations: Readonly<Record<string, string>> } };
  };
  readonly status?: { readonly active?: number; readonly ready?: number };
}

/** True when some node stands in this phase with this reason. */
export function stands(phase: string, reason: string): (status: SeenStatus) => boolean {
  return (status) => status.nodes.some((node) => node.phase === phase && node.reason === reason);
}

/** True when the request has this state. */
export function answered(name: string, state: string): (status: SeenStatus) => boolean {
  return (status) => status.requests.some((one) => one.name === name && one.state === state);
}

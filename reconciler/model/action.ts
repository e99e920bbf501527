// Action: the closed list of things that Oakum may do to a cluster.

/** Every action may be done twice without doing more; each names the object by UID so that a namesake is never touched. */
export type Action =
  /** Puts the patch script where the Jobs can mount it. */
  | { readonly kind: 'putScript'; readonly name: string; readonly text: string }
  | { readonly kind: 'createJob'; readonly node: string; readonly manifest: JobManifest }
  /** Makes a Job of a suspended CronJob in the namespace of hooks: its template, with nothing added to the containers but these variables. */
  | {
      readonly kind: 'createHookJob';
      readonly node: string;
      /** Name and UID of the CronJob; another one of that name is refused, and so is one that is not suspended. */
      readonly hook: string;
      readonly hookUid: string;
      readonly name: string;
      readonly labels: Readonly<Record<string, string>>;
      readonly annotations: Readonly<Record<string, string>>;
      readonly env: Readonly<Record<string, string>>;
      readonly deadlineSeconds: number;
    }
  /** Deletes a Job and its pods. */
  | { readonly kind: 'deleteJob'; readonly name: string; readonly uid: string }
  /** Sets `unschedulable` and our annotation in one write; refused when the node was cordoned by somebody else since. */
  | { readonly kind: 'cordon'; readonly node: string; readonly uid: string; readonly mark: string }
  /** Takes our annotation and `unschedulable` away in one write; does nothing where our annotation is not there. */
  | { readonly kind: 'uncordon'; readonly node: string; readonly uid: string }
  /** Merges labels and annotations of ours; null removes. */
  | {
      readonly kind: 'markNode';
      readonly node: string;
      readonly uid: string;
      readonly labels: Readonly<Record<string, string | null>>;
      readonly annotations: Readonly<Record<string, string | null>>;
    }
  | { readonly kind: 'removeTaint'; readonly node: string; readonly uid: string; readonly key: string }
  | {
      readonly kind: 'evict';
      readonly node: string;
      readonly namespace: string;
      readonly pod: string;
      readonly uid: string;
      readonly gracePeriodSeconds: number | undefined;
      readonly dryRun: boolean;
    }
  /** Takes back the evacuation of a virtual machine that an eviction of ours began on this node. */
  | {
      readonly kind: 'cancelEvacuation';
      readonly node: string;
      readonly namespace: string;
      /** Name of the VirtualMachineInstance. */
      readonly machine: string;
    }
  /** Deletes a pod past its budget; only where the policy says `onTimeout: force`. */
  | {
      readonly kind: 'deletePod';
      readonly node: string;
      readonly namespace: string;
      readonly pod: string;
      readonly uid: string;
      readonly gracePeriodSeconds: number | undefined;
    }
  /** An Event on a Node, named by its content so that repeating it is harmless. */
  | {
      readonly kind: 'event';
      readonly node: string;
      readonly uid: string;
      readonly type: 'Normal' | 'Warning';
      readonly reason: string;
      readonly message: string;
      /** When it happened, milliseconds since the epoch. */
      readonly at: number;
      /** Makes the name unique: the same key is the same Event. */
      readonly key: string;
    };

/** Key under which the answer to an eviction is remembered: a dry run and the real one are two questions. */
export function evictionKey(podUid: string, dryRun: boolean): string {
  return dryRun ? `${podUid}?` : podUid;
}

/** A Job as it is sent to the API server: metadata and spec of `batch/v1`. */
export interface JobManifest {
  readonly apiVersion: 'batch/v1';
  readonly kind: 'Job';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, unknown>>;
}

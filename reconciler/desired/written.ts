// Configuration as people write it: everything optional, several forms. The schemas in schemas/ allow exactly this.
import type { ClusterSettings, RequestAction } from '../model/desired.ts';
import type { ApprovalRules, DrainRules, Policy, RebootRules, Rollout, Updates } from '../model/policy.ts';
import type { Weekday } from '../model/wall-clock.ts';

/** What every object has. */
export interface Written<Spec> {
  readonly metadata: { readonly name: string };
  readonly spec?: Spec;
}

/** `oakum.yaml`. */
export type WrittenFleet = Written<{
  readonly suspend?: boolean;
  readonly status?: { readonly retentionRuns?: number; readonly interval?: string };
  readonly publisher?: string;
}>;

/** `cluster.yaml`. */
export type WrittenCluster = Written<Partial<ClusterSettings>>;

/** A file in `requests/`. */
export type WrittenRequest = Written<{
  readonly action?: RequestAction;
  readonly nodes?: readonly string[];
  readonly selector?: string;
  readonly notBefore?: string;
  readonly expiresAfter?: string;
  readonly until?: string;
  readonly run?: string;
  readonly reason?: string;
}>;

/** A file in `runs/`: what Oakum proposed. */
export type WrittenRun = Written<{
  readonly cluster: string;
  readonly trigger: string;
  readonly action?: 'patch' | 'reboot';
  readonly notBefore?: string;
  readonly expires?: string;
  readonly digest: string;
  readonly ceiling: {
    readonly nodes: number;
    readonly packages?: readonly string[];
    readonly reboots: number;
    readonly force: boolean;
  };
}>;

/** An approval file as written; who verifies approvals reads it from the history. */
export type WrittenApproval = Written<{
  readonly approver?: string;
  readonly expires?: string;
  readonly files: Readonly<Record<string, string>>;
}>;

/** `accept-rewrite.yaml`. */
export type WrittenRewrite = Written<{
  readonly from: readonly string[];
  readonly to: string;
  readonly reason?: string;
}>;

/** A file in `rollouts/`. */
export type WrittenRollout = Written<{
  readonly suspend?: boolean;
  readonly schedule?: WrittenSchedule;
  readonly start?: string;
  readonly waves: readonly {
    readonly name: string;
    readonly selector?: string;
    readonly clusters?: readonly string[];
    readonly soak?: string;
    readonly maxFailures?: number;
    readonly concurrency?: number;
    readonly approval?: boolean;
  }[];
  readonly approved?: readonly { readonly run: string; readonly wave: string }[];
  readonly skip?: readonly { readonly run: string; readonly cluster: string; readonly reason?: string }[];
}>;

/** A policy of a cluster or a shared one. */
export type WrittenPolicy = Written<WrittenPolicySpec>;

/** A policy's spec. `null` means: as if not written, also where the extended policy has the field. */
export interface WrittenPolicySpec {
  readonly extends?: string;
  readonly suspend?: boolean;
  readonly schedule?: WrittenSchedule | null;
  readonly onBoot?:
    | boolean
    | { readonly enabled?: boolean; readonly timeout?: string; readonly onFailure?: Policy['onBoot']['onFailure'] }
    | null;
  readonly windows?: readonly WrittenWindow[] | null;
  readonly freezes?: readonly WrittenFreeze[] | null;
  readonly nodes?: { readonly selector?: string; readonly exclude?: string } | null;
  readonly updates?: (Partial<Omit<Updates, 'minAgeMs'>> & { readonly minAge?: string }) | null;
  readonly reboot?:
    | (Partial<Pick<RebootRules, 'when' | 'maxPerDay'>> & {
        readonly returnTimeout?: string;
        readonly stableFor?: string;
      })
    | null;
  readonly drain?:
    | (Partial<Pick<DrainRules, 'when' | 'onTimeout' | 'deleteEmptyDirData' | 'force'>> & {
        readonly timeout?: string;
        readonly gracePeriod?: string;
        readonly skipPods?: string;
      })
    | null;
  readonly rollout?:
    | (Partial<Pick<Rollout, 'topologyKey' | 'maxFailures' | 'controlPlane' | 'allowSingleControlPlane'>> & {
        readonly concurrency?: number | string;
        readonly canary?: { readonly nodes?: number; readonly soak?: string } | null;
        readonly soak?: string;
      })
    | null;
  readonly scan?: { readonly every?: string } | null;
  readonly maxAge?: string | { readonly after: string; readonly openRun?: boolean } | null;
  readonly gates?: readonly WrittenGate[] | null;
  readonly approval?: (Partial<Omit<ApprovalRules, 'leadTimeMs'>> & { readonly leadTime?: string }) | null;
  readonly hooks?: { readonly before?: readonly string[]; readonly after?: readonly string[] } | null;
  readonly strategy?: Policy['strategy'];
  readonly onFailure?: Policy['onFailure'];
}

/** `spec.schedule`. */
export interface WrittenSchedule {
  readonly preset?: 'weekly' | 'biweekly' | 'monthly' | 'bimonthly' | 'custom';
  readonly cron?: string;
  readonly at?: string;
  readonly anchor?: string;
  readonly timeZone?: string;
  readonly startingDeadline?: string;
  readonly validFor?: string;
}

/** One of `spec.windows`. */
export interface WrittenWindow {
  readonly days?: readonly Weekday[];
  readonly start?: string;
  readonly cron?: string;
  readonly duration: string;
  readonly timeZone?: string;
}

/** One of `spec.freezes`. */
export interface WrittenFreeze {
  readonly from?: string;
  readonly to?: string;
  readonly cron?: string;
  readonly duration?: string;
  readonly timeZone?: string;
  readonly reason?: string;
}

/** One of `spec.gates`. */
export interface WrittenGate {
  readonly prometheus?: {
    readonly url: string;
    readonly alerts?: { readonly ignore?: readonly string[]; readonly only?: readonly string[] };
    readonly query?: string;
  };
  readonly http?: { readonly url: string };
  readonly podSelector?: string;
  readonly quiet?: { readonly for: string };
  readonly namespace?: string;
}

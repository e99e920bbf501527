// What a container "does" on a light node: the shapes between the node and the program that a test gives it.
import { lockAnnotation } from '../../reconciler/model/names.ts';
import type { ApiObject } from './api.ts';

/** A pod as far as light nodes and programs look. */
export interface LabPod extends ApiObject {
  readonly spec: {
    readonly nodeName?: string;
    readonly restartPolicy?: 'Always' | 'OnFailure' | 'Never';
    readonly terminationGracePeriodSeconds?: number;
    readonly containers: readonly {
      readonly name: string;
      readonly image: string;
      readonly command?: readonly string[];
      readonly env?: readonly { readonly name: string; readonly value?: string }[];
    }[];
    readonly volumes?: readonly {
      readonly name: string;
      readonly configMap?: { readonly name: string; readonly optional?: boolean };
    }[];
  };
  readonly status?: { readonly phase?: string };
}

/** How the pod's containers ended. */
export interface ProgramEnd {
  readonly exitCode: number;
  /** Becomes the termination message of every container; the kubelet keeps 4,096 bytes. */
  readonly message?: string;
  /** The node waits so long before it reports the end. */
  readonly durationMs?: number;
}

/** What a program may do with the node under it. */
export interface ProgramNode {
  readonly name: string;
  bootId(): string;
  kernel(): string;
  /** True while the machine has power. */
  up(): boolean;
  /** Goes down now and comes back after `downMs`, with a new boot id; never comes back when `downMs` is undefined. */
  reboot(options: { readonly downMs: number | undefined; readonly kernel?: string }): void;
}

/**
 * Called for each start of a pod that is meant to end (restartPolicy Never or OnFailure). `signal` fires when the containers are killed: the
 * pod was deleted, or the node went down.
 */
export type Program = (pod: LabPod, node: ProgramNode, signal: AbortSignal) => Promise<ProgramEnd>;

/** The value of an environment variable of the pod's first container. */
export function environmentOf(pod: LabPod): Readonly<Record<string, string>> {
  return Object.fromEntries((pod.spec.containers[0]?.env ?? []).map((entry) => [entry.name, entry.value ?? '']));
}

/** What the pod would find in the file of its lock: the annotation that it is mounted from, and only if it is mounted. */
export function lockOf(pod: LabPod): string | undefined {
  const mounted = environmentOf(pod)['OSP_LOCK_FILE'] !== undefined;
  return mounted ? pod.metadata.annotations?.[lockAnnotation] : undefined;
}

// Renders the Job of one step on one node: a fixed template, filled with checked values only.
import type { Action, JobManifest } from '../model/action.ts';
import { digest, jobName } from '../model/digest.ts';
import type { NodeRecord, RunRecord } from '../model/ledger.ts';
import {
  lockAnnotation,
  managedBy,
  managedByLabel,
  nodeNameAnnotation,
  nodeUidLabel,
  runIdAnnotation,
  runLabel,
  stepLabel,
} from '../model/names.ts';
import type { Step } from '../model/node-phase.ts';
import type { PlanSettings } from './input.ts';
import { lockFor } from './lock.ts';

/** Where the Job finds the script; the name changes with the text, so a running Job never sees another one. */
export function scriptName(settings: PlanSettings): string {
  return `oakum-script-${digest(settings.script, 12)}`;
}

/** The run id as the script takes it: at most 63 characters. */
export function scriptRunId(run: RunRecord): string {
  return run.id.length <= 63 ? run.id : `${run.id.slice(0, 52).replace(/[.-]+$/, '')}-${run.hash}`;
}

/** Actions that bring the Job of a step into being: the script first, then the Job. */
export function startJob(run: RunRecord, node: NodeRecord, step: Step, settings: PlanSettings): Action[] {
  return [
    { kind: 'putScript', name: scriptName(settings), text: settings.script },
    { kind: 'createJob', node: node.node, manifest: renderJob(run, node, step, settings) },
  ];
}

/**
 * The Job. It needs root on its node and nothing from the API: no service account token, a read-only root file system, limits, a deadline.
 * `restartPolicy: Never` and `backoffLimit: 0`: a second try is decided by the planner, never by the kubelet (a container that
 * restarts after a reboot would reboot again). Fields of a policy reach the script as environment values only.
 */
export function renderJob(run: RunRecord, node: NodeRecord, step: Step, settings: PlanSettings): JobManifest {
  const name = jobName(step, node.uid, run.id, node.attempt);
  const labels = {
    [managedByLabel]: managedBy,
    [runLabel]: run.hash,
    [nodeUidLabel]: node.uid,
    [stepLabel]: step,
  };
  const lock = lockText(run, node, step);
  const annotations = { [runIdAnnotation]: run.id, [nodeNameAnnotation]: node.node };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace: settings.jobNamespace, labels, annotations },
    spec: {
      backoffLimit: 0,
      completions: 1,
      parallelism: 1,
      podReplacementPolicy: 'Failed',
      activeDeadlineSeconds: Math.ceil(settings.timing.jobDeadlineMs / 1000),
      // A scan's answer is read at once and nobody looks for it later; a thousand nodes would leave a thousand Jobs a day.
      ttlSecondsAfterFinished: step === 'scan' ? 3_600 : 86_400,
      template: {
        // The pod reads the lock from its own annotation: nothing else has to be made, or cleared away afterwards.
        metadata: {
          labels,
          annotations: lock === undefined ? annotations : { ...annotations, [lockAnnotation]: lock },
        },
        spec: podSpec(run, node, step, settings),
      },
    },
  };
}

function podSpec(run: RunRecord, node: NodeRecord, step: Step, settings: PlanSettings): Record<string, unknown> {
  const locked = lockText(run, node, step) !== undefined;
  return {
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 30,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    hostPID: true,
    hostNetwork: true,
    dnsPolicy: 'Default',
    priorityClassName: 'system-node-critical',
    tolerations: [{ operator: 'Exists' }],
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node.node] }] }],
        },
      },
    },
    containers: [
      {
        name: 'patch',
        image: settings.image,
        imagePullPolicy: 'IfNotPresent',
        command: ['/bin/sh', '/oakum/os-patch.sh'],
        env: Object.entries(environment(run, node, step, settings)).map(([key, value]) => ({ name: key, value })),
        securityContext: { privileged: true, runAsUser: 0, readOnlyRootFilesystem: true },
        terminationMessagePath: '/dev/termination-log',
        terminationMessagePolicy: 'File',
        resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '256Mi' } },
        volumeMounts: [
          { name: 'script', mountPath: '/oakum', readOnly: true },
          { name: 'host', mountPath: '/host', mountPropagation: 'HostToContainer' },
          { name: 'scratch', mountPath: '/tmp' },
          ...(locked ? [{ name: 'lock', mountPath: lockFolder, readOnly: true }] : []),
        ],
      },
    ],
    volumes: [
      { name: 'script', configMap: { name: scriptName(settings), defaultMode: 0o444 } },
      { name: 'host', hostPath: { path: '/', type: 'Directory' } },
      { name: 'scratch', emptyDir: { medium: 'Memory', sizeLimit: '16Mi' } },
      ...(locked
        ? [
            {
              name: 'lock',
              downwardAPI: {
                items: [{ path: lockFile, fieldRef: { fieldPath: `metadata.annotations['${lockAnnotation}']` } }],
              },
            },
          ]
        : []),
    ],
  };
}

const lockFolder = '/oakum-lock';
const lockFile = 'versions';

/** The exact versions for this step, a line each; every line was checked when the lock was made. */
function lockText(run: RunRecord, node: NodeRecord, step: Step): string | undefined {
  if (step !== 'download' && step !== 'patch') return undefined;
  const lock = lockFor(run, node);
  return lock && lock.packages.length > 0 ? `${lock.packages.join('\n')}\n` : undefined;
}

/** The script's environment; names and meanings are in docs/patch-script.md. Empty values are left out. */
export function environment(
  run: RunRecord,
  node: NodeRecord,
  step: Step,
  settings: PlanSettings,
): Record<string, string> {
  const { updates } = run.spec.policy;
  const lock = lockText(run, node, step);
  const wanted: Record<string, string> = {
    OSP_MODE: step,
    OSP_RUN_ID: scriptRunId(run),
    OSP_NODE: node.node,
    OSP_ATTEMPT: String(node.scriptAttempt),
    // Everything was fetched before the drain; what is not there now is an error, not a reason to wait for a mirror on an empty node.
    OSP_OFFLINE: step === 'patch' ? 'true' : '',
    OSP_SCOPE: updates.scope,
    OSP_PROTECT_EXTRA: updates.hold.join(' '),
    OSP_HOLD_RUNTIME: String(updates.holdRuntime),
    OSP_INCLUDE: updates.include.join(' '),
    // What a lock names was old enough when the first node installed it.
    OSP_EXCLUDE: [...updates.exclude, ...(lock === undefined ? (node.young ?? []) : [])].join(' '),
    OSP_LOCK_FILE: lock === undefined ? '' : `${lockFolder}/${lockFile}`,
    OSP_RELEASEVER: updates.releasever ?? '',
    OSP_MAX_REBOOTS: step === 'reboot' ? String(run.spec.policy.reboot.maxPerDay) : '',
    OSP_REBOOT_DELAY: step === 'reboot' ? String(Math.ceil(settings.timing.rebootDelayMs / 1000)) : '',
    OSP_EXPECT_BOOT_ID:
      step === 'reboot' || (step === 'verify' && node.rebootAt !== undefined) ? node.bootIdBefore : '',
    ...settings.jobEnv,
  };
  return Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== ''));
}

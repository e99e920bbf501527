// The fields that some kinds have, so that a misspelt one is dropped with a warning, or refused when the client asks for strictness.
import { isRecord, without } from './object.ts';

const TOP = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];
const METADATA =
  'name namespace generateName uid resourceVersion generation creationTimestamp deletionTimestamp deletionGracePeriodSeconds labels annotations ownerReferences finalizers managedFields selfLink'.split(
    ' ',
  );

/** Fields at the top and in the spec, by kind. A kind that is not here takes every field. */
const KNOWN: Record<string, { top: readonly string[]; spec?: readonly string[] }> = {
  ConfigMap: { top: ['apiVersion', 'kind', 'metadata', 'data', 'binaryData', 'immutable'] },
  Secret: { top: ['apiVersion', 'kind', 'metadata', 'data', 'stringData', 'type', 'immutable'] },
  Namespace: { top: TOP, spec: ['finalizers'] },
  Node: {
    top: TOP,
    spec: ['unschedulable', 'taints', 'podCIDR', 'podCIDRs', 'providerID', 'configSource', 'externalID'],
  },
  Lease: {
    top: TOP,
    spec: [
      'holderIdentity',
      'leaseDurationSeconds',
      'acquireTime',
      'renewTime',
      'leaseTransitions',
      'strategy',
      'preferredHolder',
    ],
  },
  PodDisruptionBudget: { top: TOP, spec: ['minAvailable', 'maxUnavailable', 'selector', 'unhealthyPodEvictionPolicy'] },
  Job: {
    top: TOP,
    spec: 'parallelism completions activeDeadlineSeconds podFailurePolicy successPolicy backoffLimit backoffLimitPerIndex maxFailedIndexes selector manualSelector template ttlSecondsAfterFinished completionMode suspend podReplacementPolicy managedBy'.split(
      ' ',
    ),
  },
  Deployment: {
    top: TOP,
    spec: 'replicas selector template strategy minReadySeconds revisionHistoryLimit paused progressDeadlineSeconds'.split(
      ' ',
    ),
  },
};

/** The object without fields that its kind does not have, and the paths of those. */
export function withoutUnknown(
  kind: string,
  object: Record<string, unknown>,
): { object: Record<string, unknown>; unknown: string[] } {
  const known = KNOWN[kind];
  const unknown: string[] = [];
  const strip = (
    record: Record<string, unknown>,
    allowed: readonly string[],
    path: string,
  ): Record<string, unknown> => {
    const extra = Object.keys(record).filter((field) => !allowed.includes(field));
    unknown.push(...extra.map((field) => `${path}${field}`));
    return extra.length === 0 ? record : without(record, ...extra);
  };
  let result = object;
  const { metadata } = object;
  if (isRecord(metadata)) {
    const kept = strip(metadata, METADATA, 'metadata.');
    if (kept !== metadata) result = { ...result, metadata: kept };
  }
  if (known === undefined) return { object: result, unknown };
  result = strip(result, known.top, '');
  const { spec } = result;
  if (known.spec !== undefined && isRecord(spec)) {
    const kept = strip(spec, known.spec, 'spec.');
    if (kept !== spec) result = { ...result, spec: kept };
  }
  return { object: result, unknown };
}

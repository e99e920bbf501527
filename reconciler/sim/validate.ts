// The checks of the API server that a client meets: names, labels, sizes, what may not change, and a few rules of each kind.
import { BUDGETS, CONFIG_MAPS, JOBS, LEASES, NODES, PODS, type Resource } from './kinds.ts';
import {
  type Budget,
  isRecord,
  type Job,
  type KubeObject,
  type NodeObject,
  type Pod,
  type PodSpec,
  same,
  without,
} from './object.ts';
import { badRequest, type Cause, invalid } from './refusal.ts';

const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LABEL_NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const MICRO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$/;

/** Sum of all annotations' keys and values. */
const ANNOTATIONS_BYTES = 256 * 1024;
/** Sum of a ConfigMap's or Secret's data. */
const DATA_BYTES = 1024 * 1024;

const wrong = (field: string, message: string): Cause => ({
  reason: 'FieldValueInvalid',
  message: `Invalid value: ${message}`,
  field,
});
const required = (field: string, message: string): Cause => ({
  reason: 'FieldValueRequired',
  message: `Required value: ${message}`,
  field,
});
const tooLong = (field: string, limit: number): Cause => ({
  reason: 'FieldValueTooLong',
  message: `Too long: may not be more than ${limit} bytes`,
  field,
});

const bytes = (record: unknown): number => {
  let sum = 0;
  if (isRecord(record))
    for (const [key, value] of Object.entries(record))
      sum += Buffer.byteLength(key) + (typeof value === 'string' ? Buffer.byteLength(value) : 0);
  return sum;
};

function qualifiedName(key: string, field: string): Cause[] {
  const parts = key.split('/');
  const name = parts.at(-1) ?? '';
  const prefix = parts.length === 2 ? parts[0] : undefined;
  const bad =
    parts.length > 2 || name.length > 63 || !LABEL_NAME.test(name) || (prefix !== undefined && !SUBDOMAIN.test(prefix));
  return bad
    ? [wrong(field, `"${key}": a qualified name must consist of at most 63 alphanumeric characters, '-', '_' or '.'`)]
    : [];
}

function labelCauses(labels: unknown, field: string): Cause[] {
  if (!isRecord(labels)) return [];
  return Object.entries(labels).flatMap(([key, value]) => {
    const text = typeof value === 'string' ? value : '';
    const causes = qualifiedName(key, field);
    if (text.length > 63) causes.push(wrong(field, `"${text}": must be no more than 63 bytes`));
    else if (text !== '' && !LABEL_NAME.test(text))
      causes.push(
        wrong(
          field,
          `"${text}": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'`,
        ),
      );
    return causes;
  });
}

function metadataCauses(resource: Resource, object: KubeObject): Cause[] {
  const { name, labels, annotations } = object.metadata;
  const causes: Cause[] = [];
  const free = resource.group === 'rbac.authorization.k8s.io';
  if (!free && (name.length > 253 || !SUBDOMAIN.test(name)))
    causes.push(
      wrong(
        'metadata.name',
        `"${name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'`,
      ),
    );
  causes.push(...labelCauses(labels, 'metadata.labels'));
  for (const key of Object.keys(annotations ?? {}))
    causes.push(...qualifiedName(key.toLowerCase(), 'metadata.annotations'));
  if (bytes(annotations) > ANNOTATIONS_BYTES) causes.push(tooLong('metadata.annotations', ANNOTATIONS_BYTES));
  return causes;
}

function podSpecCauses(spec: PodSpec | undefined, field: string): Cause[] {
  if (!isRecord(spec) || !Array.isArray(spec.containers) || spec.containers.length === 0)
    return [required(`${field}.containers`, '')];
  const causes: Cause[] = [];
  for (const [i, container] of spec.containers.entries()) {
    if (typeof container.name !== 'string' || container.name === '')
      causes.push(required(`${field}.containers[${i}].name`, ''));
    if (typeof container.image !== 'string' || container.image === '')
      causes.push(required(`${field}.containers[${i}].image`, ''));
    for (const [m, mount] of (container.volumeMounts ?? []).entries())
      if (!(spec.volumes ?? []).some((volume) => volume.name === mount.name))
        causes.push({
          reason: 'FieldValueNotFound',
          message: `Not found: "${mount.name}"`,
          field: `${field}.containers[${i}].volumeMounts[${m}].name`,
        });
  }
  return causes;
}

function jobCauses(job: Job, previous: Job | undefined): Cause[] {
  const causes = podSpecCauses(job.spec.template?.spec, 'spec.template.spec');
  if (causes.length > 0) return causes;
  const { restartPolicy } = job.spec.template.spec;
  if (restartPolicy !== 'Never' && restartPolicy !== 'OnFailure')
    causes.push(
      restartPolicy === undefined
        ? required('spec.template.spec.restartPolicy', 'valid values: "OnFailure", "Never"')
        : {
            reason: 'FieldValueNotSupported',
            message: `Unsupported value: "${restartPolicy}": supported values: "OnFailure", "Never"`,
            field: 'spec.template.spec.restartPolicy',
          },
    );
  causes.push(...labelCauses(job.spec.template.metadata?.labels, 'spec.template.labels'));
  if (previous !== undefined)
    for (const field of ['template', 'selector', 'completions', 'completionMode', 'podReplacementPolicy'] as const)
      if (
        !same(job.spec[field], previous.spec[field]) &&
        !(field === 'template' && previous.spec.suspend === true && previous.status.startTime === undefined)
      )
        causes.push(wrong(`spec.${field}`, 'field is immutable'));
  return causes;
}

function nodeCauses(node: NodeObject): Cause[] {
  const seen = new Set<string>();
  return (node.spec.taints ?? []).flatMap((taint, i) => {
    const causes: Cause[] = qualifiedName(taint.key, `metadata.taints[${i}].key`);
    if (!['NoSchedule', 'PreferNoSchedule', 'NoExecute'].includes(taint.effect))
      causes.push({
        reason: 'FieldValueNotSupported',
        message: `Unsupported value: "${taint.effect}"`,
        field: `metadata.taints[${i}].effect`,
      });
    const id = `${taint.key} ${taint.effect}`;
    if (seen.has(id))
      causes.push({
        reason: 'FieldValueDuplicate',
        message: `Duplicate value: "${taint.key}"`,
        field: `metadata.taints[${i}]`,
      });
    seen.add(id);
    return causes;
  });
}

function podCauses(pod: Pod, previous: Pod | undefined): Cause[] {
  const causes = podSpecCauses(pod.spec, 'spec');
  if (previous === undefined || causes.length > 0) return causes;
  const fixed = (spec: PodSpec): unknown => ({
    ...without(spec, 'tolerations', 'activeDeadlineSeconds', 'terminationGracePeriodSeconds'),
    containers: spec.containers.map((container) => without(container, 'image')),
  });
  if (!same(fixed(pod.spec), fixed(previous.spec)))
    causes.push({
      reason: 'FieldValueForbidden',
      message:
        'Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
      field: 'spec',
    });
  return causes;
}

/** Refuses (400) what cannot even be decoded: times of a Lease must be MicroTimes to the letter. */
export function checkForm(resource: Resource, object: Record<string, unknown>): void {
  if (resource.storage !== LEASES.storage || !isRecord(object['spec'])) return;
  for (const field of ['renewTime', 'acquireTime']) {
    const value = object['spec'][field];
    if (value === undefined || value === null) continue;
    if (typeof value !== 'string' || !MICRO_TIME.test(value))
      throw badRequest(
        `Lease in version "v1" cannot be handled as a Lease: parsing time ${JSON.stringify(value)} as "2006-01-02T15:04:05.000000Z07:00": cannot parse`,
      );
  }
}

/** Refuses (422) what breaks a rule; `previous` is the object before the write. */
export function checkRules(resource: Resource, object: KubeObject, previous: KubeObject | undefined): void {
  const causes = metadataCauses(resource, object);
  if (previous !== undefined) {
    if (object.metadata.uid !== previous.metadata.uid) causes.push(wrong('metadata.uid', 'field is immutable'));
  }
  switch (resource.storage) {
    case JOBS.storage:
      if (causes.length === 0) causes.push(...jobCauses(object as Job, previous as Job | undefined));
      break;
    case PODS.storage:
      causes.push(...podCauses(object as Pod, previous as Pod | undefined));
      break;
    case NODES.storage:
      causes.push(...nodeCauses(object as NodeObject));
      break;
    case BUDGETS.storage: {
      const { spec } = object as Budget;
      if (isRecord(spec) && spec.minAvailable !== undefined && spec.maxUnavailable !== undefined)
        causes.push(wrong('spec', 'minAvailable and maxUnavailable cannot be both set'));
      break;
    }
    case CONFIG_MAPS.storage:
    case 'secrets':
      if (bytes(object['data']) + bytes(object['binaryData']) > DATA_BYTES)
        causes.push({ ...tooLong('', DATA_BYTES), field: '[]' });
      if (previous?.['immutable'] === true && !same(object['data'], previous['data']))
        causes.push({
          reason: 'FieldValueForbidden',
          message: 'Forbidden: field is immutable when `immutable` is set',
          field: 'data',
        });
      break;
    default:
      break;
  }
  if (causes.length > 0) throw invalid(resource, object.metadata.name, causes);
}

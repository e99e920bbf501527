// Which objects a request or a controller means: label selectors, field selectors, node affinity, tolerations.
import type { KubeObject, LabelSelector, NodeObject, PodSpec, Requirement, Taint, Toleration } from './object.ts';
import { isRecord } from './object.ts';
import { badRequest } from './refusal.ts';

/** Decides for one object. */
export type Matcher = (object: KubeObject) => boolean;

function meets(requirement: Requirement, value: string | undefined): boolean {
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0]);
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0]);
    default:
      return false;
  }
}

/** Whether the labels fit a selector as objects carry it. A missing selector fits nothing, an empty one everything. */
export function selects(selector: LabelSelector | undefined, labels: Record<string, string> = {}): boolean {
  if (selector === undefined) return false;
  return (
    Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value) &&
    (selector.matchExpressions ?? []).every((requirement) => meets(requirement, labels[requirement.key]))
  );
}

const NAME = '[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?';
const KEY = `(?:[a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?${NAME}`;
const SET = new RegExp(`^(${KEY})\\s+(in|notin)\\s*\\(([^()]*)\\)$`);
const EQUALS = new RegExp(`^(${KEY})\\s*(==|=|!=)\\s*(${NAME})?$`);
const EXISTS = new RegExp(`^(!?)\\s*(${KEY})$`);

function requirementOf(term: string): Requirement {
  const set = SET.exec(term);
  if (set !== null) {
    const values = (set[5] ?? '').split(',').map((value) => value.trim());
    return { key: set[1] ?? '', operator: set[4] === 'in' ? 'In' : 'NotIn', values };
  }
  const equals = EQUALS.exec(term);
  if (equals !== null)
    return { key: equals[1] ?? '', operator: equals[4] === '!=' ? 'NotIn' : 'In', values: [equals[5] ?? ''] };
  const exists = EXISTS.exec(term);
  if (exists !== null) return { key: exists[2] ?? '', operator: exists[1] === '!' ? 'DoesNotExist' : 'Exists' };
  throw badRequest(`unable to parse requirement: found '${term}', expected a label requirement`);
}

/** The matcher of a `labelSelector` parameter. Throws a Refusal (400) when it cannot be read. */
export function labelMatcher(text: string): Matcher {
  const terms = text.match(/[^,(]+(\([^)]*\))?/g) ?? [];
  const requirements = terms.map((term) => requirementOf(term.trim()));
  return (object) => requirements.every((requirement) => meets(requirement, object.metadata.labels?.[requirement.key]));
}

/** The fields that the real server can select by, by kind; metadata.name and metadata.namespace work for all. */
const FIELDS: Record<string, readonly string[]> = {
  Pod: [
    'spec.nodeName',
    'spec.restartPolicy',
    'spec.schedulerName',
    'spec.serviceAccountName',
    'spec.hostNetwork',
    'status.phase',
    'status.podIP',
    'status.nominatedNodeName',
  ],
  Node: ['spec.unschedulable'],
  Namespace: ['status.phase'],
  Secret: ['type'],
  Job: ['status.successful'],
  ReplicaSet: ['status.replicas'],
  Event: [
    'involvedObject.kind',
    'involvedObject.namespace',
    'involvedObject.name',
    'involvedObject.uid',
    'involvedObject.apiVersion',
    'involvedObject.resourceVersion',
    'involvedObject.fieldPath',
    'reason',
    'reportingComponent',
    'source',
    'type',
    'regarding.kind',
    'regarding.namespace',
    'regarding.name',
    'regarding.uid',
  ],
};

function fieldOf(object: KubeObject, path: string): string {
  const parts = path.replace(/^regarding\./, 'involvedObject.').split('.');
  let value: unknown = object;
  for (const part of parts) value = isRecord(value) ? value[part] : undefined;
  if (value === undefined || value === null) return path === 'spec.unschedulable' ? 'false' : '';
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

/** The matcher of a `fieldSelector` parameter. Throws a Refusal (400) for a field that the server does not index. */
export function fieldMatcher(kind: string, text: string): Matcher {
  const terms = text.split(',').map((term) => {
    const match = /^([^=!]+)(==|=|!=)(.*)$/.exec(term.trim());
    if (match === null) throw badRequest(`invalid field selector: '${term}'; can't understand '${term}'`);
    const path = match[1] ?? '';
    if (path !== 'metadata.name' && path !== 'metadata.namespace' && !FIELDS[kind]?.includes(path))
      throw badRequest(
        `Unable to find "${kind}" that match label selector "", field selector "${text}": field label not supported: ${path}`,
      );
    return { path, not: match[2] === '!=', value: match[3] ?? '' };
  });
  return (object) => terms.every((term) => (fieldOf(object, term.path) === term.value) !== term.not);
}

/** Whether the pod tolerates the taint (for the time being: seconds are the taint manager's business). */
export function tolerates(tolerations: readonly Toleration[] | undefined, taint: Taint): boolean {
  return (tolerations ?? []).some((toleration) => tolerationFits(toleration, taint));
}

/** Whether this toleration is about this taint. */
export function tolerationFits(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect !== undefined && toleration.effect !== '' && toleration.effect !== taint.effect) return false;
  if (toleration.key === undefined || toleration.key === '') return toleration.operator === 'Exists';
  if (toleration.key !== taint.key) return false;
  return toleration.operator === 'Exists' || (toleration.value ?? '') === (taint.value ?? '');
}

/** Whether nodeSelector and required node affinity allow the pod on the node. */
export function nodeFits(spec: PodSpec, node: NodeObject): boolean {
  const labels = node.metadata.labels ?? {};
  if (!Object.entries(spec.nodeSelector ?? {}).every(([key, value]) => labels[key] === value)) return false;
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (required === undefined) return true;
  return required.nodeSelectorTerms.some((term) => {
    const count = (term.matchExpressions?.length ?? 0) + (term.matchFields?.length ?? 0);
    return (
      count > 0 &&
      (term.matchExpressions ?? []).every((requirement) => meets(requirement, labels[requirement.key])) &&
      (term.matchFields ?? []).every(
        (requirement) => requirement.key === 'metadata.name' && meets(requirement, node.metadata.name),
      )
    );
  });
}

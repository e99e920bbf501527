// What stands between a valid object and the store: namespaces that are missing or going, service accounts, pod security.
import { NAMESPACES, PODS, type Resource, SERVICE_ACCOUNTS } from './kinds.ts';
import { isRecord, type KubeObject, type Pod, type PodSpec } from './object.ts';
import { forbidden, notFound } from './refusal.ts';
import type { World } from './world.ts';

/** What of the pod the named pod security level does not allow; empty when all is well. */
export function podSecurityViolations(level: string | undefined, spec: PodSpec): string[] {
  if (level !== 'baseline' && level !== 'restricted') return [];
  const found: string[] = [];
  const names: string[] = [];
  if (spec.hostPID === true) names.push('hostPID=true');
  if (spec.hostNetwork === true) names.push('hostNetwork=true');
  if (spec.hostIPC === true) names.push('hostIPC=true');
  if (names.length > 0) found.push(`host namespaces (${names.join(', ')})`);
  const paths = (spec.volumes ?? []).filter((volume) => volume.hostPath !== undefined);
  if (paths.length > 0)
    found.push(
      `hostPath volumes (volume${paths.length === 1 ? '' : 's'} ${paths.map((volume) => `"${volume.name}"`).join(', ')})`,
    );
  const privileged = spec.containers.filter((container) => container.securityContext?.privileged === true);
  if (privileged.length > 0)
    found.push(
      `privileged (container ${privileged.map((container) => `"${container.name}"`).join(', ')} must not set securityContext.privileged=true)`,
    );
  if (
    level === 'restricted' &&
    !(isRecord(spec['securityContext']) && spec['securityContext']['runAsNonRoot'] === true)
  )
    found.push('runAsNonRoot != true (pod or containers must set securityContext.runAsNonRoot=true)');
  return found;
}

/** Lets a new object in, or throws a Refusal. Answers with warnings for the client. */
export function admitCreation(world: World, resource: Resource, object: KubeObject): string[] {
  const { namespace, name } = object.metadata;
  if (namespace === undefined) return [];
  const home = world.store.get(NAMESPACES, undefined, namespace);
  if (home === undefined) throw notFound(NAMESPACES, namespace);
  if (home.metadata.deletionTimestamp !== undefined)
    throw forbidden(
      resource,
      name,
      `unable to create new content in namespace ${namespace} because it is being terminated`,
      [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${namespace} is being terminated`,
          field: 'metadata.namespace',
        },
      ],
    );
  const labels = home.metadata.labels ?? {};
  if (resource.storage === PODS.storage) {
    const { spec } = object as Pod;
    const account = spec.serviceAccountName ?? 'default';
    if (world.store.get(SERVICE_ACCOUNTS, namespace, account) === undefined)
      throw forbidden(
        resource,
        name,
        `error looking up service account ${namespace}/${account}: serviceaccount "${account}" not found`,
      );
    const level = labels['pod-security.kubernetes.io/enforce'];
    const violations = podSecurityViolations(level, spec);
    if (violations.length > 0)
      throw forbidden(resource, name, `violates PodSecurity "${level}:latest": ${violations.join(', ')}`);
    return [];
  }
  const template =
    isRecord(object.spec) && isRecord(object.spec['template']) ? object.spec['template']['spec'] : undefined;
  if (!isRecord(template) || !Array.isArray(template['containers'])) return [];
  const level = labels['pod-security.kubernetes.io/warn'] ?? labels['pod-security.kubernetes.io/enforce'];
  const violations = podSecurityViolations(level, template as PodSpec);
  return violations.length === 0 ? [] : [`would violate PodSecurity "${level}:latest": ${violations.join(', ')}`];
}

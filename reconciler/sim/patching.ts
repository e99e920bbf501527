// PATCH in its four forms, apply among them.
import { answer, type Call, found, writeOptions } from './call.ts';
import { applyConfig } from './managers.ts';
import { present } from './new-events.ts';
import { isRecord, type KubeObject, without } from './object.ts';
import { jsonPatch, mergePatch } from './patch.ts';
import { badRequest, conflict, failure, notFound, Refusal } from './refusal.ts';
import type { SimResponse } from './route.ts';
import { strategicPatch } from './strategic.ts';
import { createObject, decode, replaceObject, type WriteOptions } from './writing.ts';

/** The scale of a workload. */
export function scaleOf(object: KubeObject): unknown {
  const replicas = isRecord(object.spec) ? object.spec['replicas'] : 0;
  const { name, namespace, uid, resourceVersion } = object.metadata;
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion },
    spec: { replicas },
    status: { replicas },
  };
}

/** Answers a PATCH. Throws a Refusal: 400, 404, 409 (owners, versions), 415, 422. */
export function patch(call: Call): SimResponse {
  const { world, target, query, body } = call;
  const { resource, namespace, name } = target;
  const type = (call.headers['content-type'] ?? '').split(';')[0]?.trim();
  const options = writeOptions(call);
  if (type === 'application/apply-patch+yaml') return apply(call, options);
  const current = found(call);
  if (target.subresource === 'scale') {
    const patched = mergePatch(scaleOf(current), body);
    const replicas = isRecord(patched) && isRecord(patched['spec']) ? patched['spec']['replicas'] : undefined;
    const next = replaceObject(
      world,
      resource,
      current,
      { ...current, spec: { ...current.spec, replicas } },
      { ...options, subresource: undefined },
    );
    return answer(200, scaleOf(next));
  }
  const shown = present(resource, current);
  const base = { ...shown, metadata: without(shown.metadata, 'managedFields') };
  let result: unknown;
  if (type === 'application/json-patch+json') result = jsonPatch(base, body);
  else if (type === 'application/merge-patch+json') result = mergePatch(base, body);
  else if (type === 'application/strategic-merge-patch+json') result = strategicPatch(base, body);
  else
    throw new Refusal(
      failure(
        415,
        'UnsupportedMediaType',
        `the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml`,
      ),
    );
  if (query.has('force'))
    throw badRequest(
      'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch',
    );
  const decoded = decode(resource, namespace, result, options.fieldValidation);
  if (decoded.object.metadata.name !== name)
    throw badRequest('the name of the object does not match the name on the URL');
  return answer(
    200,
    present(resource, replaceObject(world, resource, current, decoded.object, options)),
    decoded.warnings,
  );
}

function apply(call: Call, given: WriteOptions): SimResponse {
  const { world, target, query } = call;
  const { resource, namespace, name } = target;
  const options = { ...given, applied: true };
  if (!query.has('fieldManager'))
    throw new Refusal(
      failure(
        422,
        'Invalid',
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
        {},
      ),
    );
  const decoded = decode(resource, namespace, call.body, options.fieldValidation);
  if (decoded.object.metadata.managedFields !== undefined) throw badRequest('metadata.managedFields must be nil');
  if (decoded.object.metadata.name !== undefined && decoded.object.metadata.name !== name)
    throw badRequest('the name of the object does not match the name on the URL');
  const live = world.store.get(resource, namespace, name ?? '');
  const config: Record<string, unknown> = { ...decoded.object, metadata: { ...decoded.object.metadata, name } };
  if (live === undefined) {
    if (target.subresource !== undefined) throw notFound(resource, name ?? '');
    // A uid in the configuration says that the object is there already.
    if (decoded.object.metadata.uid !== undefined)
      throw conflict(
        resource,
        name ?? '',
        `uid mismatch: the provided object specified uid ${decoded.object.metadata.uid}, and no existing object was found`,
      );
    const fresh = applyConfig(undefined, config, options.writer, false);
    const written = createObject(world, resource, fresh as unknown as KubeObject, options);
    return answer(201, present(resource, written.object), [...decoded.warnings, ...written.warnings]);
  }
  const merged = applyConfig(live, config, options.writer, query.get('force') === 'true');
  const next = replaceObject(world, resource, live, merged as unknown as KubeObject, options);
  return answer(200, present(resource, next), decoded.warnings);
}

// One request in, one answer out: the verbs of the API over the store.
import { answer, type Call, found, writeOptions } from './call.ts';
import { discover } from './discovery.ts';
import { evictPod } from './eviction.ts';
import { apiVersionOf, PODS } from './kinds.ts';
import { listObjects, matcherOf, type Snapshots } from './listing.ts';
import { present } from './new-events.ts';
import { isRecord, type Pod } from './object.ts';
import { patch, scaleOf } from './patching.ts';
import { badRequest, conflict, failure, noSuchPath, Refusal, success } from './refusal.ts';
import { deleteOptionsOf, removeObject } from './removal.ts';
import { routeOf, type SimRequest, type SimResponse, splitPath } from './route.ts';
import type { World } from './world.ts';
import { createObject, decode, replaceObject } from './writing.ts';

/** The largest body that the server reads. */
const REQUEST_BYTES = 3 * 1024 * 1024;

function read(call: Call): SimResponse {
  const { world, target, query } = call;
  const { resource, namespace, name } = target;
  if (name === undefined) return answer(200, listObjects(world, call.snapshots, resource, namespace, query));
  const object = found(call);
  if (target.subresource === 'log') {
    const whole = world.logs.get(`${namespace ?? ''}/${name}`) ?? '';
    const most = Number(query.get('tailLines') ?? Infinity);
    const lines = whole.split(/(?<=\n)/);
    return {
      status: 200,
      headers: { 'content-type': 'text/plain' },
      body: lines.slice(Math.max(0, lines.length - most)).join(''),
    };
  }
  if (target.subresource === 'scale') return answer(200, scaleOf(object));
  return answer(200, present(resource, object));
}

function create(call: Call): SimResponse {
  const { world, target, body } = call;
  const { resource, namespace, name, subresource } = target;
  if (subresource === 'eviction') return answer(201, evictPod(world, namespace ?? '', name ?? '', body, call.query));
  if (subresource === 'binding') return bind(call);
  if (name !== undefined)
    throw new Refusal(
      failure(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {}),
    );
  const options = writeOptions(call);
  const decoded = decode(resource, namespace, body, options.fieldValidation);
  const written = createObject(world, resource, decoded.object, options);
  return answer(201, present(resource, written.object), [...decoded.warnings, ...written.warnings]);
}

function bind(call: Call): SimResponse {
  const pod = found(call) as Pod;
  const target = isRecord(call.body) && isRecord(call.body['target']) ? call.body['target']['name'] : undefined;
  if (typeof target !== 'string') throw badRequest('target.name is required');
  if (pod.spec.nodeName !== undefined)
    throw conflict(
      PODS,
      pod.metadata.name,
      `pod ${pod.metadata.name} is already assigned to node "${pod.spec.nodeName}"`,
    );
  call.world.store.update(PODS, { ...pod, spec: { ...pod.spec, nodeName: target } });
  return answer(201, success(201));
}

function replace(call: Call): SimResponse {
  const { world, target } = call;
  const options = writeOptions(call);
  const current = found(call);
  const decoded = decode(target.resource, target.namespace, call.body, options.fieldValidation);
  if (decoded.object.metadata.name !== target.name)
    throw badRequest(
      `the name of the object (${decoded.object.metadata.name}) does not match the name on the URL (${target.name ?? ''})`,
    );
  const next = replaceObject(world, target.resource, current, decoded.object, options);
  return answer(200, present(target.resource, next), decoded.warnings);
}

function remove(call: Call): SimResponse {
  const { world, target, query, body } = call;
  const { resource, name, namespace } = target;
  const options = deleteOptionsOf(body, query);
  if (name === undefined) {
    const matches = matcherOf(resource, query);
    const items = world.store.list(resource, namespace).filter(matches);
    for (const object of items) removeObject(world, resource, object, options);
    return answer(200, {
      kind: `${resource.kind}List`,
      apiVersion: apiVersionOf(resource),
      metadata: { resourceVersion: String(world.store.version()) },
      items,
    });
  }
  const object = found(call);
  const removal = removeObject(world, resource, object, options);
  const warn = resource.storage === 'jobs.batch' && options.propagationPolicy === undefined;
  const warnings = warn
    ? [
        'child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning',
      ]
    : [];
  const { group, plural } = resource;
  if (!removal.gone || resource.storage === PODS.storage)
    return answer(200, present(resource, removal.object), warnings);
  return answer(
    200,
    success(200, { name, ...(group === '' ? {} : { group }), kind: plural, uid: object.metadata.uid }),
    warnings,
  );
}

function bodyOf(request: SimRequest): unknown {
  if (typeof request.body !== 'string') return request.body;
  if (Buffer.byteLength(request.body) > REQUEST_BYTES)
    throw new Refusal(failure(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${REQUEST_BYTES}`, {}));
  if (request.body === '') return undefined;
  try {
    return JSON.parse(request.body) as unknown;
  } catch {
    throw badRequest('the object provided is unrecognized: it is not JSON');
  }
}

const VERBS: Record<string, (call: Call) => SimResponse> = {
  GET: read,
  POST: create,
  PUT: replace,
  PATCH: patch,
  DELETE: remove,
};

/** Answers one request that is not a watch. Refusals become Status answers; anything else thrown is a fault of the simulation. */
export function handleRequest(world: World, snapshots: Snapshots, request: SimRequest): SimResponse {
  const { path, query } = splitPath(request.path);
  try {
    const document = request.method === 'GET' ? discover(world.resources, path) : undefined;
    if (document !== undefined) return document;
    const target = routeOf(world.resources, path);
    if (target === undefined) throw noSuchPath();
    const headers = Object.fromEntries(
      Object.entries(request.headers ?? {}).map(([key, value]) => [key.toLowerCase(), value]),
    );
    const verb = VERBS[request.method];
    if (verb === undefined)
      throw new Refusal(
        failure(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {}),
      );
    return verb({ world, snapshots, target, query, headers, body: bodyOf(request) });
  } catch (error) {
    if (error instanceof Refusal) return refusalAnswer(error);
    throw error;
  }
}

/** A refusal as an answer. */
export function refusalAnswer(refusal: Refusal): SimResponse {
  const response = answer(refusal.status.code, refusal.status);
  const seconds = refusal.status.details?.retryAfterSeconds;
  return seconds === undefined
    ? response
    : { ...response, headers: { ...response.headers, 'retry-after': String(seconds) } };
}

// Writes as the API does them: create, replace, apply, with versions, generations, owners of fields, and dry runs.
import { admitCreation } from './admission.ts';
import { hasGeneration, withDefaults } from './defaults.ts';
import { apiVersionOf, type Resource } from './kinds.ts';
import { withoutUnknown } from './known-fields.ts';
import { noteUpdate, type Writer } from './managers.ts';
import { stored } from './new-events.ts';
import { freeze, isRecord, type KubeObject, same, without } from './object.ts';
import { alreadyExists, badRequest, failure, invalid, Refusal, stale } from './refusal.ts';
import { checkForm, checkRules } from './validate.ts';
import { timeOf, type World } from './world.ts';

/** How a write is meant. */
export interface WriteOptions {
  writer: Writer;
  dryRun: boolean;
  /** Strict, Warn or Ignore. */
  fieldValidation: string;
  subresource: string | undefined;
  /** True for apply, which keeps the books of owners itself. */
  applied: boolean;
}

/** What a write gave. */
export interface Written {
  object: KubeObject;
  warnings: string[];
}

/** The request's body as an object of that resource: known fields only, decoded, with name and namespace in their place. */
export function decode(
  resource: Resource,
  namespace: string | undefined,
  body: unknown,
  fieldValidation: string,
): { object: KubeObject; warnings: string[] } {
  if (!isRecord(body)) throw badRequest('the object provided is unrecognized (must be of type Object)');
  const apiVersion = apiVersionOf(resource);
  const given = { apiVersion, kind: resource.kind, ...body };
  if (given.apiVersion !== apiVersion || given.kind !== resource.kind)
    throw badRequest(
      `${String(given.kind)} in version "${String(given.apiVersion)}" cannot be handled as a ${resource.kind}: the API version in the data (${String(given.apiVersion)}) does not match the expected API version (${apiVersion})`,
    );
  checkForm(resource, given);
  const { object, unknown } = withoutUnknown(resource.kind, given);
  if (unknown.length > 0 && fieldValidation === 'Strict')
    throw badRequest(
      `${resource.kind} in version "${resource.version}" cannot be handled as a ${resource.kind}: strict decoding error: ${unknown.map((field) => `unknown field "${field}"`).join(', ')}`,
    );
  const metadata = isRecord(object['metadata']) ? object['metadata'] : {};
  const inBody = metadata['namespace'];
  if (resource.namespaced && inBody !== undefined && inBody !== '' && inBody !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  const clean = { ...metadata, ...(resource.namespaced ? { namespace } : {}) };
  const typed = {
    ...object,
    metadata: resource.namespaced ? clean : without(clean, 'namespace'),
  } as unknown as KubeObject;
  const warnings = fieldValidation === 'Ignore' ? [] : unknown.map((field) => `unknown field "${field}"`);
  return { object: stored(resource, typed), warnings };
}

/** Creates. Throws a Refusal: 400, 403, 404 (namespace), 409 (exists), 422. */
export function createObject(world: World, resource: Resource, given: KubeObject, options: WriteOptions): Written {
  const { generateName } = given.metadata;
  const name =
    given.metadata.name ||
    (generateName === undefined || generateName === '' ? undefined : `${generateName}${world.identity.suffix()}`);
  if (name === undefined)
    throw invalid(resource, '', [
      {
        reason: 'FieldValueRequired',
        message: 'Required value: name or generateName is required',
        field: 'metadata.name',
      },
    ]);
  const metadata = {
    ...without(given.metadata, 'managedFields', 'deletionTimestamp', 'deletionGracePeriodSeconds', 'generation'),
    name,
    uid: world.identity.uid(),
    resourceVersion: '',
    creationTimestamp: timeOf(world),
    ...(hasGeneration(resource) ? { generation: 1 } : {}),
    ...(options.applied && given.metadata.managedFields !== undefined
      ? { managedFields: given.metadata.managedFields }
      : {}),
  };
  const object = withDefaults(resource, { ...given, metadata });
  if (world.store.get(resource, metadata.namespace, name) !== undefined && resource.namespaced)
    throw alreadyExists(resource, name);
  const warnings = admitCreation(world, resource, object);
  checkRules(resource, object, undefined);
  if (world.store.get(resource, metadata.namespace, name) !== undefined) throw alreadyExists(resource, name);
  const noted = options.applied ? object : noteUpdate(undefined, object, options.writer);
  return { object: options.dryRun ? freeze(noted) : world.store.create(resource, noted), warnings };
}

/** The proposal with everything that this way of writing may not touch put back. */
function confined(
  resource: Resource,
  current: KubeObject,
  proposed: KubeObject,
  subresource: string | undefined,
): KubeObject {
  const kept = [
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'generation',
    'generateName',
    'managedFields',
  ];
  const metadata = {
    ...without(proposed.metadata, ...kept),
    ...Object.fromEntries(Object.entries(current.metadata).filter(([key]) => kept.includes(key))),
    name: current.metadata.name,
    uid: proposed.metadata.uid === undefined ? current.metadata.uid : proposed.metadata.uid,
  };
  if (subresource === 'status')
    return { ...current, metadata, ...(proposed.status === undefined ? {} : { status: proposed.status }) };
  if (!resource.status) return { ...proposed, metadata };
  return {
    ...without(proposed, 'status'),
    metadata,
    ...(current.status === undefined ? {} : { status: current.status }),
  };
}

/** Replaces an object by what was proposed. Throws a Refusal: 409 (old version, other uid), 422. A write that says nothing new changes nothing. */
export function replaceObject(
  world: World,
  resource: Resource,
  current: KubeObject,
  proposed: KubeObject,
  options: WriteOptions,
): KubeObject {
  const wanted = proposed.metadata.resourceVersion;
  if (typeof wanted === 'string' && wanted !== '' && wanted !== current.metadata.resourceVersion)
    throw stale(resource, current.metadata.name);
  const next = confined(resource, current, proposed, options.subresource);
  checkRules(resource, next, current);
  const books = proposed.metadata.managedFields;
  const plain = (object: KubeObject): KubeObject => ({
    ...object,
    metadata: without(object.metadata, 'managedFields', 'resourceVersion'),
  });
  const unchanged = same(plain(current), plain(next));
  if (unchanged && (!options.applied || same(books, current.metadata.managedFields))) return current;
  let noted = next;
  if (options.applied && books !== undefined) noted = { ...next, metadata: { ...next.metadata, managedFields: books } };
  else if (!options.applied) noted = noteUpdate(current, next, options.writer);
  if (hasGeneration(resource) && !same(current.spec, noted.spec))
    noted = { ...noted, metadata: { ...noted.metadata, generation: (current.metadata.generation ?? 0) + 1 } };
  const added = (noted.metadata.finalizers ?? []).filter((name) => !(current.metadata.finalizers ?? []).includes(name));
  if (current.metadata.deletionTimestamp !== undefined && added.length > 0)
    throw new Refusal(
      failure(
        422,
        'Invalid',
        `${resource.kind} "${current.metadata.name}" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted`,
      ),
    );
  return options.dryRun ? freeze(noted) : world.store.update(resource, noted);
}

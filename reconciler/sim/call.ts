// One call of the API while it is being answered: what it is about, and the small steps that all verbs share.
import type { Snapshots } from './listing.ts';
import type { Writer } from './managers.ts';
import type { KubeObject } from './object.ts';
import { notFound } from './refusal.ts';
import type { SimResponse, Target } from './route.ts';
import { timeOf, type World } from './world.ts';
import type { WriteOptions } from './writing.ts';

/** A JSON answer, with warnings for the client. */
export const answer = (status: number, body: unknown, warnings: readonly string[] = []): SimResponse => ({
  status,
  headers: {
    'content-type': 'application/json',
    ...(warnings.length === 0 ? {} : { warning: warnings.map((text) => `299 - ${JSON.stringify(text)}`).join(', ') }),
  },
  body,
});

/** A call and all that is needed to answer it. */
export interface Call {
  world: World;
  snapshots: Snapshots;
  target: Target;
  query: URLSearchParams;
  headers: Record<string, string>;
  body: unknown;
}

/** How the call's write is meant. */
export function writeOptions(call: Call): WriteOptions {
  const { query, headers, target } = call;
  const agent = (headers['user-agent'] ?? 'unknown').split('/')[0] ?? 'unknown';
  const subresource = target.subresource;
  const writer: Writer = { manager: query.get('fieldManager') ?? agent, subresource, time: timeOf(call.world) };
  const dryRun = query.getAll('dryRun').includes('All');
  return { writer, dryRun, fieldValidation: query.get('fieldValidation') ?? 'Warn', subresource, applied: false };
}

/** The object that the call names. Throws a Refusal (404) when it is not there. */
export function found(call: Call): KubeObject {
  const { resource, namespace, name } = call.target;
  const object = call.world.store.get(resource, namespace, name ?? '');
  if (object === undefined) throw notFound(resource, name ?? '');
  return object;
}

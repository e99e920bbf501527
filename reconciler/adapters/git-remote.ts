// Asks a Git server which branches it has and where they are.
import { listServerRefs, type ServerRef } from 'isomorphic-git';
import { AdapterError } from '../model/failure.ts';
import type { GitTransport } from './git-http.ts';

/** The tip of a branch. */
export interface Tip {
  /** Name of the branch, without `refs/heads/`. */
  readonly branch: string;
  readonly oid: string;
}

const heads = 'refs/heads/';

async function refs(transport: GitTransport, prefix: string): Promise<ServerRef[]> {
  const found = await listServerRefs({
    http: transport,
    url: transport.url,
    protocolVersion: transport.protocol,
    prefix,
    symrefs: true,
  });
  return found.filter((ref) => ref.ref.startsWith(prefix));
}

/** Looks at the tip of a branch, or of the branch that HEAD names; `undefined` when the repository has no branch at all. */
export async function probe(transport: GitTransport, branch: string | undefined): Promise<Tip | undefined> {
  if (branch !== undefined) {
    const found = (await refs(transport, heads + branch)).find(({ ref }) => ref === heads + branch);
    if (found !== undefined) return { branch, oid: found.oid };
  } else {
    const head = (await refs(transport, 'HEAD')).find(({ ref }) => ref === 'HEAD');
    if (head?.target?.startsWith(heads) === true) return { branch: head.target.slice(heads.length), oid: head.oid };
    if (head !== undefined)
      throw new AdapterError(
        'missing',
        'GitBranchMissing',
        `HEAD of ${transport.shown} does not say which branch it is. Name the branch in the settings.`,
      );
  }
  const others = (await refs(transport, heads)).map(({ ref }) => ref.slice(heads.length));
  if (others.length === 0) return undefined;
  const shown = others.slice(0, 5).join(', ') + (others.length > 5 ? ', …' : '');
  throw new AdapterError(
    'missing',
    'GitBranchMissing',
    branch === undefined
      ? `HEAD of ${transport.shown} names a branch that does not exist; there is ${shown}. Correct HEAD on the server, or name the branch in the settings.`
      : `${transport.shown} has no branch "${branch}"; there is ${shown}.`,
  );
}

/** Where any reference is, by its full name (`refs/pull/7/head`); `undefined` when there is none. */
export async function refTip(transport: GitTransport, name: string): Promise<string | undefined> {
  return (await refs(transport, name)).find(({ ref }) => ref === name)?.oid;
}

/** All branches whose name begins so, sorted by name. */
export async function branchesUnder(transport: GitTransport, prefix: string): Promise<Tip[]> {
  const found = await refs(transport, heads + prefix);
  const tips = found.map(({ ref, oid }) => ({ branch: ref.slice(heads.length), oid }));
  return tips.sort((left, right) => (left.branch < right.branch ? -1 : 1));
}

/** The tip of a branch as the side that takes pushes sees it, read just before a push; `undefined` when there is no such branch. */
export async function pushTip(transport: GitTransport, branch: string): Promise<string | undefined> {
  const found = await listServerRefs({
    http: transport,
    url: transport.url,
    protocolVersion: 1,
    forPush: true,
    prefix: heads + branch,
  });
  return found.find(({ ref }) => ref === heads + branch)?.oid;
}

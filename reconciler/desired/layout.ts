// What a path in the config repository means: which kind of file, and whose.
import { ownerPaths } from '../model/code-owners.ts';

/** The kinds of files that this version reads. */
export type FileKind =
  'Fleet' | 'Cluster' | 'PatchPolicy' | 'PatchRequest' | 'PatchRun' | 'PatchApproval' | 'AcceptRewrite' | 'Rollout';

/** Whom a fault in a file holds: everybody, one cluster, those that use a shared policy, or those that a rollout takes along. */
export type Owner =
  | { readonly kind: 'fleet' }
  | { readonly kind: 'cluster'; readonly cluster: string }
  | { readonly kind: 'policy'; readonly policy: string }
  | { readonly kind: 'rollout' }
  | { readonly kind: 'nobody' };

/** What one path means. */
export type Place =
  | { readonly kind: 'object'; readonly object: FileKind; readonly name: string; readonly owner: Owner }
  /** A file FREEZE: being there is its content. */
  | { readonly kind: 'freeze'; readonly owner: Owner }
  /** Keys of those who may sign. Read by whoever checks signatures; here only that a file is another one counts. */
  | { readonly kind: 'signers'; readonly owner: Owner }
  /** CODEOWNERS: who must agree to changes. Read by whoever judges them; here only that the file is another one counts. */
  | { readonly kind: 'owners'; readonly owner: Owner }
  /** A path that looks as if it meant something and does not; the message says what to do. */
  | {
      readonly kind: 'unread';
      readonly owner: Owner;
      readonly rule: 'not-read' | 'not-supported';
      readonly message: string;
    }
  /** None of our business: documents, pipelines, other tools' files. */
  | { readonly kind: 'other' };

const fleet: Owner = { kind: 'fleet' };
const other: Place = { kind: 'other' };

/** Names of clusters, policies and requests: DNS labels, because they end up in labels, names of Jobs and paths. */
export const namePattern = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** Files for people and for Git that may lie anywhere. */
const harmless = /^(?:.*\.md|\.gitkeep|\.gitignore|\.gitattributes|\.editorconfig|OWNERS|CODEOWNERS)$/;

/**
 * Every path that says something to this cluster: its folder, what that may refer to, and what tells which clusters a rollout takes. Folders end with
 * a slash; a `*` stands for any one folder. Who reads no more understands the cluster as whoever reads everything.
 */
export function pathsOf(cluster: string): readonly string[] {
  return [
    'oakum.yaml',
    'FREEZE',
    'accept-rewrite.yaml',
    'policies/',
    'profiles/',
    'signers/',
    'rollouts/',
    ...ownerPaths,
    'clusters/*/cluster.yaml',
    `clusters/${cluster}/`,
  ];
}

/** Reads a path. Pure and cheap: it is asked for every file of the repository. */
export function placeOf(path: string): Place {
  if (ownerPaths.includes(path)) return { kind: 'owners', owner: fleet };
  const parts = path.split('/');
  const [top = '', ...rest] = parts;
  switch (top) {
    case 'clusters':
      return inClusters(rest);
    case 'policies':
      return inPolicies(rest);
    case 'signers':
      return /^(?:allowed_signers|[^/]+\.asc)$/.test(rest.join('/')) ? { kind: 'signers', owner: fleet } : other;
    case 'rollouts':
      return inRollouts(rest);
    case 'profiles':
      return harmless.test(parts.at(-1) ?? '') ? other : notSupported({ kind: 'nobody' }, `${top}/`);
    default:
      return rest.length === 0 ? inRoot(top) : nearFolder(top);
  }
}

function inRoot(file: string): Place {
  if (file === 'oakum.yaml') return { kind: 'object', object: 'Fleet', name: '', owner: fleet };
  if (file === 'accept-rewrite.yaml')
    return { kind: 'object', object: 'AcceptRewrite', name: 'accept-rewrite', owner: fleet };
  if (file === 'FREEZE') return { kind: 'freeze', owner: fleet };
  if (isNearFreeze(file))
    return notRead(fleet, 'a freeze is a file with the name FREEZE, in capitals and without an ending');
  if (/^oakum\.ya?ml$/i.test(file))
    return notRead(fleet, 'the settings of the repository are in oakum.yaml; rename the file');
  if (/^accept[-_.]?rewrite(?:\.ya?ml)?$/i.test(file))
    return notRead(fleet, 'a rewritten history is accepted with accept-rewrite.yaml; rename the file');
  return other;
}

function nearFolder(top: string): Place {
  const meant = ['clusters', 'policies', 'rollouts'].find(
    (name) => top.toLowerCase() === name || top === (name === 'policies' ? 'policy' : name.slice(0, -1)),
  );
  return meant === undefined ? other : notRead({ kind: 'nobody' }, `the folder is called ${meant}/; rename it`);
}

function inPolicies(rest: readonly string[]): Place {
  const [file = '', ...deeper] = rest;
  // The folder itself as a link or a submodule: no shared policy can be read.
  if (rest.length === 0) return notRead(fleet, 'policies must be a folder with one file for each policy');
  if (harmless.test(rest.at(-1) ?? '')) return other;
  const name = /^(.+)\.ya?ml$/i.exec(file)?.[1] ?? file;
  const owner: Owner = { kind: 'policy', policy: name };
  if (deeper.length > 0) return notRead(owner, 'shared policies are files directly in policies/, named <policy>.yaml');
  return named(file, name, owner, 'PatchPolicy');
}

function inRollouts(rest: readonly string[]): Place {
  const [file = '', ...deeper] = rest;
  const owner: Owner = { kind: 'rollout' };
  if (rest.length === 0) return notRead(owner, 'rollouts must be a folder with one file for each rollout');
  if (harmless.test(rest.at(-1) ?? '')) return other;
  if (deeper.length > 0) return notRead(owner, 'rollouts are files directly in rollouts/, named <rollout>.yaml');
  return named(file, /^(.+)\.ya?ml$/i.exec(file)?.[1] ?? file, owner, 'Rollout');
}

function inClusters(rest: readonly string[]): Place {
  const [cluster, file, ...deeper] = rest;
  if (cluster === undefined) return notRead(fleet, 'clusters must be a folder with one folder for each cluster');
  const owner: Owner = { kind: 'cluster', cluster };
  if (file === undefined) {
    if (harmless.test(cluster)) return other;
    // A file, link or submodule where a cluster's folder should be.
    const name = cluster.replace(/\.ya?ml$/i, '');
    return notRead(
      { kind: 'cluster', cluster: name },
      `a cluster is a folder with files in it; put the policy into clusters/${name}/policy.yaml`,
    );
  }
  if (deeper.length > 0 || ['requests', 'runs', 'approvals', 'manifests'].includes(file))
    return inClusterFolder(owner, file, deeper);
  switch (file) {
    case 'cluster.yaml':
      return { kind: 'object', object: 'Cluster', name: cluster, owner };
    case 'policy.yaml':
      return { kind: 'object', object: 'PatchPolicy', name: cluster, owner };
    case 'FREEZE':
      return { kind: 'freeze', owner };
    case 'machines.yaml':
      return notSupported(owner, 'machines.yaml');
    default:
      if (harmless.test(file)) return other;
      if (isNearFreeze(file))
        return notRead(owner, 'a freeze is a file with the name FREEZE, in capitals and without an ending');
      return notRead(
        owner,
        `a cluster's folder holds cluster.yaml, policy.yaml, FREEZE, requests/, runs/ and approvals/; ${advice(file)}`,
      );
  }
}

function inClusterFolder(owner: Owner, folder: string, rest: readonly string[]): Place {
  const [file, ...deeper] = rest;
  if (harmless.test(rest.at(-1) ?? '')) return other;
  switch (folder) {
    case 'requests': {
      if (file === undefined) return notRead(owner, 'requests must be a folder with one file for each request');
      if (deeper.length > 0) return notRead(owner, 'requests are files directly in requests/, named <request>.yaml');
      return named(file, /^(.+)\.ya?ml$/i.exec(file)?.[1] ?? file, owner, 'PatchRequest');
    }
    case 'manifests':
      return notSupported(owner, 'manifests/');
    case 'runs': {
      if (file === undefined) return notRead(owner, 'runs must be a folder with one file for each approved run');
      if (deeper.length > 0) return notRead(owner, 'approved runs are files directly in runs/, named <run>.yaml');
      return named(file, /^(.+)\.ya?ml$/i.exec(file)?.[1] ?? file, owner, 'PatchRun');
    }
    // Read from the history by whoever verifies approvals without a forge; what it says is no wish, and a broken one only approves nothing.
    case 'approvals':
      return file !== undefined && deeper.length === 0 && file.endsWith('.yaml')
        ? named(file, file.replace(/\.yaml$/, ''), { kind: 'nobody' }, 'PatchApproval')
        : notRead(owner, 'approvals are files directly in approvals/, named <name>.yaml');
    default:
      return notRead(owner, `a cluster's folder has no folder "${folder}"; requests go into requests/`);
  }
}

/** One object in a file that carries its name. */
function named(file: string, name: string, owner: Owner, object: FileKind): Place {
  if (!file.endsWith('.yaml')) return notRead(owner, `the file's name must end in .yaml; rename it to ${name}.yaml`);
  if (!namePattern.test(name)) {
    return notRead(
      owner,
      `"${name}" is not a name; use lower-case letters, digits and dashes, at most 63, beginning and ending with a letter or digit`,
    );
  }
  return { kind: 'object', object, name, owner };
}

function isNearFreeze(file: string): boolean {
  return /^freeze(?:\.[a-z]+)?$/i.test(file);
}

function advice(file: string): string {
  const stem = file.toLowerCase().replace(/\.(ya?ml|json)$/, '');
  const meant = { cluster: 'cluster.yaml', policy: 'policy.yaml', policies: 'policy.yaml' }[stem];
  return meant === undefined ? 'move or remove it' : `did you mean ${meant}?`;
}

function notRead(owner: Owner, why: string): Place {
  return { kind: 'unread', owner, rule: 'not-read', message: `this path is not read: ${why}` };
}

function notSupported(owner: Owner, what: string): Place {
  return {
    kind: 'unread',
    owner,
    rule: 'not-supported',
    message: `${what} is not supported by this version of Oakum, so nothing would be done with the file; remove it`,
  };
}

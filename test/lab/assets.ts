// Where the programs of the Kubernetes control plane are: an envtest folder, a disposable cluster, or our own cache.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** One module under `tools/` and the programs that come from it. */
export interface ToolModule {
  /** The folder with go.mod and go.sum. */
  readonly folder: string;
  /** The module whose version counts, as go.mod requires it. */
  readonly module: string;
  readonly programs: readonly ToolProgram[];
  /** Build tags. */
  readonly tags?: readonly string[];
  /** It has parts in C (a database), so a C compiler is needed. */
  readonly needsCompiler?: boolean;
  /** Values that are written into the program (`-X name=value`); `VERSION` (without `v`), `MAJOR` and `MINOR` stand for the pinned version's. */
  readonly stamps?: readonly string[];
}

/** One program: its file name and the Go package that it is built from. */
export interface ToolProgram {
  readonly name: string;
  readonly package: string;
  /** Needed for real nodes only. */
  readonly nodeOnly: boolean;
}

const tools = resolve(import.meta.dirname, 'tools');

export const kubernetes: ToolModule = {
  folder: join(tools, 'kube'),
  module: 'k8s.io/kubernetes',
  programs: [
    { name: 'kube-apiserver', package: 'k8s.io/kubernetes/cmd/kube-apiserver', nodeOnly: false },
    { name: 'kube-controller-manager', package: 'k8s.io/kubernetes/cmd/kube-controller-manager', nodeOnly: false },
    { name: 'kube-scheduler', package: 'k8s.io/kubernetes/cmd/kube-scheduler', nodeOnly: false },
    { name: 'kubelet', package: 'k8s.io/kubernetes/cmd/kubelet', nodeOnly: true },
  ],
  // Without them the API server calls itself v0.0.0-master.
  stamps: ['gitVersion=vVERSION', 'gitMajor=MAJOR', 'gitMinor=MINOR'].map(
    (stamp) => `k8s.io/component-base/version.${stamp}`,
  ),
};

export const etcd: ToolModule = {
  folder: join(tools, 'etcd'),
  module: 'go.etcd.io/etcd/server/v3',
  programs: [{ name: 'etcd', package: 'go.etcd.io/etcd/server/v3', nodeOnly: false }],
};

export const containerd: ToolModule = {
  folder: join(tools, 'containerd'),
  module: 'github.com/containerd/containerd/v2',
  programs: ['containerd', 'containerd-shim-runc-v2', 'ctr'].map((name) => ({
    name,
    package: `github.com/containerd/containerd/v2/cmd/${name}`,
    nodeOnly: true,
  })),
};

/** A forge: Gitea with its database in a file. Its web pages are not built: the API, Git and webhooks do without. */
export const gitea: ToolModule = {
  folder: join(tools, 'gitea'),
  module: 'code.gitea.io/gitea',
  programs: [{ name: 'gitea', package: 'code.gitea.io/gitea', nodeOnly: false }],
  tags: ['sqlite', 'sqlite_unlock_notify'],
  needsCompiler: true,
  stamps: ['main.Version=VERSION'],
};

/** Every module that the lab builds for Kubernetes, in the order in which it builds them. */
export const toolModules: readonly ToolModule[] = [etcd, kubernetes, containerd];

/** The programs of a real node. */
export const nodePrograms = ['kubelet', 'containerd', 'containerd-shim-runc-v2', 'ctr'] as const;

/** A folder that has these is enough for a control plane. */
export const controlPlanePrograms = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'] as const;
export type ControlPlaneProgram = (typeof controlPlanePrograms)[number];

/** The version that go.mod pins, with the leading `v`. */
export function pinnedVersion(module: ToolModule): string {
  const line = readFileSync(join(module.folder, 'go.mod'), 'utf8')
    .split('\n')
    .map((text) => text.trim().replace(/^require /, ''))
    .find((text) => text.startsWith(`${module.module} v`));
  const version = line?.split(' ')[1];
  if (version === undefined) throw new Error(`${module.folder}/go.mod does not require ${module.module}`);
  return version;
}

/**
 * The folder of the cache that holds exactly what go.mod and go.sum pin: their digest is part of its name, so a changed pin never finds an old
 * program.
 */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  return folderOf(environment, `kubernetes-${pinnedVersion(kubernetes)}`, toolModules);
}

/** The same for the forge, which is a folder of its own: a new forge needs no new Kubernetes. */
export function forgeFolder(environment: NodeJS.ProcessEnv = process.env): string {
  return folderOf(environment, `gitea-${pinnedVersion(gitea)}`, [gitea]);
}

function folderOf(environment: NodeJS.ProcessEnv, name: string, modules: readonly ToolModule[]): string {
  const digest = createHash('sha256');
  for (const module of modules)
    for (const file of ['go.mod', 'go.sum']) digest.update(readFileSync(join(module.folder, file)));
  const root = environment['OAKUM_CACHE'] ?? join(homedir(), '.cache', 'oakum');
  return join(root, 'bin', `${name}-${digest.digest('hex').slice(0, 8)}`);
}

/** What a suite runs against. */
export type ClusterSource =
  /** Programs that we start: where each one is, and in words. */
  | { readonly kind: 'programs'; readonly program: (name: ControlPlaneProgram) => string; readonly origin: string }
  /** A cluster that somebody made for us to spoil. */
  | { readonly kind: 'cluster'; readonly kubeconfigPath: string };

/** Thrown when there is nothing to run against; the message is one sentence that says what to do. */
export class NoClusterSource extends Error {
  override readonly name = 'NoClusterSource';
}

/**
 * Finds what to run against, in this order: `KUBEBUILDER_ASSETS` (a folder of envtest; what it lacks of controller manager and scheduler comes
 * from the cache, for without them no Job would ever get a pod), `OAKUM_E2E_KUBECONFIG` (a disposable cluster), the cache. Throws
 * {@link NoClusterSource}.
 */
export function findClusterSource(environment: NodeJS.ProcessEnv = process.env): ClusterSource {
  const assets = environment['KUBEBUILDER_ASSETS'];
  if (assets !== undefined && assets !== '') {
    const folder = resolve(assets);
    const missing = missingPrograms(folder);
    const cached = cacheFolder(environment);
    // A folder that is not one of envtest is a mistake to be told, not to be filled up.
    if (missing.includes('etcd') || missing.includes('kube-apiserver') || missingPrograms(cached, missing).length > 0)
      throw new NoClusterSource(
        `KUBEBUILDER_ASSETS=${folder} lacks ${missing.join(', ')}: add them, or run "node test/lab/install.ts", or unset it.`,
      );
    const rest = missing.length === 0 ? '' : ` (${missing.join(' and ')} from ${cached})`;
    return {
      kind: 'programs',
      program: (name) => join(missing.includes(name) ? cached : folder, name),
      origin: `KUBEBUILDER_ASSETS=${folder}${rest}`,
    };
  }
  const kubeconfigPath = environment['OAKUM_E2E_KUBECONFIG'];
  if (kubeconfigPath !== undefined && kubeconfigPath !== '') {
    if (!existsSync(kubeconfigPath))
      throw new NoClusterSource(`OAKUM_E2E_KUBECONFIG names ${kubeconfigPath}, which does not exist.`);
    return { kind: 'cluster', kubeconfigPath };
  }
  const folder = cacheFolder(environment);
  if (missingPrograms(folder).length === 0)
    return { kind: 'programs', program: (name) => join(folder, name), origin: `the cache, ${folder}` };
  throw new NoClusterSource(
    'No Kubernetes to test against: run "node test/lab/install.ts" once (it needs Go), or set KUBEBUILDER_ASSETS, or OAKUM_E2E_KUBECONFIG to the kubeconfig of a disposable cluster.',
  );
}

/** Which of the control plane's programs `folder` lacks. */
export function missingPrograms(folder: string, names: readonly string[] = controlPlanePrograms): string[] {
  return names.filter((name) => !existsSync(join(folder, name)));
}

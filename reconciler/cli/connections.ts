// Flags → the way into each cluster: one kubeconfig, or a folder with one for each cluster of a hub.
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { KubeconfigSource } from '../adapters/kubernetes-credentials.ts';
import { type ClusterFlags, UsageError } from './settings.ts';

/** The name of a cluster, and how it is reached. */
export interface Connection {
  readonly name: string;
  readonly source: KubeconfigSource;
}

type Ways = Pick<ClusterFlags, 'cluster' | 'kubeconfig' | 'context' | 'kubeconfigDir'>;

/** All clusters of the flags. Throws UsageError when they name none. */
export function clusterConnections(flags: Ways): readonly Connection[] {
  if (flags.kubeconfigDir !== undefined) return connectionsOfHub(flags.kubeconfigDir);
  if (flags.cluster === undefined)
    throw new UsageError(
      '--cluster is needed: the name of this cluster’s folder under clusters/ (or --kubeconfig-dir for a hub)',
    );
  return [{ name: flags.cluster, source: ownSource(flags) }];
}

/** The one cluster that a verb is about. With a folder of kubeconfigs it must be named: which one is meant is never guessed. Throws UsageError. */
export function oneConnection(flags: Ways): KubeconfigSource {
  const { cluster, kubeconfigDir } = flags;
  if (kubeconfigDir === undefined) return ownSource(flags);
  const all = connectionsOfHub(kubeconfigDir);
  const names = all.map(({ name }) => name).join(', ');
  if (cluster === undefined)
    throw new UsageError(`--cluster is needed with --kubeconfig-dir: which of ${names} is meant`);
  const found = all.find(({ name }) => name === cluster);
  if (!found) throw new UsageError(`--kubeconfig-dir: ${kubeconfigDir} has no file ${cluster}.yaml; it has ${names}`);
  return found.source;
}

function ownSource({ kubeconfig, context: named }: Ways): KubeconfigSource {
  const context = named === undefined ? {} : { context: named };
  return kubeconfig === undefined ? { kind: 'default', ...context } : { kind: 'file', path: kubeconfig, ...context };
}

function connectionsOfHub(folder: string): readonly Connection[] {
  let listed: readonly string[];
  try {
    listed = readdirSync(folder);
  } catch (error) {
    throw new UsageError(`--kubeconfig-dir: ${folder} cannot be read: ${(error as Error).message}`);
  }
  const files = listed.filter((file) => /\.(ya?ml|kubeconfig)$/.test(file)).sort();
  if (files.length === 0) throw new UsageError(`--kubeconfig-dir: ${folder} has no file <cluster>.yaml`);
  return files.map((file) => ({
    name: basename(file).replace(/\.(ya?ml|kubeconfig)$/, ''),
    source: { kind: 'file', path: join(folder, file) },
  }));
}

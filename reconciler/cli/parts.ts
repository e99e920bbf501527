// Settings → working parts: the config repository, the clusters, the planner's view of both.
import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { readPatchScript, readSchemas } from '../adapters/assets.ts';
import { realClock } from '../adapters/clock.ts';
import { openGates } from '../adapters/gates.ts';
import type { GitAuth } from '../adapters/git-options.ts';
import { type GitHistory, openGit } from '../adapters/git.ts';
import { openCluster } from '../adapters/kubernetes.ts';
import { httpTransport } from '../adapters/kubernetes-http.ts';
import { counted, type RequestHook } from '../adapters/kubernetes-transport.ts';
import { openLease } from '../adapters/lease.ts';
import { openLedger } from '../adapters/ledger.ts';
import { createDesire } from '../desired/desired.ts';
import { pathsOf } from '../desired/layout.ts';
import { ClusterLoop } from '../pass.ts';
import { ConfigSource, type Proof } from '../source.ts';
import { deployedSigners } from './accepted-signers.ts';
import { signedOnly } from './signed-source.ts';
import { views } from '../observed/views.ts';
import type { Clock, Cluster, Git, Lease, Log, ReviewGit } from '../ports.ts';
import type { PlanSettings } from '../plan/input.ts';
import { meaningAt, openApprovals } from './approvals.ts';
import { clusterConnections } from './connections.ts';
import { approvalFloorOf, type ForgeFlags, openForgeFrom, type OpenForge, reviewsFor } from './forge.ts';
import { ownProposal } from './own-proposal.ts';
import {
  type ClusterFlags,
  type GitFlags,
  listFlag,
  planSettings,
  readFlagFile,
  UsageError,
  withSecretDir,
} from './settings.ts';
import { openPeers } from './peers.ts';
import { version } from './version.ts';

/** One cluster, ready to be worked on. */
export interface ClusterParts {
  readonly name: string;
  readonly cluster: Cluster;
  readonly lease: Lease;
  readonly loop: ClusterLoop;
}

/** Everything that `run`, `once` and `plan` need. */
export interface Parts {
  readonly git: Git & ReviewGit;
  /** Where changes are reviewed, when the flags name a forge. */
  readonly forge: OpenForge | undefined;
  readonly source: ConfigSource;
  readonly clusters: readonly ClusterParts[];
  close(): Promise<void>;
}

/** How the parts are used. */
export interface PartsOptions {
  readonly flags: GitFlags & ClusterFlags & ForgeFlags;
  readonly log: Log;
  /** Follow the cluster by watches (service), or list at every look. */
  readonly watch: boolean;
  /** Take the Lease; without it nothing is ever done (`plan`). */
  readonly act: boolean;
  readonly onRequest?: RequestHook;
  /** Requests a second to each API server; default: the transport's own budget. */
  readonly rate?: { readonly perSecond: number; readonly burst: number };
  /** Default: the clock of this machine; the demo's is ahead of it. */
  readonly clock?: Clock;
  /** Other waits and limits of the planner, for the demo and tests. */
  readonly settings?: (standard: PlanSettings) => PlanSettings;
}

/** Opens everything; nothing is asked of Git or of a cluster before the first call. */
export async function openParts(options: PartsOptions): Promise<Parts> {
  const { flags, log, clock = realClock } = options;
  const connections = clusterConnections(flags);
  const names = connections.map(({ name }) => name);
  const git = openGitFrom(flags, log, wantedPaths(names));
  const schemas = readSchemas();
  const source = new ConfigSource(git, createDesire(schemas), log, proofFrom(flags, git));
  const forge = await openForgeFrom(flags, git, log);
  const standard = {
    ...planSettings(flags, readPatchScript()),
    approvalFloor: approvalFloorOf(flags, flags.approvalFloor),
    ownAccounts: listFlag(flags.forgeAccounts),
    ...(flags.branch === undefined ? {} : { branch: flags.branch }),
  };
  const settings = options.settings?.(standard) ?? standard;
  const peers = openPeers({
    git,
    clock,
    own: (name) => clusters.find((one) => one.name === name)?.loop,
  });
  const clusters: readonly ClusterParts[] = connections.map(({ name, source: kubeconfig }): ClusterParts => {
    const uncounted = httpTransport(kubeconfig, { version, ...(options.rate ? { rate: options.rate } : {}) });
    const transport = options.onRequest ? counted(uncounted, () => clock.now(), options.onRequest) : uncounted;
    const cluster = openCluster({
      transport,
      views,
      clock,
      log,
      watch: options.watch,
      namespace: settings.jobNamespace,
      // The reason must be known before the Job is given up.
      noPodAfterMs: Math.min(20_000, settings.timing.jobStartMs / 4),
    });
    const lease: Lease = options.act
      ? openLease(transport, {
          identity: `${flags.identity}_${randomUUID().slice(0, 8)}`,
          clock,
          elapsed: () => performance.now(),
          log,
          namespace: settings.jobNamespace,
          ...(flags.nodeName ? { node: flags.nodeName } : {}),
        })
      : { held: () => false, holder: () => undefined, release: async () => undefined };
    const ledger = openLedger(transport, { namespace: flags.namespace });
    const gates = openGates({ allow: listFlag(flags.gateAllow), transport, clock });
    const plain = {
      git,
      accepted: (): Promise<string | undefined> => loop.accepted(),
      own: ownProposal(name, () => loop.ledger(), schemas),
      meaning: meaningAt(git, schemas),
    };
    const reviews = reviewsFor(flags, forge, plain, log);
    const approvals = reviews && openApprovals({ forge: reviews, git, schemas, clock, log });
    const seat = { name, cluster, ledger, lease, gates, peers, ...(approvals ? { approvals } : {}) };
    const loop: ClusterLoop = new ClusterLoop(seat, settings, log);
    return { name, cluster, lease, loop };
  });
  return {
    git,
    forge,
    source,
    clusters,
    close: async () => {
      await Promise.allSettled(clusters.map(({ lease }) => lease.release()));
      await Promise.allSettled(clusters.map(({ cluster }) => cluster.close()));
      await forge?.end();
      await git.close();
    },
  };
}

/** The check of signatures, where the deployment demands them. */
function proofFrom(flags: GitFlags & ForgeFlags, git: ReviewGit & GitHistory): Proof | undefined {
  if (flags.requireSignedCommits !== true) return undefined;
  const deployed = flags.signers === undefined ? undefined : deployedSigners('signers', flags.signers);
  return signedOnly(git, deployed, realClock);
}

/** The config repository of the flags. `wanted` limits what is read; everything for commands that look at the whole. */
export function openGitFrom(
  given: GitFlags,
  log: Log,
  wanted: readonly string[] | 'all',
): Git & ReviewGit & GitHistory {
  const flags = withSecretDir(given);
  const auth = authFrom(flags);
  const writing = writingAuthFrom(given);
  return openGit({
    url: flags.repo,
    ...(flags.branch === undefined ? {} : { branch: flags.branch }),
    statusBranch: flags.statusBranch,
    ...(flags.statusRepo === undefined ? {} : { statusUrl: flags.statusRepo }),
    cacheDir: resolve(flags.cacheDir),
    ...(auth === undefined ? {} : { auth }),
    ...(writing === undefined ? {} : { statusAuth: writing }),
    ...(flags.gitCaFile === undefined ? {} : { ca: readFlagFile('git-ca-file', flags.gitCaFile) }),
    wanted,
    author: { name: 'oakum', email: 'oakum@noreply.oakum.dev' },
    log,
  });
}

/** Credentials for what is pushed, when they are others. Only the folder for writing counts, but hosts that are known are known. */
function writingAuthFrom(given: GitFlags): GitAuth | undefined {
  const { gitWriteSecretDir: folder, gitTokenFile: _token, gitUsername: _name, gitSshKeyFile: _key, ...rest } = given;
  if (folder === undefined) return undefined;
  const { gitKnownHostsFile } = withSecretDir(given);
  const known = gitKnownHostsFile === undefined ? {} : { gitKnownHostsFile };
  const auth = authFrom({ ...known, ...withSecretDir({ ...rest, gitSecretDir: folder }) });
  if (auth === undefined)
    throw new UsageError(`--git-write-secret-dir: ${folder} has none of token, password and ssh-privatekey`);
  return auth;
}

function authFrom(flags: GitFlags): GitAuth | undefined {
  if (flags.gitSshKeyFile !== undefined) {
    if (flags.gitKnownHostsFile === undefined)
      throw new UsageError(
        '--git-ssh-key-file needs --git-known-hosts-file: a host that is not known is never trusted',
      );
    return { kind: 'ssh', privateKey: { file: flags.gitSshKeyFile }, knownHosts: { file: flags.gitKnownHostsFile } };
  }
  if (flags.gitTokenFile === undefined) return undefined;
  return {
    kind: 'token',
    token: { file: flags.gitTokenFile },
    ...(flags.gitUsername === undefined ? {} : { username: flags.gitUsername }),
  };
}

/** An agent reads what its cluster goes by; a hub reads everything. */
function wantedPaths(names: readonly string[]): readonly string[] | 'all' {
  const [name, ...more] = names;
  return name === undefined || more.length > 0 ? 'all' : pathsOf(name);
}

// Flags and environment → settings: every flag is named once.
import { existsSync, readFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { parseDuration } from '../model/duration.ts';
import { jobNamespace, ownNamespace } from '../model/names.ts';
import { type PlanSettings, standardTiming } from '../plan/input.ts';

/** A mistake of the person who called: said in one sentence, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Flags of everything that reads the config repository. */
export interface GitFlags {
  readonly repo: string;
  readonly branch?: string;
  readonly statusRepo?: string;
  readonly statusBranch: string;
  readonly cacheDir: string;
  readonly gitUsername?: string;
  readonly gitTokenFile?: string;
  readonly gitSshKeyFile?: string;
  readonly gitKnownHostsFile?: string;
  readonly gitCaFile?: string;
  readonly gitSecretDir?: string;
  readonly gitWriteSecretDir?: string;
  readonly requireSignedCommits?: boolean;
}

/** Adds the flags of the config repository; each can be given as an environment variable. */
export function addGitFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--repo <url>', 'config repository (https://… or ssh://…)').env('OAKUM_REPO').makeOptionMandatory(),
    )
    .addOption(new Option('--branch <name>', "branch to read (default: the remote's HEAD)").env('OAKUM_BRANCH'))
    .addOption(
      new Option('--status-repo <url>', 'repository for the status branch (default: the config repository)').env(
        'OAKUM_STATUS_REPO',
      ),
    )
    .addOption(
      new Option('--status-branch <name>', 'branch that status is written to')
        .env('OAKUM_STATUS_BRANCH')
        .default('oakum/status'),
    )
    .addOption(
      new Option('--cache-dir <dir>', 'where the local copy is kept; may be deleted at any time')
        .env('OAKUM_CACHE_DIR')
        .default(join(tmpdir(), 'oakum-cache')),
    )
    .addOption(
      new Option('--git-username <name>', 'user name for HTTPS (default: the one that suits a token)').env(
        'OAKUM_GIT_USERNAME',
      ),
    )
    .addOption(
      new Option(
        '--git-token-file <file>',
        'file with the token or password for HTTPS; read again when it changes',
      ).env('OAKUM_GIT_TOKEN_FILE'),
    )
    .addOption(new Option('--git-ssh-key-file <file>', 'private key for ssh remotes').env('OAKUM_GIT_SSH_KEY_FILE'))
    .addOption(
      new Option(
        '--git-known-hosts-file <file>',
        'known_hosts for ssh remotes; a host that is not in it is refused',
      ).env('OAKUM_GIT_KNOWN_HOSTS_FILE'),
    )
    .addOption(
      new Option(
        '--git-ca-file <file>',
        'PEM file with the certificate authorities to trust for HTTPS, in place of the system’s',
      ).env('OAKUM_GIT_CA_FILE'),
    )
    .addOption(
      new Option(
        '--git-secret-dir <dir>',
        'folder with any of token, username, ssh-privatekey, known_hosts, ca.crt (a mounted Secret); single flags win',
      ).env('OAKUM_GIT_SECRET_DIR'),
    )
    .addOption(
      new Option(
        '--git-write-secret-dir <dir>',
        'the same for what Oakum pushes (status, proposals): then the other credentials need to read only',
      ).env('OAKUM_GIT_WRITE_SECRET_DIR'),
    )
    .addOption(
      new Option(
        '--require-signed-commits',
        'go by no commit that is not signed (SSH or OpenPGP) by a key of signers/ in the commit accepted last, or of --signers',
      ).env('OAKUM_REQUIRE_SIGNED_COMMITS'),
    );
}

/** The flags with what a mounted Secret adds: each file that is there stands in for a flag that was not given. */
export function withSecretDir(flags: GitFlags): GitFlags {
  const folder = flags.gitSecretDir;
  if (folder === undefined) return flags;
  const file = (name: string): string | undefined => (existsSync(join(folder, name)) ? join(folder, name) : undefined);
  const username = file('username');
  const found = {
    gitTokenFile: flags.gitTokenFile ?? file('token') ?? file('password'),
    gitUsername:
      flags.gitUsername ?? (username === undefined ? undefined : readFlagFile('git-secret-dir', username).trim()),
    gitSshKeyFile: flags.gitSshKeyFile ?? file('ssh-privatekey'),
    gitKnownHostsFile: flags.gitKnownHostsFile ?? file('known_hosts'),
    gitCaFile: flags.gitCaFile ?? file('ca.crt'),
  };
  const given = Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
  return { ...flags, ...given };
}

/** Flags of everything that talks to clusters. */
export interface ClusterFlags {
  readonly cluster?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly kubeconfigDir?: string;
  readonly namespace: string;
  readonly image: string;
  readonly nodeName?: string;
  readonly identity: string;
  readonly approvalFloor: 'none' | 'merge' | 'review';
  readonly maxNodesPerHour?: string;
  readonly minRunInterval?: string;
  readonly maxScans: string;
  readonly gateAllow?: string;
  readonly rebootDelay: string;
  readonly retryDelay: string;
  readonly jobStartTimeout: string;
  readonly jobHttpProxy?: string;
  readonly jobHttpsProxy?: string;
  readonly jobNoProxy?: string;
}

/** The image of the Jobs unless the deployment names another one: only /bin/sh and nsenter are used from it. */
export const defaultImage = 'docker.io/library/busybox:1.37.0';

/** Adds the flags of the clusters. `one`: the verb is about a single cluster, so `--cluster` picks it out of a hub's folder. */
export function addClusterFlags(command: Command, { one = false } = {}): Command {
  return command
    .addOption(
      new Option('--cluster <name>', "this cluster's name: its folder under clusters/ (agent)").env('OAKUM_CLUSTER'),
    )
    .addOption(
      new Option(
        '--kubeconfig <file>',
        'kubeconfig (default: KUBECONFIG, ~/.kube/config, or the pod’s own account)',
      ).env('OAKUM_KUBECONFIG'),
    )
    .addOption(new Option('--context <name>', 'context of the kubeconfig').env('OAKUM_CONTEXT'))
    .addOption(
      new Option('--kubeconfig-dir <dir>', 'one kubeconfig file for each cluster, named <cluster>.yaml (hub)')
        .env('OAKUM_KUBECONFIG_DIR')
        .conflicts(one ? ['kubeconfig', 'context'] : ['cluster', 'kubeconfig', 'context']),
    )
    .addOption(
      new Option('--namespace <name>', "Oakum's own namespace: its ledger lives there")
        .env('OAKUM_NAMESPACE')
        .default(ownNamespace),
    )
    .addOption(
      new Option('--image <image>', 'image of the Jobs, best by digest').env('OAKUM_JOB_IMAGE').default(defaultImage),
    )
    .addOption(new Option('--node-name <name>', 'node that this process runs on; it goes last').env('NODE_NAME'))
    .addOption(
      new Option('--identity <name>', 'name under which the Lease is held').env('POD_NAME').default(hostname()),
    )
    .addOption(
      new Option('--approval-floor <mode>', 'lowest approval mode that a policy may choose')
        .env('OAKUM_APPROVAL_FLOOR')
        .choices(['none', 'merge', 'review'])
        .default('none'),
    )
    .addOption(
      new Option(
        '--gate-allow <addresses>',
        'addresses that gates of policies may ask, separated by commas: origin and beginning of the path (default: none)',
      ).env('OAKUM_GATE_ALLOW'),
    )
    .addOption(
      new Option('--max-nodes-per-hour <number>', 'ceiling that no policy can exceed').env('OAKUM_MAX_NODES_PER_HOUR'),
    )
    .addOption(
      new Option(
        '--min-run-interval <duration>',
        'shortest time between the beginnings of two runs of a cluster, whatever a policy says (default: none)',
      ).env('OAKUM_MIN_RUN_INTERVAL'),
    )
    .addOption(
      new Option('--max-scans <number>', 'nodes of a cluster that are scanned at one time; 0: never any')
        .env('OAKUM_MAX_SCANS')
        .default('2'),
    )
    .addOption(
      new Option('--reboot-delay <duration>', 'between the reboot Job and the reboot: time for the kubelet to report')
        .env('OAKUM_REBOOT_DELAY')
        .default('20s'),
    )
    .addOption(
      new Option('--retry-delay <duration>', 'first back-off after a fault on a node that may pass; it doubles')
        .env('OAKUM_RETRY_DELAY')
        .default('1m'),
    )
    .addOption(
      new Option('--job-start-timeout <duration>', 'a Job whose pod does not run for so long has failed to start')
        .env('OAKUM_JOB_START_TIMEOUT')
        .default('10m'),
    )
    .addOption(
      new Option('--job-http-proxy <url>', 'proxy for package managers on the nodes').env('OAKUM_JOB_HTTP_PROXY'),
    )
    .addOption(
      new Option('--job-https-proxy <url>', 'proxy for package managers on the nodes').env('OAKUM_JOB_HTTPS_PROXY'),
    )
    .addOption(
      new Option('--job-no-proxy <hosts>', 'hosts that package managers reach without the proxy').env(
        'OAKUM_JOB_NO_PROXY',
      ),
    );
}

/** Flags of the long-running service. */
export interface ServiceFlags {
  readonly poll: string;
  readonly httpPort: string;
  readonly webhookSecretFile?: string;
  readonly logLevel: string;
}

/** Adds the flags of the service. */
export function addServiceFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--poll <duration>', 'between two looks at the config repository').env('OAKUM_POLL').default('30s'),
    )
    .addOption(
      new Option('--http-port <port>', 'port of /healthz, /readyz and /metrics; 0 for none')
        .env('OAKUM_HTTP_PORT')
        .default('8080'),
    )
    .addOption(
      new Option(
        '--webhook-secret-file <file>',
        'file with the secret that webhooks of the forge are signed with; without it /webhooks/ is closed',
      ).env('OAKUM_WEBHOOK_SECRET_FILE'),
    )
    .addOption(logLevelOption());
}

/** The flag for how much is logged. */
export function logLevelOption(): Option {
  return new Option('--log-level <level>', 'how much is logged')
    .env('OAKUM_LOG_LEVEL')
    .choices(['debug', 'info', 'warn', 'error', 'silent'])
    .default('info');
}

/** A duration flag in milliseconds. */
export function durationFlag(name: string, text: string): number {
  const value = parseDuration(text);
  if (value === undefined || value <= 0)
    throw new UsageError(`--${name}: "${text}" is not a duration; write it like 30s, 5m or 1h`);
  return value;
}

/** The entries of a flag that are separated by commas. */
export function listFlag(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

/** A whole number from a flag. */
export function numberFlag(
  name: string,
  text: string | undefined,
  lowest: number,
  highest: number,
): number | undefined {
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < lowest || value > highest)
    throw new UsageError(`--${name}: "${text}" is not a whole number from ${lowest} to ${highest}`);
  return value;
}

/** What the planner needs of the flags. */
export function planSettings(flags: ClusterFlags, script: string): PlanSettings {
  const proxies: [string, string | undefined][] = [
    ['OSP_HTTP_PROXY', flags.jobHttpProxy],
    ['OSP_HTTPS_PROXY', flags.jobHttpsProxy],
    ['OSP_NO_PROXY', flags.jobNoProxy],
  ];
  return {
    jobNamespace,
    image: flags.image,
    script,
    ownNode: flags.nodeName,
    jobEnv: Object.fromEntries(
      proxies.filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== ''),
    ),
    approvalFloor: flags.approvalFloor,
    ceilings: {
      runIntervalMs:
        flags.minRunInterval === undefined || flags.minRunInterval === ''
          ? undefined
          : durationFlag('min-run-interval', flags.minRunInterval),
      nodesPerHour: numberFlag('max-nodes-per-hour', flags.maxNodesPerHour, 1, 100_000),
      scansAtOnce: numberFlag('max-scans', flags.maxScans, 0, 1_000) ?? 2,
    },
    timing: {
      ...standardTiming,
      rebootDelayMs: durationFlag('reboot-delay', flags.rebootDelay),
      retryMs: durationFlag('retry-delay', flags.retryDelay),
      jobStartMs: durationFlag('job-start-timeout', flags.jobStartTimeout),
    },
  };
}

/** A text file named by a flag. */
export function readFlagFile(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(
      `--${name}: ${file} cannot be read (${error instanceof Error ? error.message : String(error)})`,
    );
  }
}

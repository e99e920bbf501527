// Flags of the forge → the forge: where reviews are read, runs are proposed, and pull requests are told what they would do.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { realClock } from '../adapters/clock.ts';
import { openPlainGit } from '../adapters/forge-git.ts';
import type { ForgeCredentials, ForgeOptions } from '../adapters/forge-options.ts';
import type { ForgeKind } from '../model/approval.ts';
import type { GitHistory } from '../adapters/git.ts';
import type { Forge, Log, ReviewGit } from '../ports.ts';
import { acceptedSigners, deployedSigners } from './accepted-signers.ts';
import { type GitFlags, numberFlag, readFlagFile, UsageError, withSecretDir } from './settings.ts';

/** Flags of whatever asks a forge. */
export interface ForgeFlags {
  readonly forge: 'none' | ForgeKind;
  readonly forgePoll: string;
  readonly forgeUrl?: string;
  readonly forgeProject?: string;
  readonly forgeTokenFile?: string;
  readonly forgeSecretDir?: string;
  readonly forgeCaFile?: string;
  readonly forgeAccounts?: string;
  readonly githubAppId?: string;
  readonly githubAppKeyFile?: string;
  readonly githubAppInstallation?: string;
  readonly signers?: string;
  readonly trustBranch?: boolean;
}

/** A forge that can be let go. */
export type OpenForge = Forge & { end(): Promise<void> };

/** Adds the flags of the forge. */
export function addForgeFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--forge <kind>', 'where changes are reviewed; with none, approval mode review holds')
        .env('OAKUM_FORGE')
        .choices(['none', 'github', 'gitlab', 'gitea', 'git'])
        .default('none'),
    )
    .addOption(
      new Option('--forge-poll <duration>', 'between two looks at open pull requests')
        .env('OAKUM_FORGE_POLL')
        .default('60s'),
    )
    .addOption(
      new Option('--forge-url <url>', "root of the forge's API (default: from the repository's address)").env(
        'OAKUM_FORGE_URL',
      ),
    )
    .addOption(
      new Option('--forge-project <path>', "owner/name (default: from the repository's address)").env(
        'OAKUM_FORGE_PROJECT',
      ),
    )
    .addOption(
      new Option('--forge-token-file <file>', 'file with the token for the forge; read again when it changes').env(
        'OAKUM_FORGE_TOKEN_FILE',
      ),
    )
    .addOption(
      new Option(
        '--forge-secret-dir <dir>',
        'folder with any of token, app-key, ca.crt (a mounted Secret); single flags win',
      ).env('OAKUM_FORGE_SECRET_DIR'),
    )
    .addOption(
      new Option('--forge-ca-file <file>', 'PEM file with the certificate authorities to trust for the forge').env(
        'OAKUM_FORGE_CA_FILE',
      ),
    )
    .addOption(
      new Option(
        '--forge-accounts <names>',
        'accounts that Oakum itself uses at the forge, separated by commas: they approve nothing',
      ).env('OAKUM_FORGE_ACCOUNTS'),
    )
    .addOption(new Option('--github-app-id <id>', 'GitHub App in place of a token').env('OAKUM_GITHUB_APP_ID'))
    .addOption(
      new Option('--github-app-key-file <file>', 'private key of the GitHub App (PEM)').env(
        'OAKUM_GITHUB_APP_KEY_FILE',
      ),
    )
    .addOption(
      new Option('--github-app-installation <id>', 'installation of the GitHub App (default: looked up)').env(
        'OAKUM_GITHUB_APP_INSTALLATION',
      ),
    )
    .addOption(
      new Option(
        '--signers <dir>',
        'with --forge git or --require-signed-commits: folder with allowed_signers and *.asc; then these keys count, and none of the repository',
      ).env('OAKUM_SIGNERS'),
    )
    .addOption(
      new Option(
        '--trust-branch',
        'with --forge git: policies may choose the approval modes none and merge, which trust whoever may push',
      ).env('OAKUM_TRUST_BRANCH'),
    );
}

/** What one cluster's reviews are read with, when they are signatures in Git itself. */
export interface PlainGitSeat {
  readonly git: GitHistory & ReviewGit;
  /** The commit that the cluster accepted last: its keys count. */
  readonly accepted: () => Promise<string | undefined>;
  /** Whether a file says exactly what Oakum itself proposes. */
  readonly own: (path: string, text: string) => boolean;
  /** What a commit says about a cluster, to be compared; undefined: nothing valid. */
  readonly meaning: (commit: string, cluster: string) => Promise<string | undefined>;
}

/** The lowest approval mode of the deployment: without a forge nobody protects the branch, so that trusting it must be said. */
export function approvalFloorOf<Mode extends string>(
  flags: Pick<ForgeFlags, 'forge' | 'trustBranch'>,
  floor: Mode,
): Mode | 'review' {
  return flags.forge === 'git' && flags.trustBranch !== true ? 'review' : floor;
}

/** Where one cluster's reviews are read: signatures in its own seat with plain Git, else the one forge of all clusters. */
export function reviewsFor(
  flags: ForgeFlags & GitFlags,
  forge: OpenForge | undefined,
  seat: PlainGitSeat,
  log: Log,
): OpenForge | undefined {
  if (flags.forge !== 'git') return forge;
  const deployed = flags.signers === undefined ? undefined : deployedSigners('signers', flags.signers);
  return openPlain(flags, seat, acceptedSigners(seat.git, seat.accepted, deployed), log);
}

function openPlain(
  flags: GitFlags,
  { git, own, meaning }: Omit<PlainGitSeat, 'accepted'>,
  signers: () => Promise<ReadonlyMap<string, string>>,
  log: Log,
): OpenForge {
  const { repo: url, branch = '' } = flags;
  const forge = openPlainGit({ git, url, branch, signers, own, meaning, clock: realClock, log });
  return { ...forge, end: () => Promise.resolve() };
}

/**
 * The forge of the flags, for proposals and what is told about them; undefined when there is none. Reviews are asked of {@link reviewsFor}. Throws UsageError
 * for flags that do not fit together.
 */
export async function openForgeFrom(
  flags: ForgeFlags & GitFlags,
  git: PlainGitSeat['git'],
  log: Log,
): Promise<OpenForge | undefined> {
  const { forge: kind } = flags;
  if (kind !== 'git' && flags.trustBranch === true) throw new UsageError('--trust-branch belongs to --forge git');
  if (kind !== 'git' && flags.signers !== undefined && flags.requireSignedCommits !== true)
    throw new UsageError('--signers belongs to --forge git and --require-signed-commits');
  if (kind === 'none') return undefined;
  if (flags.branch === undefined)
    throw new UsageError('--forge needs --branch: the branch whose pull requests count must be named');
  const options = (): ForgeOptions => optionsFrom(kind, flags.branch ?? '', flags, log);
  // The clients are large: only the one that is needed is read.
  switch (kind) {
    case 'github':
      return (await import('../adapters/forge-github.ts')).openGithub(options());
    case 'gitea':
      return (await import('../adapters/forge-gitea.ts')).openGitea(options());
    case 'gitlab':
      return (await import('../adapters/forge-gitlab.ts')).openGitlab(options());
    case 'git':
      // No key counts here: it is the place of proposals, and what is judged is read in each cluster's own seat.
      return openPlain(
        flags,
        { git, own: () => false, meaning: () => Promise.resolve(undefined) },
        () => Promise.resolve(new Map()),
        log,
      );
  }
}

function optionsFrom(kind: ForgeKind, branch: string, flags: ForgeFlags & GitFlags, log: Log): ForgeOptions {
  const { host, path } = addressOf(flags.repo);
  const project = flags.forgeProject ?? path;
  if (!/^[^/\s]+(?:\/[^/\s]+)+$/.test(project))
    throw new UsageError(`--forge-project: "${project}" is not owner/name; say it with the flag`);
  const file = (name: string): string | undefined => {
    const found = flags.forgeSecretDir === undefined ? undefined : join(flags.forgeSecretDir, name);
    return found !== undefined && existsSync(found) ? found : undefined;
  };
  const ca = flags.forgeCaFile ?? file('ca.crt') ?? withSecretDir(flags).gitCaFile;
  return {
    api: flags.forgeUrl ?? apiOf(kind, host),
    project,
    branch,
    credentials: credentialsFrom(flags, file),
    ...(ca === undefined ? {} : { ca: readFlagFile('forge-ca-file', ca) }),
    log,
    clock: realClock,
  };
}

function credentialsFrom(flags: ForgeFlags, file: (name: string) => string | undefined): ForgeCredentials {
  if (flags.githubAppId !== undefined && flags.githubAppId !== '') {
    const key = flags.githubAppKeyFile ?? file('app-key');
    if (key === undefined) throw new UsageError('--github-app-id needs --github-app-key-file');
    const installationId = numberFlag(
      'github-app-installation',
      flags.githubAppInstallation,
      1,
      Number.MAX_SAFE_INTEGER,
    );
    return {
      kind: 'app',
      appId: flags.githubAppId,
      privateKey: { file: key },
      ...(installationId === undefined ? {} : { installationId }),
    };
  }
  const token = flags.forgeTokenFile ?? file('token');
  if (token === undefined)
    throw new UsageError(
      '--forge needs --forge-token-file (or, on GitHub, --github-app-id): reviews are not read without',
    );
  return { kind: 'token', token: { file: token } };
}

/** Host and project path of a repository's address: `https://host/a/b.git`, `ssh://git@host/a/b.git` or `git@host:a/b.git`. */
export function addressOf(repo: string): { readonly host: string; readonly path: string } {
  const short = /^(?:[^@/\s]+@)?([^:/\s]+):(?!\/)(.+)$/.exec(repo);
  const url = short === null && URL.canParse(repo) ? new URL(repo) : undefined;
  // The port of an ssh address is none of the API's.
  const host = short?.[1] ?? (url?.protocol === 'ssh:' ? url.hostname : url?.host) ?? '';
  const path = short?.[2] ?? url?.pathname ?? '';
  return {
    host,
    path: path
      .replace(/^\/+/, '')
      .replace(/\/+$/, '')
      .replace(/\.git$/, ''),
  };
}

/** Root of a forge's API at a host. Throws UsageError when there is no host. */
export function apiOf(kind: ForgeKind, host: string): string {
  if (host === '') throw new UsageError('--forge-url is needed: the repository’s address names no host');
  switch (kind) {
    case 'github':
      return host === 'github.com' ? 'https://api.github.com' : `https://${host}/api/v3`;
    case 'gitlab':
      return `https://${host}/api/v4`;
    case 'gitea':
      return `https://${host}/api/v1`;
    case 'git':
      return '';
  }
}

// Who we are to an API server: kubeconfig or in-cluster, tokens that rotate, certificates that change, plugins that may hang.
import { readFile, stat } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createHash } from 'node:crypto';
import type { Cluster as KubeCluster, KubeConfig, User } from '@kubernetes/client-node';
import { AdapterError } from '../model/failure.ts';
import { execCredential } from './kubernetes-exec.ts';
import type { ExecCredential, ExecPlugin, PluginCluster } from './kubernetes-exec.ts';
import { spokenProxy } from './proxy.ts';

/** Where the connection comes from. `default`: KUBECONFIG, else ~/.kube/config, else the cluster that we run in. */
export type KubeconfigSource =
  | { readonly kind: 'default'; readonly context?: string }
  | { readonly kind: 'file'; readonly path: string; readonly context?: string }
  | { readonly kind: 'text'; readonly text: string; readonly context?: string }
  | { readonly kind: 'inCluster' };

/** Everything that one request needs. */
export interface Grant {
  /** Address of the API server without a slash at the end. */
  readonly server: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly servername?: string;
    readonly rejectUnauthorized?: boolean;
  };
  readonly proxy: string | undefined;
  /** Equal as long as a connection may be used again. */
  readonly connection: string;
}

export interface Credentials {
  /** What to use now; files are looked at again every half minute, and at once when `refused` (the server answered 401). */
  current(refused?: boolean): Promise<Grant>;
}

/** How long what was read from files is used without looking again. Kubelets rotate tokens with hours to spare. */
const trustFilesMs = 30_000;
/** A credential is renewed this long before it ends. */
const spareMs = 60_000;

/** Reads a source; nothing is read before the first call. Throws AdapterError `rejected` for a kubeconfig that is none, `denied` for no way in. */
export function openCredentials(source: KubeconfigSource, now: () => number = Date.now): Credentials {
  let loaded: { readonly config: KubeConfig; readonly stamp: string } | undefined;
  let grant: { readonly value: Grant; readonly at: number } | undefined;
  let plugin: ExecCredential | undefined;
  let working: Promise<Grant> | undefined;

  const build = async (refused: boolean): Promise<Grant> => {
    const stamp = await stampOf(source);
    if (loaded === undefined || loaded.stamp !== stamp) loaded = { config: await load(source), stamp };
    const { config } = loaded;
    const cluster = config.getCurrentCluster();
    const user = config.getCurrentUser();
    if (cluster === null)
      throw new AdapterError(
        'rejected',
        'KubeconfigInvalid',
        `the kubeconfig has no cluster for its context "${config.getCurrentContext()}"`,
      );
    checkAddress(cluster.server);
    const exec = user?.exec as ExecPlugin | undefined | null;
    if (exec !== undefined && exec !== null) {
      const expired = plugin?.expiresAt !== undefined && now() > plugin.expiresAt - spareMs;
      if (plugin === undefined || refused || expired) plugin = await execCredential(exec, await withAuthority(cluster));
    }
    const headers = user === null ? {} : await headersFor(config, user, plugin);
    const tls = {
      ...(await tlsOf(cluster)),
      ...pair(await textOrFile(user?.certData, user?.certFile), await textOrFile(user?.keyData, user?.keyFile)),
      ...pair(plugin?.certificate, plugin?.key),
    };
    const proxy = cluster.proxyUrl ? spokenProxy(cluster.proxyUrl, 'proxy-url of the kubeconfig') : undefined;
    const connection = createHash('sha256')
      .update(JSON.stringify([cluster.server, tls, proxy]))
      .digest('hex');
    return { server: cluster.server.replace(/\/+$/, ''), headers, tls, proxy, connection };
  };

  return {
    current: async (refused = false) => {
      if (grant !== undefined && !refused && now() - grant.at < trustFilesMs) return grant.value;
      // Many requests at once look once.
      working ??= build(refused).finally(() => (working = undefined));
      const value = await working;
      grant = { value, at: now() };
      return value;
    },
  };
}

/** Changes when the kubeconfig has to be read again. */
async function stampOf(source: KubeconfigSource): Promise<string> {
  const files = source.kind === 'file' ? [source.path] : source.kind === 'default' ? defaultFiles() : [];
  const stamps = await Promise.all(
    files.map((file) =>
      stat(file).then(
        ({ mtimeMs, size, ino }) => `${mtimeMs}-${size}-${ino}`,
        () => 'absent',
      ),
    ),
  );
  return `read ${stamps.join(' ')}`;
}

function defaultFiles(): string[] {
  const listed = (process.env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  return listed.length > 0 ? listed : [join(homedir(), '.kube', 'config')];
}

async function load(source: KubeconfigSource): Promise<KubeConfig> {
  // The library is large; commands that need no cluster must not pay for it.
  const library = await import('@kubernetes/client-node');
  const config = new library.KubeConfig();
  try {
    if (source.kind === 'inCluster') {
      if (process.env['KUBERNETES_SERVICE_HOST'] === undefined)
        throw new AdapterError(
          'rejected',
          'NotInCluster',
          'this process does not run in a cluster (KUBERNETES_SERVICE_HOST is not set); give a kubeconfig',
        );
      config.loadFromCluster();
    } else if (source.kind === 'file') config.loadFromFile(source.path);
    else if (source.kind === 'text') config.loadFromString(source.text);
    else config.loadFromDefault();
    if (source.kind !== 'inCluster' && source.context !== undefined) {
      if (config.getContextObject(source.context) === null)
        throw new AdapterError('rejected', 'KubeconfigInvalid', `the kubeconfig has no context "${source.context}"`);
      config.setCurrentContext(source.context);
    }
  } catch (error) {
    if (error instanceof AdapterError) throw error;
    // The parser's message may quote the file, and the file holds secrets.
    const code = (error as { code?: string }).code;
    const where = source.kind === 'file' ? ` ${source.path}` : '';
    throw new AdapterError(
      'rejected',
      'KubeconfigInvalid',
      `the kubeconfig${where} cannot be read${code === undefined ? '' : ` (${code})`}`,
    );
  }
  return config;
}

/** Plain HTTP would show the token to everybody on the way; only this machine may be asked like that. */
function checkAddress(server: string): void {
  let url: URL;
  try {
    url = new URL(server);
  } catch {
    throw new AdapterError(
      'rejected',
      'KubeconfigInvalid',
      `the server "${server}" of the kubeconfig is not an address`,
    );
  }
  const loopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback))
    throw new AdapterError(
      'rejected',
      'PlainHttp',
      `the server ${url.origin} of the kubeconfig must be asked by https (http is for this machine only)`,
    );
}

async function headersFor(
  config: KubeConfig,
  user: User,
  plugin: ExecCredential | undefined,
): Promise<Record<string, string>> {
  const impersonate = user.impersonateUser ? { 'impersonate-user': user.impersonateUser } : {};
  return { ...impersonate, ...(await authorization(config, user, plugin)) };
}

async function authorization(
  config: KubeConfig,
  user: User,
  plugin: ExecCredential | undefined,
): Promise<Record<string, string>> {
  if (plugin?.token !== undefined) return { authorization: `Bearer ${plugin.token}` };
  const provider = user.authProvider as { name?: string; config?: { tokenFile?: string } } | undefined | null;
  const tokenFile = provider?.config?.tokenFile;
  if (tokenFile !== undefined) return { authorization: `Bearer ${(await readText(tokenFile)).trim()}` };
  if (user.token) return { authorization: `Bearer ${user.token.trim()}` };
  if (user.username)
    return { authorization: `Basic ${Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64')}` };
  if (provider?.name === undefined) return {};
  // The other ways of signing in (OIDC and the clouds' old ones) are the library's business.
  const options: RequestOptions & { headers: Record<string, string> } = { headers: {} };
  try {
    await config.applyToHTTPSOptions(options);
  } catch {
    throw new AdapterError('denied', 'SignInFailed', `signing in by the auth provider "${provider.name}" failed`);
  }
  const value = options.headers['Authorization'];
  return value === undefined ? {} : { authorization: value };
}

async function tlsOf(cluster: KubeCluster): Promise<Grant['tls']> {
  const ca = await textOrFile(cluster.caData, cluster.caFile);
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cluster.tlsServerName ? { servername: cluster.tlsServerName } : {}),
    ...(cluster.skipTLSVerify ? { rejectUnauthorized: false } : {}),
  };
}

/** The cluster as a plugin is told of it, with the authority itself in place of the file that it is in. */
async function withAuthority(cluster: KubeCluster): Promise<PluginCluster> {
  const ca = await textOrFile(cluster.caData, cluster.caFile);
  return { ...cluster, ...(ca === undefined ? {} : { caData: Buffer.from(ca).toString('base64') }) };
}

function pair(cert: string | undefined, key: string | undefined): { cert?: string; key?: string } {
  return cert === undefined || key === undefined ? {} : { cert, key };
}

async function textOrFile(data: string | undefined, file: string | undefined): Promise<string | undefined> {
  if (data) return Buffer.from(data, 'base64').toString('utf8');
  return file ? readText(file) : undefined;
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new AdapterError(
      'denied',
      'CredentialsMissing',
      `the file ${file} with credentials cannot be read (${String((error as { code?: string }).code)})`,
    );
  }
}

// Credential plugins (client.authentication.k8s.io): a program that prints a token, run with a time limit.
import { spawn } from 'node:child_process';
import { AdapterError } from '../model/failure.ts';

/** The `exec` of a kubeconfig's user. */
export interface ExecPlugin {
  readonly command?: string;
  readonly args?: readonly string[] | null;
  readonly env?: readonly { readonly name: string; readonly value: string }[] | null;
  readonly apiVersion?: string;
  readonly provideClusterInfo?: boolean;
}

/** What a plugin said. */
export interface ExecCredential {
  readonly token: string | undefined;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  /** Milliseconds since the epoch; undefined: as long as the process lives. */
  readonly expiresAt: number | undefined;
}

/** The part of a kubeconfig's cluster that a plugin may be told. */
export interface PluginCluster {
  readonly server: string;
  /** Base64 of PEM. */
  readonly caData?: string | undefined;
  readonly tlsServerName?: string | undefined;
  readonly skipTLSVerify?: boolean | undefined;
  readonly proxyUrl?: string | undefined;
}

/** Plugins ask clouds and identity providers; one that waits for a person never ends. */
const limitMs = 30_000;
const largestOutput = 1_048_576;

/**
 * Runs the plugin. Throws AdapterError `denied` when it fails, is too slow or says nothing useful; what it printed is never in the message,
 * since it may be a secret. Source: Kubernetes documentation, "client-go credential plugins".
 */
export function execCredential(
  plugin: ExecPlugin,
  cluster: PluginCluster,
  timeoutMs = limitMs,
): Promise<ExecCredential> {
  const { command } = plugin;
  if (!command)
    throw new AdapterError(
      'rejected',
      'KubeconfigInvalid',
      'the kubeconfig names a credential plugin without a command',
    );
  const info = {
    apiVersion: plugin.apiVersion ?? 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    spec: {
      interactive: false,
      ...(plugin.provideClusterInfo === true ? { cluster: clusterInfo(cluster) } : {}),
    },
  };
  const env: NodeJS.ProcessEnv = { ...process.env, KUBERNETES_EXEC_INFO: JSON.stringify(info) };
  for (const { name, value } of plugin.env ?? []) env[name] = value;
  const denied = (what: string, cause?: unknown): AdapterError =>
    new AdapterError(
      'denied',
      'CredentialPluginFailed',
      `the credential plugin "${command}" ${what}; run it by hand to see why`,
      { cause },
    );

  return new Promise((resolve, reject) => {
    const child = spawn(command, plugin.args ?? [], { env, stdio: ['ignore', 'pipe', 'ignore'] });
    let output = '';
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(denied(`did not end within ${timeoutMs / 1000} s`));
    }, timeoutMs);
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (chunk: string) => {
      output += chunk;
      if (output.length > largestOutput) child.kill('SIGKILL');
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      reject(denied(`cannot be started (${error.code ?? 'unknown'})`));
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      if (code !== 0) return reject(denied(`ended with ${code === null ? 'a signal' : `exit code ${code}`}`));
      const credential = parseCredential(output);
      if (credential === undefined) return reject(denied('printed no ExecCredential'));
      resolve(credential);
    });
  });
}

/** `spec.cluster` of an ExecCredential. */
function clusterInfo({ server, caData, tlsServerName, skipTLSVerify, proxyUrl }: PluginCluster): object {
  return {
    server,
    ...(caData ? { 'certificate-authority-data': caData } : {}),
    ...(tlsServerName ? { 'tls-server-name': tlsServerName } : {}),
    ...(skipTLSVerify === true ? { 'insecure-skip-tls-verify': true } : {}),
    ...(proxyUrl ? { 'proxy-url': proxyUrl } : {}),
  };
}

function parseCredential(output: string): ExecCredential | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(output);
  } catch {
    return undefined;
  }
  const status = (
    parsed as {
      status?: { token?: string; clientCertificateData?: string; clientKeyData?: string; expirationTimestamp?: string };
    } | null
  )?.status;
  if (status === undefined || (status.token === undefined && status.clientCertificateData === undefined))
    return undefined;
  const expires = Date.parse(status.expirationTimestamp ?? '');
  return {
    token: status.token,
    certificate: status.clientCertificateData,
    key: status.clientKeyData,
    expiresAt: Number.isNaN(expires) ? undefined : expires,
  };
}

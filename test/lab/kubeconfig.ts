// Kubeconfig text out of an access, and back.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Access } from './api.ts';

/** A kubeconfig that carries everything in itself, so that it can be handed to any process. */
export function renderKubeconfig(access: Access): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'lab',
        cluster: {
          server: access.url,
          ...(access.authority === undefined ? {} : { 'certificate-authority-data': base64(access.authority) }),
        },
      },
    ],
    users: [
      {
        name: 'lab',
        user: {
          ...(access.token === undefined ? {} : { token: access.token }),
          ...(access.certificate === undefined ? {} : { 'client-certificate-data': base64(access.certificate) }),
          ...(access.key === undefined ? {} : { 'client-key-data': base64(access.key) }),
        },
      },
    ],
    contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'lab' } }],
    'current-context': 'lab',
  });
}

interface Kubeconfig {
  readonly 'current-context'?: string;
  readonly contexts?: readonly { name: string; context: { cluster: string; user: string } }[];
  readonly clusters?: readonly { name: string; cluster: Record<string, string | undefined> }[];
  readonly users?: readonly { name: string; user: Record<string, unknown> }[];
}

/** Reads the current context of a kubeconfig file: token, client certificate, or an exec plugin that prints one of them. */
export function readKubeconfig(path: string): Access {
  const config = parse(readFileSync(path, 'utf8')) as Kubeconfig;
  const context = config.contexts?.find((entry) => entry.name === config['current-context'])?.context;
  const cluster = config.clusters?.find((entry) => entry.name === context?.cluster)?.cluster;
  const user = config.users?.find((entry) => entry.name === context?.user)?.user ?? {};
  if (cluster?.['server'] === undefined) throw new Error(`${path} has no current context with a server`);
  const pem = (from: Readonly<Record<string, unknown>>, name: string): string | undefined => {
    const data = from[`${name}-data`];
    if (typeof data === 'string') return Buffer.from(data, 'base64').toString('utf8');
    const file = from[name];
    return typeof file === 'string' ? readFileSync(resolve(dirname(path), file), 'utf8') : undefined;
  };
  const credentials = user['exec'] === undefined ? user : runPlugin(user['exec'] as Plugin);
  const token = credentials['token'];
  const certificate = pem(credentials, 'client-certificate') ?? credentials['clientCertificateData'];
  const key = pem(credentials, 'client-key') ?? credentials['clientKeyData'];
  return {
    url: cluster['server'].replace(/\/$/, ''),
    authority: pem(cluster, 'certificate-authority'),
    ...(typeof token === 'string' ? { token } : {}),
    ...(typeof certificate === 'string' ? { certificate } : {}),
    ...(typeof key === 'string' ? { key } : {}),
  };
}

interface Plugin {
  readonly apiVersion: string;
  readonly command: string;
  readonly args?: readonly string[];
  readonly env?: readonly { name: string; value: string }[];
}

function runPlugin(plugin: Plugin): Record<string, unknown> {
  const extra = Object.fromEntries((plugin.env ?? []).map((entry) => [entry.name, entry.value]));
  const asked = { apiVersion: plugin.apiVersion, kind: 'ExecCredential', spec: { interactive: false } };
  const text = execFileSync(plugin.command, plugin.args ?? [], {
    encoding: 'utf8',
    timeout: 30_000,
    env: { ...process.env, ...extra, KUBERNETES_EXEC_INFO: JSON.stringify(asked) },
  });
  return (JSON.parse(text) as { status?: Record<string, unknown> }).status ?? {};
}

// A real Kubernetes control plane for tests: started on loopback in about ten seconds, broken on request, stopped by pid.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApi, type Access, type Api } from './api.ts';
import { findClusterSource, type ControlPlaneProgram } from './assets.ts';
import { createAuthority, type Authority } from './certificates.ts';
import { apiServerWords, controllerWords, etcdWords, schedulerWords, type Layout } from './components.ts';
import { readKubeconfig, renderKubeconfig } from './kubeconfig.ts';
import { freePorts } from './ports.ts';
import { startProcess, type LabProcess } from './process.ts';
import { until } from './wait.ts';

/** What a story may ask for. */
export interface ControlPlaneOptions {
  /** Address of the API server; `0.0.0.0` inside a network namespace that real nodes share. Default 127.0.0.1. */
  readonly bindAddress?: string;
  /** More names for the serving certificate, in openssl's form (`IP:10.77.0.1`). */
  readonly extraNames?: readonly string[];
  readonly extraFlags?: Layout['extraFlags'];
  /** Keep data and logs after `stop`, and say where they are. */
  readonly keep?: boolean;
}

/** What only a control plane of our own allows: to break it. */
export interface ControlPlanePower {
  readonly pids: () => Readonly<Record<'etcd' | 'apiServer' | 'controllers' | 'scheduler', number>>;
  /** kill -9, as a machine that loses power; nothing is served until {@link startApiServer}. */
  killApiServer(): Promise<void>;
  startApiServer(): Promise<void>;
  /** SIGTERM, waits for the end (at most `graceMs`, then kill -9), starts it again, waits until it is ready. */
  restartApiServer(graceMs?: number): Promise<void>;
  /** SIGSTOP: writes hang, lists from the cache still answer. */
  freezeEtcd(): void;
  thawEtcd(): void;
  /** Forgets every version but the newest ones, as etcd does on its own every few minutes; the API server's cache still has some. */
  compactEtcd(): Promise<void>;
  /** Stops and starts the controllers: while stopped no Job gets a pod and no node is ever judged lost. */
  stopControllers(): Promise<void>;
  startControllers(): Promise<void>;
}

/** A control plane to test against. */
export interface ControlPlane {
  readonly url: string;
  /** PEM of the authority that signed the API server's certificate; undefined where a public one did. */
  readonly authority: string | undefined;
  /** Version that the server says, `v1.36.2`. */
  readonly version: string;
  /** With all rights. */
  readonly admin: Api;
  /** YAML with all rights. */
  kubeconfig(): string;
  /** Access as a user, by a client certificate; undefined groups mean none. Not on a foreign cluster. */
  userAccess(name: string, groups?: readonly string[]): Promise<Access>;
  /** Access as a ServiceAccount, by a token that the API server issued (valid `seconds`, at least 600). */
  serviceAccountAccess(namespace: string, name: string, seconds?: number): Promise<Access>;
  /** Folder with the logs; undefined on a foreign cluster. */
  readonly dir: string | undefined;
  /** Undefined on a foreign cluster, which is not ours to kill. */
  readonly power: ControlPlanePower | undefined;
  /** The authority, for the certificates of real kubelets. */
  readonly certificates: Authority | undefined;
  stop(): Promise<void>;
}

/** Starts (or finds) a control plane. Throws {@link NoClusterSource} with one sentence when there is nothing to start. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const source = findClusterSource();
  if (source.kind === 'cluster') return adopt(readKubeconfig(source.kubeconfigPath));
  const dir = await mkdtemp(join(tmpdir(), 'oakum-lab-'));
  const started: LabProcess[] = [];
  try {
    return await start(source.program, dir, options, started);
  } catch (error) {
    for (const process of started.reverse()) await process.stop(1_000);
    const logs = started.map((process) => `--- ${process.name}\n${process.tail()}`).join('\n');
    await rm(dir, { recursive: true, force: true });
    throw new Error(`the control plane did not start\n${logs}`, { cause: error });
  }
}

async function start(
  program: (name: ControlPlaneProgram) => string,
  dir: string,
  options: ControlPlaneOptions,
  started: LabProcess[],
): Promise<ControlPlane> {
  const [api = 0, etcdPort = 0, etcdPeer = 0, controllers = 0, scheduler = 0] = await freePorts(5);
  const authority = await createAuthority(join(dir, 'pki'));
  const names = [
    'DNS:localhost',
    'DNS:kubernetes.default.svc',
    'IP:127.0.0.1',
    'IP:10.0.0.1',
    ...(options.extraNames ?? []),
  ];
  const token = randomBytes(24).toString('hex');
  const tokenFile = join(dir, 'pki', 'tokens.csv');
  const [serving, admin, controllerIdentity, schedulerIdentity, signing] = await Promise.all([
    authority.issue('apiserver', '/CN=kube-apiserver', names),
    authority.issue('admin', '/O=system:masters/CN=admin'),
    authority.issue('controllers', '/CN=system:kube-controller-manager'),
    authority.issue('scheduler', '/CN=system:kube-scheduler'),
    authority.signingKey('service-accounts'),
    writeFile(tokenFile, `${token},lab-admin,lab-admin,"system:masters"\n`, { mode: 0o600 }),
  ]);
  const layout: Layout = {
    dir,
    bindAddress: options.bindAddress ?? '127.0.0.1',
    ports: { api, etcd: etcdPort, etcdPeer, controllers, scheduler },
    authority,
    serving,
    admin,
    signing,
    tokenFile,
    extraFlags: options.extraFlags ?? {},
  };
  const url = `https://127.0.0.1:${api}`;
  const access: Access = { url, authority: authority.certificate, token };
  const controllerConfig = join(dir, 'controllers.kubeconfig');
  const schedulerConfig = join(dir, 'scheduler.kubeconfig');
  const as = (pair: { certificate: string; key: string }): Access => ({
    url,
    authority: authority.certificate,
    certificate: pair.certificate,
    key: pair.key,
  });
  await writeFile(controllerConfig, renderKubeconfig(as(controllerIdentity)), { mode: 0o600 });
  await writeFile(schedulerConfig, renderKubeconfig(as(schedulerIdentity)), { mode: 0o600 });

  const run = async (name: ControlPlaneProgram, words: readonly string[]): Promise<LabProcess> => {
    const process = await startProcess({ name, file: program(name), words, logPath: join(dir, `${name}.log`) });
    started.push(process);
    return process;
  };
  const alive = (process: LabProcess): void => {
    if (!process.running()) throw new Error(`${process.name} ended: ${process.tail(5)}`);
  };
  const client = createApi(access);
  const ready = async (process: LabProcess): Promise<void> => {
    await until(`the API server is ready (${process.logPath})`, async () => {
      if (!process.running()) return true;
      return (await client.request('GET', '/readyz')).status === 200;
    });
    alive(process);
  };
  const startControllers = (): Promise<LabProcess> =>
    run('kube-controller-manager', controllerWords(layout, controllerConfig));

  const etcd = await run('etcd', etcdWords(layout));
  let apiServer = await run('kube-apiserver', apiServerWords(layout));
  await ready(apiServer);
  let controllerManager = await startControllers();
  const schedulerProcess = await run('kube-scheduler', schedulerWords(layout, schedulerConfig));
  await until('the default ServiceAccount exists, so that pods can be made', async () => {
    for (const process of [etcd, apiServer, controllerManager, schedulerProcess])
      if (!process.running()) throw new Error(`${process.name} ended: ${process.tail(5)}`);
    return client.find('/api/v1/namespaces/default/serviceaccounts/default');
  });

  const power: ControlPlanePower = {
    pids: () => ({
      etcd: etcd.pid,
      apiServer: apiServer.pid,
      controllers: controllerManager.pid,
      scheduler: schedulerProcess.pid,
    }),
    async killApiServer() {
      apiServer.signal('SIGKILL');
      await apiServer.ended;
    },
    async startApiServer() {
      if (apiServer.running()) return;
      apiServer = await run('kube-apiserver', apiServerWords(layout));
      await ready(apiServer);
    },
    async restartApiServer(graceMs = 5_000) {
      await apiServer.stop(graceMs);
      await power.startApiServer();
    },
    freezeEtcd: () => etcd.signal('SIGSTOP'),
    thawEtcd: () => etcd.signal('SIGCONT'),
    async compactEtcd() {
      const post = async (call: string, body: unknown): Promise<{ header?: { revision?: string } }> => {
        const answer = await fetch(`http://127.0.0.1:${etcdPort}/v3/${call}`, {
          method: 'POST',
          body: JSON.stringify(body),
        });
        if (!answer.ok) throw new Error(`etcd refused ${call}: ${answer.status} ${await answer.text()}`);
        return (await answer.json()) as { header?: { revision?: string } };
      };
      const { header } = await post('kv/range', { key: Buffer.from('none').toString('base64') });
      await post('kv/compaction', { revision: header?.revision, physical: true });
    },
    stopControllers: () => controllerManager.stop(),
    async startControllers() {
      if (!controllerManager.running()) controllerManager = await startControllers();
    },
  };
  return {
    ...(await common(access, client)),
    dir,
    power,
    certificates: authority,
    async userAccess(name, groups = []) {
      const subject = `${groups.map((group) => `/O=${group}`).join('')}/CN=${name}`;
      return as(await authority.issue(`user-${randomBytes(4).toString('hex')}`, subject));
    },
    async stop() {
      await client.close();
      // The API server before etcd: without etcd it would not notice a SIGTERM.
      for (const process of [schedulerProcess, controllerManager, apiServer, etcd]) await process.stop(2_000);
      if (options.keep === true) console.log(`the control plane's logs stay in ${dir}`);
      else await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The half that needs no processes. */
async function common(access: Access, admin: Api) {
  const { gitVersion } = await admin.get<{ gitVersion: string }>('/version');
  return {
    url: access.url,
    authority: access.authority,
    version: gitVersion,
    admin,
    kubeconfig: () => renderKubeconfig(access),
    async serviceAccountAccess(namespace: string, name: string, seconds = 3600): Promise<Access> {
      const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
      const body = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: seconds },
      };
      const answer = await admin.create<{ status: { token: string } }>(path, body);
      return { url: access.url, authority: access.authority, token: answer.status.token };
    },
  };
}

async function adopt(access: Access): Promise<ControlPlane> {
  const admin = createApi(access);
  return {
    ...(await common(access, admin)),
    dir: undefined,
    power: undefined,
    certificates: undefined,
    userAccess: () => Promise.reject(new Error('a foreign cluster gives no client certificates; use a ServiceAccount')),
    stop: () => admin.close(),
  };
}

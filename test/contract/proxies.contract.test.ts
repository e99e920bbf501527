// Forges, API servers and Git servers through a proxy, HTTP or SOCKS: it opens the way and sees nothing of what goes along it; and who they are by a credential plugin.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { openGitea } from '../../reconciler/adapters/forge-gitea.ts';
import { openGithub } from '../../reconciler/adapters/forge-github.ts';
import { openGitlab } from '../../reconciler/adapters/forge-gitlab.ts';
import type { ForgeOptions } from '../../reconciler/adapters/forge-options.ts';
import { httpTransport } from '../../reconciler/adapters/kubernetes-http.ts';
import type { Transport } from '../../reconciler/adapters/kubernetes-transport.ts';
import { createAuthority, type Authority, type KeyPair } from '../lab/certificates.ts';
import { startConnectProxy, type ConnectProxy } from '../support/connect-proxy.ts';
import { commitFiles } from '../support/git-server.ts';
import { startSocksProxy, type SocksProxy } from '../support/socks-proxy.ts';
import { FakeForge } from '../support/fake-forge.ts';
import { startForgeServer, type Face } from '../support/fake-forge-server.ts';
import { giteaFace } from '../support/fake-gitea.ts';
import { githubFace } from '../support/fake-github.ts';
import { gitlabFace, ordinaryGitlab } from '../support/fake-gitlab.ts';
import { failure } from './forge-suite.ts';
import { adapter, server as gitServer, snapshot } from './git-support.ts';
import { startTlsServer, type TlsServer } from '../support/tls-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'oakum-proxies-'));
const variables = ['HTTPS_PROXY', 'HTTP_PROXY', 'ALL_PROXY', 'NO_PROXY'].flatMap((name) => [name, name.toLowerCase()]);
let authority: Authority;
let serving: KeyPair;
let proxy: ConnectProxy;
let socks: SocksProxy;
let before: Readonly<Record<string, string | undefined>>;

function put(values: Readonly<Record<string, string | undefined>>): void {
  for (const name of variables) {
    if (values[name] === undefined) Reflect.deleteProperty(process.env, name);
    else process.env[name] = values[name];
  }
}

beforeAll(async () => {
  authority = await createAuthority(join(folder, 'pki'));
  serving = await authority.issue('server', '/CN=localhost', ['DNS:localhost']);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(async () => {
  before = Object.fromEntries(variables.map((name) => [name, process.env[name]]));
  put({});
  proxy = await startConnectProxy();
  socks = await startSocksProxy();
});
afterEach(async () => {
  put(before);
  await proxy.stop();
  await socks.stop();
});

const faces: readonly [string, Face, string, (options: ForgeOptions) => ReturnType<typeof openGitea>][] = [
  ['GitHub', githubFace, '/api/v3', (options) => openGithub(options, { spread: false })],
  ['GitLab', gitlabFace(ordinaryGitlab()), '/api/v4', openGitlab],
  ['Gitea', giteaFace, '/api/v1', openGitea],
];

describe.each(faces)('%s', (_name, face, prefix, openForge) => {
  let fake: FakeForge;
  let stop: () => Promise<void>;
  let tls: TlsServer;

  beforeEach(async () => {
    fake = await FakeForge.start();
    const server = await startForgeServer(fake, face, prefix);
    tls = await startTlsServer(serving, new URL(server.url).port);
    stop = () => server.stop();
    await fake.commit(
      'change',
      { 'a.yaml': 'a\n' },
      { by: fake.oakum, onto: (await fake.tip('refs/heads/main')) ?? '' },
    );
    await fake.open({ by: fake.oakum, branch: 'change' });
  });
  afterEach(async () => {
    await tls.stop();
    await stop();
    await fake.stop();
  });

  function open(): ReturnType<typeof openGitea> {
    const quiet = (): void => undefined;
    const forge = openForge({
      api: `https://localhost:${tls.port}${prefix}`,
      project: `${fake.owner}/${fake.name}`,
      branch: 'main',
      credentials: { kind: 'token', token: { value: fake.oakum.token } },
      ca: authority.certificate,
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      clock: { now: () => Date.now() },
      timeouts: { requestMs: 3_000, callMs: 9_000, retryMs: 5 },
    });
    onTestFinished(() => forge.end());
    return forge;
  }

  it('is read through the proxy of the environment, which sees nothing but its name', async () => {
    put({ HTTPS_PROXY: proxy.url });
    expect(await open().open()).toHaveLength(1);
    expect(new Set(proxy.asked)).toEqual(new Set([`localhost:${tls.port}`]));
    expect(proxy.seen().length).toBeGreaterThan(100);
    expect(proxy.seen()).not.toContain(fake.oakum.token);
    expect(proxy.seen()).not.toContain('GET ');
  });

  it('is read through a SOCKS proxy, which ALL_PROXY names for want of another', async () => {
    put({ ALL_PROXY: socks.url });
    expect(await open().open()).toHaveLength(1);
    expect(new Set(socks.asked)).toEqual(new Set([`localhost:${tls.port}`]));
    expect(socks.seen()).not.toContain(fake.oakum.token);
    put({ ALL_PROXY: socks.url, HTTPS_PROXY: proxy.url });
    const asked = socks.asked.length;
    expect(await open().open()).toHaveLength(1);
    expect([socks.asked.length, proxy.asked.length > 0]).toEqual([asked, true]);
  });

  it('is denied by a SOCKS proxy that does not know us or forbids it, and its password is never told', async () => {
    put({ HTTPS_PROXY: socks.url.replace('canary-password-of-the-proxy', 'canary-wrong-password') });
    const refused = await failure(open().open());
    put({ HTTPS_PROXY: socks.url });
    socks.refuse = 2;
    const forbidden = await failure(open().open());
    socks.refuse = 4;
    const lost = await failure(open().open());
    for (const error of [refused, forbidden])
      expect(error).toMatchObject({ kind: 'denied', code: 'ForgeProxyRefused' });
    expect(lost).toMatchObject({ kind: 'transient', code: 'ForgeUnreachable' });
    for (const error of [refused, forbidden, lost])
      expect(`${error.message} ${error.stack ?? ''} ${String(error.cause)}`).not.toContain('canary');
  });

  it('is not opened at all with a proxy of a kind that is not spoken', () => {
    put({ ALL_PROXY: 'socks4://canary-user@127.0.0.1:9' });
    expect(open).toThrow('ALL_PROXY names a proxy of the kind socks4: use http://host:port');
    put({ HTTPS_PROXY: '127.0.0.1:9' });
    expect(open).toThrow('HTTPS_PROXY is not the address of a proxy');
  });

  it('is read past the proxy when NO_PROXY names its host', async () => {
    put({ HTTPS_PROXY: proxy.url, NO_PROXY: 'example.org, localhost' });
    expect(await open().open()).toHaveLength(1);
    expect(proxy.asked).toEqual([]);
  });

  it('is denied by a proxy that does not know us, and out of reach when the proxy is; its password is never told', async () => {
    put({ HTTPS_PROXY: proxy.url.replace('canary-password-of-the-proxy', 'canary-wrong-password') });
    const refused = await failure(open().open());
    expect(refused).toMatchObject({ kind: 'denied', code: 'ForgeProxyRefused' });
    expect(refused.message).toContain('HTTP 407');
    proxy.refuse = 502;
    const lost = await failure(open().open());
    expect(lost).toMatchObject({ kind: 'transient', code: 'ForgeUnreachable' });
    await proxy.stop();
    const gone = await failure(open().open());
    expect(gone).toMatchObject({ kind: 'transient', code: 'ForgeUnreachable' });
    for (const error of [refused, lost, gone]) {
      expect(error.message).toContain(proxy.urlWithoutPassword);
      expect(`${error.message} ${error.stack ?? ''} ${String(error.cause)}`).not.toContain('canary');
    }
  });
});

describe('an API server', () => {
  let tls: TlsServer;
  const seen: (string | undefined)[] = [];
  let valid = (_token: string | undefined): boolean => true;
  beforeEach(async () => {
    seen.length = 0;
    valid = () => true;
    tls = await startTlsServer(serving, (request, response) => {
      const { authorization } = request.headers;
      seen.push(authorization);
      response.writeHead(valid(authorization) ? 200 : 401, { 'content-type': 'application/json' }).end('{}');
    });
  });
  afterEach(() => tls.stop());

  function connect(cluster: object, user: object = { token: 'canary-token' }, now?: () => number): Transport {
    const text = JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name: 'c',
          cluster: {
            server: `https://localhost:${tls.port}`,
            'certificate-authority-data': Buffer.from(authority.certificate).toString('base64'),
            ...cluster,
          },
        },
      ],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    });
    const transport = httpTransport({ kind: 'text', text }, { timeoutMs: 5_000, ...(now ? { now } : {}) });
    onTestFinished(() => transport.close());
    return transport;
  }
  const get = { method: 'GET', path: '/api/v1/nodes' } as const;

  it('is asked through the proxy of its kubeconfig, whatever the environment says', async () => {
    put({ HTTPS_PROXY: 'http://127.0.0.1:9' });
    expect((await connect({ 'proxy-url': proxy.url }).request(get)).status).toBe(200);
    expect(proxy.asked).toEqual([`localhost:${tls.port}`]);
    expect(proxy.seen()).not.toContain('canary-token');
    expect(seen).toEqual(['Bearer canary-token']);
  });

  it('is asked directly when its kubeconfig names no proxy', async () => {
    put({ HTTPS_PROXY: proxy.url });
    expect((await connect({}).request(get)).status).toBe(200);
    expect(proxy.asked).toEqual([]);
  });

  it('is asked through a SOCKS proxy of its kubeconfig, and not at all through one that is not spoken', async () => {
    expect((await connect({ 'proxy-url': socks.url }).request(get)).status).toBe(200);
    expect(socks.asked).toEqual([`localhost:${tls.port}`]);
    expect(socks.seen()).not.toContain('canary-token');
    const refused = await failure(connect({ 'proxy-url': 'socks4://127.0.0.1:9' }).request(get));
    expect(refused).toMatchObject({ kind: 'rejected', code: 'ProxyNotSpoken' });
    socks.refuse = 2;
    expect(await failure(connect({ 'proxy-url': socks.url }).request(get))).toMatchObject({ code: 'ProxyRefused' });
  });

  it('is out of reach, or denied, when the proxy says so, and its password is never told', async () => {
    const transport = connect({ 'proxy-url': proxy.url });
    proxy.refuse = 403;
    const refused = await failure(transport.request(get));
    expect(refused).toMatchObject({ kind: 'denied', code: 'ProxyRefused' });
    proxy.refuse = 504;
    const lost = await failure(transport.request(get));
    expect(lost).toMatchObject({ kind: 'transient', code: 'ConnectionFailed' });
    await proxy.stop();
    const gone = await failure(transport.request(get));
    expect(gone.kind).toBe('transient');
    for (const error of [refused, lost, gone])
      expect(`${error.message} ${error.stack ?? ''} ${String(error.cause)}`).not.toContain('canary');
    expect(seen).toEqual([]);
  });

  it('is signed in to by a plugin, which is told of the cluster, and asked again when its token ends or is refused', async () => {
    const file = join(folder, `plugin-${tls.port}.mjs`);
    const heard = join(folder, `heard-${tls.port}`);
    const hour = 3_600_000;
    // As an OIDC plugin does: a token that lives for an hour, another one every time.
    writeFileSync(
      file,
      `import { appendFileSync, readFileSync } from 'node:fs';
appendFileSync(${JSON.stringify(heard)}, process.env.KUBERNETES_EXEC_INFO + '\\n');
const times = readFileSync(${JSON.stringify(heard)}, 'utf8').trim().split('\\n').length;
const expirationTimestamp = new Date(Number(process.env.NOW) + times * ${hour}).toISOString();
const { apiVersion } = JSON.parse(process.env.KUBERNETES_EXEC_INFO);
console.log(JSON.stringify({ apiVersion, kind: 'ExecCredential', status: { token: 'token-' + times, expirationTimestamp } }));
`,
    );
    let time = Date.now();
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: process.execPath,
      args: [file],
      env: [{ name: 'NOW', value: String(time) }],
      interactiveMode: 'Never',
      provideClusterInfo: true,
    };
    const transport = connect({ 'proxy-url': proxy.url }, { exec }, () => time);
    await transport.request(get);
    time += hour / 2;
    await transport.request(get);
    time += hour / 2;
    await transport.request(get);
    valid = (token) => token === 'Bearer token-3';
    await transport.request(get);
    expect(seen).toEqual(['1', '1', '2', '2', '3'].map((one) => `Bearer token-${one}`));
    const [told = ''] = readFileSync(heard, 'utf8').split('\n');
    expect(JSON.parse(told)).toEqual({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      spec: {
        interactive: false,
        cluster: {
          server: `https://localhost:${tls.port}`,
          'certificate-authority-data': Buffer.from(authority.certificate).toString('base64'),
          'proxy-url': proxy.url,
        },
      },
    });
    expect(new Set(proxy.asked)).toEqual(new Set([`localhost:${tls.port}`]));
  });
});

describe('a Git server', () => {
  it('is read and written through a SOCKS proxy, and not at all through one that is not spoken', async () => {
    const git = await gitServer();
    commitFiles(git.repository, 'main', { 'a.yaml': 'a\n' });
    const tls = await startTlsServer(serving, new URL(git.url).port);
    onTestFinished(() => tls.stop());
    const to = { folder: git.folder, url: `https://localhost:${tls.port}/repository.git` };
    put({ HTTPS_PROXY: socks.url.replace('socks5:', 'socks5h:') });
    const port = adapter(to, { ca: authority.certificate });
    expect([...(await snapshot(port)).files.keys()]).toEqual(['a.yaml']);
    expect(await port.publish({ files: new Map([['README.md', 'status\n']]), message: 'status' })).toMatchObject({
      changed: true,
    });
    expect(new Set(socks.asked)).toEqual(new Set([`localhost:${tls.port}`]));
    socks.refuse = 2;
    await port.close();
    expect(await failure(adapter(to, { ca: authority.certificate }).sync({ after: undefined }))).toMatchObject({
      kind: 'denied',
      code: 'GitProxyRefused',
    });
    put({ HTTPS_PROXY: 'socks4://127.0.0.1:9' });
    expect(() => adapter(to)).toThrow('HTTPS_PROXY names a proxy of the kind socks4');
  });
});

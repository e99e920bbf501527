import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import ssh2 from 'ssh2';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { GitAuth } from '../../reconciler/adapters/git-options.ts';
import { commitFiles, git, gitEnvironment, type GitServer } from '../support/git-server.ts';
import { adapter, failure, server, snapshot } from './git-support.ts';

interface KeyPair {
  readonly secret: string;
  /** `ssh-ed25519 AAAA…` */
  readonly line: string;
}

/** ssh2 now and then makes a key that it cannot read itself. */
function keyPair(): KeyPair {
  for (;;) {
    const { private: secret, public: line } = ssh2.utils.generateKeyPairSync('ed25519');
    if (!(ssh2.utils.parseKey(secret) instanceof Error)) return { secret, line };
  }
}

interface SshServer {
  readonly url: string;
  readonly knownHosts: string;
  readonly deployKey: KeyPair;
  /** How many commands were run. */
  commands(): number;
}

/** An SSH server of the library's own making, which lets one key in and runs real git. */
async function sshServer(remote: GitServer): Promise<SshServer> {
  const hostKey = keyPair();
  const deployKey = keyPair();
  const allowed = Buffer.from(deployKey.line.split(' ')[1] ?? '', 'base64');
  let commands = 0;
  const daemon = new ssh2.Server({ hostKeys: [hostKey.secret] }, (client) => {
    client.on('error', () => undefined);
    client.on('authentication', (context) => {
      if (context.method !== 'publickey') return context.reject(['publickey']);
      if (context.username !== 'git' || !context.key.data.equals(allowed)) return context.reject(['publickey']);
      if (context.signature === undefined) return context.accept();
      const key = ssh2.utils.parseKey(deployKey.line);
      if (key instanceof Error || Array.isArray(key)) return context.reject();
      if (key.verify(context.blob ?? Buffer.alloc(0), context.signature) === true) context.accept();
      else context.reject();
    });
    client.on('session', (accept) => {
      accept().on('exec', (acceptExec, _reject, info) => {
        commands++;
        const channel = acceptExec();
        const child = spawn('git', ['shell', '-c', info.command], { env: gitEnvironment });
        channel.pipe(child.stdin);
        child.stdin.on('error', () => undefined);
        channel.on('error', () => undefined);
        child.stderr.pipe(channel.stderr, { end: false });
        child.stdout.pipe(channel, { end: false });
        child.on('close', (code) => {
          channel.exit(code ?? 1);
          channel.end();
        });
      });
    });
  });
  await new Promise<void>((resolve) => daemon.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise<void>((resolve) => daemon.close(() => resolve())));
  const { port } = daemon.address() as AddressInfo;
  return {
    url: `ssh://git@127.0.0.1:${port}${remote.repository}`,
    knownHosts: `# a comment\n[127.0.0.1]:${port} ${hostKey.line}\n`,
    deployKey,
    commands: () => commands,
  };
}

function deployKey(at: SshServer, changes: { readonly secret?: string; readonly knownHosts?: string } = {}): GitAuth {
  return {
    kind: 'ssh',
    privateKey: { value: changes.secret ?? at.deployKey.secret },
    knownHosts: { value: changes.knownHosts ?? at.knownHosts },
  };
}

describe('Git over SSH with a deploy key', () => {
  it('reads other commits, proposes and withdraws', async () => {
    const remote = await server();
    const base = commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    for (let round = 0; round < 5; round++) commitFiles(remote.repository, 'main', { 'b.yaml': `${round}\n` });
    const head = commitFiles(remote.repository, 'topic', { 'a.yaml': 'other\n' }, { onto: base });
    await git(remote.repository, 'update-ref', 'refs/pull/1/head', head);
    const ssh = await sshServer(remote);
    const port = adapter(remote, { url: ssh.url, auth: deployKey(ssh) });
    const read = await port.readAt({ commit: head, ref: 'refs/pull/1/head' });
    expect(read.files.get('a.yaml')?.text).toBe('other\n');
    expect((await port.readAt({ commit: base })).files.size).toBe(1);
    const files = new Map([['clusters/a/runs/r.yaml', 'r\n']]);
    const made = await port.propose({ branch: 'oakum/run/r', base, files, message: 'm\n' });
    expect(await git(remote.repository, 'rev-parse', 'oakum/run/r')).toBe(made.commit);
    await port.withdraw('oakum/run/r');
    expect(await git(remote.repository, 'for-each-ref', '--format=%(refname)', 'refs/heads/oakum')).toBe('');
  });

  it('reads, deepens, publishes, races and reads back', async () => {
    const remote = await server();
    const commits = Array.from({ length: 100 }, (_, index) =>
      commitFiles(remote.repository, 'main', { 'a.yaml': `${index}\n` }),
    );
    const ssh = await sshServer(remote);
    const port = adapter(remote, { url: ssh.url, auth: deployKey(ssh) });
    const one = await snapshot(port, commits[0]);
    expect(one.commit).toBe(commits.at(-1));
    expect((await port.sync({ after: one.commit })).kind).toBe('unchanged');
    commitFiles(remote.repository, 'main', { 'b.yaml': 'b\n' });
    expect((await snapshot(port, one.commit)).changed).toEqual(['b.yaml']);
    expect(await port.publish({ files: new Map([['clusters/a.yaml', '1\n']]), message: 'm' })).toMatchObject({
      changed: true,
    });
    commitFiles(remote.repository, 'oakum/status', { 'other.yaml': 'x\n' });
    const last = await port.publish({ files: new Map([['clusters/a.yaml', '2\n']]), message: 'm' });
    expect(await port.publish({ files: new Map([['clusters/a.yaml', '2\n']]), message: 'm' })).toMatchObject({
      changed: false,
    });
    expect(await git(remote.repository, 'rev-parse', 'oakum/status')).toBe(last.commit);
    expect((await port.readStatus('')).files).toEqual(
      new Map([
        ['clusters/a.yaml', '2\n'],
        ['other.yaml', 'x\n'],
      ]),
    );
    await git(remote.repository, 'fsck', '--strict', '--no-dangling');
  });

  it('sends nothing to a host whose key is not known, is another, or is revoked', async () => {
    const remote = await server();
    commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    const ssh = await sshServer(remote);
    const place = /\[[^ ]+/.exec(ssh.knownHosts)?.[0] ?? '';
    const other = `${place} ${keyPair().line}\n`;
    const cases = [
      ['', 'GitHostKeyUnknown'],
      ['[127.0.0.1]:1 ssh-ed25519 AAAA\n', 'GitHostKeyUnknown'],
      [other, 'GitHostKeyRefused'],
      [`${ssh.knownHosts}@revoked ${ssh.knownHosts.split('\n')[1]}\n`, 'GitHostKeyRefused'],
    ] as const;
    for (const [knownHosts, code] of cases) {
      const port = adapter(remote, { url: ssh.url, auth: deployKey(ssh, { knownHosts }) });
      expect(await failure(port.sync({ after: undefined }))).toMatchObject({ kind: 'denied', code });
    }
    expect(ssh.commands()).toBe(0);
  });

  it('finds a host behind a hash in the known hosts', async () => {
    const remote = await server();
    const commit = commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    const ssh = await sshServer(remote);
    const [place = '', type = '', key = ''] = ssh.knownHosts.split('\n')[1]?.split(' ') ?? [];
    const salt = crypto.randomBytes(20);
    const hash = crypto.createHmac('sha1', salt).update(place).digest('base64');
    const knownHosts = `|1|${salt.toString('base64')}|${hash} ${type} ${key}`;
    expect((await snapshot(adapter(remote, { url: ssh.url, auth: deployKey(ssh, { knownHosts }) }))).commit).toBe(
      commit,
    );
  });

  it('a wrong key, a broken key, a repository that is not there, and a server that is down are told apart', async () => {
    const remote = await server();
    const ssh = await sshServer(remote);
    const stranger = keyPair();
    const wrong = adapter(remote, { url: ssh.url, auth: deployKey(ssh, { secret: stranger.secret }) });
    expect(await failure(wrong.sync({ after: undefined }))).toMatchObject({ kind: 'denied', code: 'GitAuthFailed' });
    const broken = await failure(
      adapter(remote, { url: ssh.url, auth: deployKey(ssh, { secret: 'canary-no-key' }) }).sync({ after: undefined }),
    );
    expect(broken).toMatchObject({ kind: 'denied', code: 'GitAuthFailed' });
    expect(broken.message).not.toContain('canary');
    const nowhere = adapter(remote, { url: `${ssh.url}-not-there`, auth: deployKey(ssh) });
    expect(await failure(nowhere.sync({ after: undefined }))).toMatchObject({ kind: 'missing', code: 'GitNotFound' });
    const closed = net.createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise<void>((resolve) => closed.close(() => resolve()));
    const knownHosts = ssh.knownHosts.replace(/\]:\d+/, `]:${port}`);
    const down = adapter(remote, { url: `ssh://git@127.0.0.1:${port}/x`, auth: deployKey(ssh, { knownHosts }) });
    expect(await failure(down.sync({ after: undefined }))).toMatchObject({ kind: 'transient', code: 'GitUnreachable' });
    // It reads and says nothing; without reading it would never learn that the other side is gone.
    const silent = net.createServer((socket) => socket.on('error', () => undefined).resume());
    await new Promise<void>((resolve) => silent.listen(port, '127.0.0.1', resolve));
    onTestFinished(() => new Promise<void>((resolve) => silent.close(() => resolve())));
    const mute = adapter(remote, {
      url: `ssh://git@127.0.0.1:${port}/x`,
      auth: deployKey(ssh, { knownHosts }),
      timeouts: { connectMs: 400 },
    });
    expect(await failure(mute.sync({ after: undefined }))).toMatchObject({ kind: 'transient', code: 'GitTimeout' });
    await mute.close();
  });
});

const sshd = ['/usr/sbin/sshd', '/usr/local/sbin/sshd'].find((file) => fs.existsSync(file));

describe('Git over SSH with the sshd of OpenSSH', () => {
  it('reads and publishes, or says that it was not run', async (context) => {
    if (sshd === undefined) {
      if (process.env['OAKUM_REQUIRE_SSHD'] === '1')
        throw new Error('OAKUM_REQUIRE_SSHD=1, but there is no sshd: install openssh-server.');
      console.warn('NOT RUN: there is no sshd on this machine (openssh-server); the SSH server above ran real git.');
      await context.annotate('not run: no sshd');
      return;
    }
    const remote = await server();
    const commit = commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    const { url, auth } = await startSshd(sshd, remote);
    const port = adapter(remote, { url, auth });
    expect((await snapshot(port)).commit).toBe(commit);
    const { commit: status } = await port.publish({ files: new Map([['a.yaml', '1\n']]), message: 'm' });
    expect(await git(remote.repository, 'rev-parse', 'oakum/status')).toBe(status);
  });
});

async function startSshd(program: string, remote: GitServer): Promise<{ url: string; auth: GitAuth }> {
  const folder = path.join(remote.folder, 'sshd');
  fs.mkdirSync(folder, { mode: 0o700 });
  const make = (name: string): string => {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path.join(folder, name)]);
    return fs.readFileSync(path.join(folder, `${name}.pub`), 'utf8').trim();
  };
  const hostLine = make('host');
  fs.writeFileSync(path.join(folder, 'authorized'), `${make('deploy')}\n`, { mode: 0o600 });
  const probe = net.createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  const settings = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${folder}/host`,
    `AuthorizedKeysFile ${folder}/authorized`,
    `PidFile ${folder}/pid`,
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
  ];
  fs.writeFileSync(path.join(folder, 'config'), `${settings.join('\n')}\n`);
  fs.mkdirSync('/run/sshd', { recursive: true });
  const daemon: ChildProcess = spawn(program, ['-D', '-e', '-f', path.join(folder, 'config')], { stdio: 'ignore' });
  onTestFinished(() => void daemon.kill());
  for (let tries = 0; tries < 100 && !(await answers(port)); tries++)
    await new Promise((resolve) => setTimeout(resolve, 50));
  const user = execFileSync('id', ['-un']).toString().trim();
  return {
    url: `ssh://${user}@127.0.0.1:${port}${remote.repository}`,
    auth: {
      kind: 'ssh',
      privateKey: { file: path.join(folder, 'deploy') },
      knownHosts: { value: `[127.0.0.1]:${port} ${hostLine}` },
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

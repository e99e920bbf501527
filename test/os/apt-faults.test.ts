// What goes wrong around apt in the field: repositories, locks, disks, interruptions. Each has its code, its advice, and an unharmed node.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { apt, source, type Apt } from './apt-fixture.ts';
import { must, run } from './commands.ts';
import { killInside, type Root } from './roots.ts';
import { packagesOf, pod, runId, start } from './script.ts';

let fixture: Apt;

beforeAll(async () => {
  fixture = await apt();
  await (await fixture.node()).close();
});
afterAll(() => fixture.close());

/** A small file system inside a root. */
async function mount(root: Root, size: string, path: string): Promise<void> {
  await root.ok('mkdir -p "$1"', path);
  await must('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', `${root.path}${path}`]);
}

const SOURCES = '/etc/apt/sources.list.d';

interface Fault {
  readonly what: string;
  readonly code: string;
  readonly status: number;
  readonly advice: RegExp;
  readonly security: (url: string) => string;
  readonly env?: Readonly<Record<string, string>>;
}

const FAULTS: readonly Fault[] = [
  {
    what: 'refuses the connection',
    code: 'REPO_UNREACHABLE',
    status: 30,
    advice: /network, proxy/,
    security: () => source('http://127.0.0.2:1/ubuntu', 'noble-security'),
  },
  {
    what: 'has a name that does not resolve',
    code: 'REPO_DNS',
    status: 30,
    advice: /DNS/,
    security: () => source('http://mirror.invalid/ubuntu', 'noble-security'),
  },
  {
    what: 'never answers',
    code: 'REPO_TIMEOUT',
    status: 30,
    advice: /firewall|network/,
    security: (url) => source(`${url}/stall/ubuntu`, 'noble-security'),
    env: { OSP_REFRESH_TIMEOUT: '4' },
  },
  {
    what: 'answers 503',
    code: 'REPO_HTTP',
    status: 30,
    advice: /503/,
    security: (url) => source(`${url}/503/ubuntu`, 'noble-security'),
  },
  {
    what: 'answers 403',
    code: 'REPO_AUTH',
    status: 30,
    advice: /403.*credentials/,
    security: (url) => source(`${url}/403/ubuntu`, 'noble-security'),
  },
  {
    what: 'has gone',
    code: 'REPO_METADATA',
    status: 30,
    advice: /still carry the release/,
    security: (url) => source(`${url}/gone`, 'noble-security'),
  },
  {
    what: 'is half synchronised',
    code: 'REPO_METADATA',
    status: 30,
    advice: /unexpected|Hash/,
    security: (url) => source(`${url}/half`, 'noble-security'),
  },
  {
    what: 'is out of date',
    code: 'REPO_EXPIRED',
    status: 30,
    advice: /no longer synchronised/,
    security: (url) => source(`${url}/expired`, 'noble-security'),
  },
  {
    what: 'is dated after the clock',
    code: 'CLOCK_SKEW',
    status: 30,
    advice: /clock is behind/,
    security: (url) => source(`${url}/future`, 'noble-security'),
  },
  {
    what: 'is not signed',
    code: 'REPO_SIGNATURE',
    status: 30,
    advice: /No key server is asked/,
    security: (url) => source(`${url}/unsigned`, 'noble-security'),
  },
  {
    what: 'is signed by a key that the node does not have',
    code: 'REPO_SIGNATURE',
    status: 30,
    advice: /[0-9A-F]{16}.*Signed-By/,
    security: (url) =>
      source(`${url}/ubuntu`, 'noble-security').replace(
        '/etc/apt/keyrings/test.gpg',
        '/usr/share/keyrings/debian-archive-keyring.gpg',
      ),
  },
];

describe('a security archive that', () => {
  test.concurrent.each(FAULTS)(
    '$what: $code, and the node is as it was',
    async ({ code, status, advice, security, env }) => {
      const root = await fixture.node();
      try {
        await root.write(`${SOURCES}/ubuntu.sources`, source(`${fixture.server.url}/ubuntu`, 'noble noble-updates'));
        await root.write(`${SOURCES}/security.sources`, security(fixture.server.url));
        const before = await root.ok('dpkg-query -W');
        const answer = await start(root, { mode: 'download', ...(env === undefined ? {} : { env }) });
        expect(answer.result.code, answer.stdout).toBe(code);
        expect(answer.status).toBe(status);
        expect(answer.result.msg).toMatch(advice);
        expect(await root.ok('dpkg-query -W')).toBe(before);
      } finally {
        await root.close();
      }
    },
  );
});

describe('on one node', () => {
  let root: Root;
  beforeEach(async () => {
    root = await fixture.node();
  });
  afterEach(() => root.close());

  test("a third party's repository that is down is a remark, not an error", async () => {
    await root.write(`${SOURCES}/vendor.sources`, source('http://127.0.0.2:1/vendor', 'stable'));
    const { result } = await start(root, { mode: 'scan' });
    expect(result.code).toBe('OK');
    expect(result.warn?.join()).toMatch(/^RepositoryUnavailable: http:\/\/127.0.0.2:1\/vendor/);
    expect(result.n?.['left']).toBe(9);
  });

  test('lists of an earlier run never stand in for a repository that cannot be verified now', async () => {
    expect((await start(root, { mode: 'scan' })).result.code).toBe('OK');
    const file = `${SOURCES}/ubuntu.sources`;
    await root.write(
      file,
      (await root.read(file)).replace('/etc/apt/keyrings/test.gpg', '/usr/share/keyrings/debian-archive-keyring.gpg'),
    );
    expect((await start(root, { mode: 'scan' })).result.code).toBe('REPO_SIGNATURE');
  });

  test('another package manager at work: waited for with a limit, its process named; a scan does not mind', async () => {
    await fixture.install(root, 'slow');
    const deb = `${fixture.directory}/ubuntu/pool-security/slow_1.1_amd64.deb`;
    await must('cp', [deb, `${root.path}/run/slow.deb`]);
    const other = root.sh('dpkg -i /run/slow.deb');
    await root.ok('for i in $(seq 100); do [ -e /run/slow-began ] && exit 0; sleep 0.1; done; exit 1');
    const locked = await start(root, { mode: 'patch', env: { OSP_LOCK_TIMEOUT: '2' } });
    expect(locked).toMatchObject({ status: 30, result: { code: 'PKG_LOCK_TIMEOUT' } });
    expect(locked.result.msg).toMatch(/held by process \d+ dpkg/);
    const scan = await start(root, { mode: 'scan' });
    expect(scan.result).toMatchObject({ code: 'OK', n: { left: 10 } });
    const reboot = await start(root, { mode: 'reboot', env: { OSP_EXPECT_BOOT_ID: scan.result.before['boot'] ?? '' } });
    expect(reboot.status).toBe(60);
    setTimeout(() => void root.write('/run/not-slow', ''), 3000);
    const waited = await start(root, { mode: 'patch', env: { OSP_EXCLUDE: 'sec-conflicts' } });
    expect(waited.result.code, waited.stdout).toBe('OK');
    expect(waited.stdout).toContain('waiting for');
    expect((await other).status).toBe(0);
  });

  test('no room for lists and packages: DISK_FULL_VAR before any change', async () => {
    await mount(root, '5M', '/var/lib/os-patch');
    const { result, status } = await start(root, { mode: 'download' });
    expect(status).toBe(40);
    expect(result.code).toBe('DISK_FULL_VAR');
    expect(result.msg).toMatch(/MiB needed on .*, \d+ MiB free/);
  });

  test('no room to install: DISK_FULL_ROOT before any change', async () => {
    await fixture.install(root, 'huge');
    const { result, status } = await start(root, { mode: 'download' });
    expect(status).toBe(40);
    expect(result.code).toBe('DISK_FULL_ROOT');
    expect(await root.ok("dpkg-query -W -f '${Version}' huge sec-simple")).toBe('1.01.0');
  });

  test('no room in /boot for the kernel of the plan: DISK_FULL_BOOT before any change', async () => {
    await mount(root, '24M', '/boot');
    await root.ok('head -c 8000000 /dev/zero >/boot/vmlinuz-1 && head -c 4000000 /dev/zero >/boot/initrd.img-1');
    const { result, status } = await start(root, { mode: 'download' });
    expect(status).toBe(40);
    expect(result.code).toBe('DISK_FULL_BOOT');
  });

  test('a disk that runs full while unpacking: said so, and healed by the next attempt when there is room', async () => {
    await fixture.install(root, 'large');
    const download = await start(root, { mode: 'download', run: 'full' });
    expect(download.result.code).toBe('OK');
    await mount(root, '2M', '/usr/share/large');
    const failed = await start(root, { mode: 'patch', run: 'full', env: { OSP_OFFLINE: 'true' } });
    expect(failed).toMatchObject({ status: 50, result: { code: 'INSTALL_FAILED' } });
    expect(failed.result.msg).toContain('ran full');
    await must('umount', [`${root.path}/usr/share/large`]);
    const healed = await start(root, {
      mode: 'patch',
      run: 'full',
      attempt: 2,
      env: { OSP_OFFLINE: 'true', OSP_EXCLUDE: 'sec-conflicts' },
    });
    expect(healed.result.code, healed.stdout).toBe('OK');
    expect(packagesOf(healed.result)).toContain('large 1.0 1.1');
  });

  test('a dpkg that was killed in the middle is repaired by the next attempt, and that is reported', async () => {
    await fixture.install(root, 'stops');
    const killed = await start(root, { mode: 'patch', run: 'stops' });
    expect(killed.status).toBe(50);
    await root.write('/run/not-slow', '');
    const healed = await start(root, {
      mode: 'patch',
      run: 'stops',
      attempt: 2,
      env: { OSP_EXCLUDE: 'sec-conflicts' },
    });
    expect(healed.result.code, healed.stdout).toBe('OK');
    expect(healed.result.warn?.join()).toMatch(/RepairedPackages: .*stops/);
    expect(packagesOf(healed.result)).toContain('stops 1.0 1.1');
  });
});

describe('killed', () => {
  const VERSIONS =
    'dpkg-query -W; dpkg --audit; dpkg --get-selections held-user kubelet; cd / && find etc -type f | sort | xargs md5sum';

  test('at any moment and started again, it ends as if nothing had happened', async () => {
    const prepared = async (): Promise<Root> => {
      const root = await fixture.node();
      await fixture.install(root, 'slow', 'configured');
      await root.write('/etc/configured.conf', 'setting=mine\n');
      return root;
    };
    const env = { OSP_EXCLUDE: 'sec-conflicts' };
    const whole = await prepared();
    await whole.write('/run/not-slow', '');
    await start(whole, { mode: 'patch', run: 'crash', env });
    const wanted = await whole.ok(VERSIONS);
    await whole.close();
    const moments = [300, 700, 1000, 1300, 1600, 2000, 2500];
    const ends = await Promise.all(
      [moments.filter((_, index) => index % 2 === 0), moments.filter((_, index) => index % 2 === 1)].map(
        async (some) => {
          const seen: string[] = [];
          for (const moment of some) {
            const root = await prepared();
            try {
              const made = await pod(root, { mode: 'patch', run: 'crash', env });
              const watcher = run(
                '/bin/busybox',
                ['timeout', '-s', 'KILL', String(moment / 1000), '/bin/busybox', 'sh', made.script],
                { env: made.env },
              );
              await new Promise((resolve) => setTimeout(resolve, moment));
              await killInside(root.path, 'SIGKILL');
              await watcher;
              await killInside(root.path, 'SIGKILL');
              await root.write('/run/not-slow', '');
              const again = await start(root, { mode: 'patch', run: 'crash', env });
              expect(again.result.code, again.stdout).toBe('OK');
              expect(packagesOf(again.result)).toContain('slow 1.0 1.1');
              seen.push((await root.ok(VERSIONS)) === wanted ? 'same' : `differs after ${String(moment)} ms`);
            } finally {
              await root.close();
            }
          }
          return seen;
        },
      ),
    );
    expect(ends.flat()).toEqual(moments.map(() => 'same'));
  });

  test('only the worker: the front starts another one, which repairs and finishes', async () => {
    const root = await fixture.node();
    try {
      await fixture.install(root, 'slow');
      const ending = start(root, { mode: 'patch', run: runId(), env: { OSP_EXCLUDE: 'sec-conflicts' } });
      await root.ok('for i in $(seq 200); do [ -e /run/slow-began ] && break; sleep 0.1; done; touch /run/not-slow');
      await killInside(root.path, 'SIGKILL');
      const answer = await ending;
      expect(answer.result.code, answer.stdout).toBe('OK');
      expect(answer.stdout).toContain('starting another');
      expect(packagesOf(answer.result)).toContain('slow 1.0 1.1');
    } finally {
      await root.close();
    }
  });
});

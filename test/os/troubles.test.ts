// The table "When something is stuck" of the documentation: each row names codes, and a test of that very situation gives each of them.
// Every answer of a test is held to the words of its way out (advice.ts), so that a test of a code is a test of its advice.
import { readFile, readdir } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { meaningOf, resultCodes } from '../../reconciler/model/patch-result.ts';
import { reasons } from '../../reconciler/model/reason.ts';
import { ADVICE, checkAdvice } from './advice.ts';

const here = new URL('./', import.meta.url);
const files = new Map(
  await Promise.all(
    (await readdir(here))
      .filter((name) => name.endsWith('.test.ts') && name !== 'troubles.test.ts')
      .map(async (name) => [name, await readFile(new URL(name, here), 'utf8')] as const),
  ),
);
const page = await readFile(new URL('../../docs/patch-script.md', import.meta.url), 'utf8');

/** Where a situation is tested: file, the title as it stands there, and the code that it gives. */
type Shown = readonly [file: string, title: string, code: string];

/** The rows of the table, by their first column. */
const ROWS: Readonly<Record<string, readonly Shown[]>> = {
  'nothing happens': [
    [
      'host.test.ts',
      'a patch outlives its pod; a new pod attaches, and another run is told to wait',
      'RUN_IN_PROGRESS',
    ],
  ],
  'asked again, nothing happens': [['apt-patch.test.ts', 'a node with nothing to do is UpToDate', 'OK']],
  'the system is not taken': [
    ['host.test.ts', 'Photon', 'UNSUPPORTED_OS'],
    ['host.test.ts', 'Talos', 'UNSUPPORTED_IMMUTABLE'],
  ],
  'a node takes very long: network': [
    ['apt-faults.test.ts', 'has a name that does not resolve', 'REPO_DNS'],
    ['apt-faults.test.ts', 'refuses the connection', 'REPO_UNREACHABLE'],
    ['apt-faults.test.ts', 'never answers', 'REPO_TIMEOUT'],
    ['apt-faults.test.ts', 'answers 503', 'REPO_HTTP'],
    ['apt-faults.test.ts', 'answers 403', 'REPO_AUTH'],
    ['guards.test.ts', '%s: a mirror that never sends the packages ends at OSP_DOWNLOAD_TIMEOUT', 'DOWNLOAD_FAILED'],
  ],
  'a node takes very long: disk': [
    ['apt-faults.test.ts', 'no room to install: DISK_FULL_ROOT before any change', 'DISK_FULL_ROOT'],
    ['apt-faults.test.ts', 'no room for lists and packages: DISK_FULL_VAR before any change', 'DISK_FULL_VAR'],
    [
      'apt-faults.test.ts',
      'no room in /boot for the kernel of the plan: DISK_FULL_BOOT before any change',
      'DISK_FULL_BOOT',
    ],
  ],
  'a node takes very long: lock': [
    [
      'apt-faults.test.ts',
      'another package manager at work: waited for with a limit, its process named',
      'PKG_LOCK_TIMEOUT',
    ],
    ['rpm-dnf-faults.test.ts', 'another dnf holds the lock: waited for, with a limit', 'PKG_LOCK_TIMEOUT'],
    ['rpm-zypper.test.ts', 'another zypper at work is waited for, with a limit', 'PKG_LOCK_TIMEOUT'],
  ],
  'the Job is still running': [
    ['host.test.ts', 'at its deadline the watch ends and says so; the work goes on', 'DEADLINE'],
  ],
  'key server errors': [
    ['apt-faults.test.ts', 'is signed by a key that the node does not have', 'REPO_SIGNATURE'],
    [
      'rpm-dnf-faults.test.ts',
      'an unsigned package where signatures are demanded is found by download',
      'REPO_SIGNATURE',
    ],
  ],
  'the node does not come back': [
    ['host.test.ts', 'a boot id that did not change, an old kernel', 'VERIFY_BOOT_ID'],
    ['host.test.ts', 'a boot id that did not change, an old kernel', 'VERIFY_KUBELET'],
  ],
  'the node does not reboot': [
    ['host.test.ts', 'is refused with a kernel that has no initrd', 'REBOOT_BLOCKED'],
    ['host.test.ts', 'is refused with a kernel that has no initrd', 'REBOOT_UNSAFE'],
    ['guards.test.ts', 'a delay, a limit, and a systemd that will not: each is obeyed and said', 'REBOOT_FAILED'],
  ],
  'did it work?': [['host.test.ts', 'a boot id that did not change, an old kernel', 'OK']],
};

/** The body of the test that has this title, or of the table entry: up to the next test or describe. */
function situation(file: string, title: string): string {
  const text = files.get(file) ?? '';
  const from = text.indexOf(title);
  if (from < 0) return '';
  const rest = text.slice(from + title.length);
  const end = rest.search(/\n {0,2}(?:test|describe)[(.]|\n {4}\[?'?what: |\n {2}\{\n {4}what/);
  return end < 0 ? rest : rest.slice(0, end);
}

const rows = [
  ...page.slice(page.indexOf('## When something is stuck')).matchAll(/^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$/gm),
]
  .map(
    ([, name, codes]) =>
      [name ?? '', [...(codes ?? '').matchAll(/`([A-Z_]+)`/g)].map((match) => match[1] ?? '')] as const,
  )
  .filter(([, codes]) => codes.length > 0);

describe('when something is stuck', () => {
  test('the table and the list of situations are the same', () => {
    expect(rows.map(([name]) => name)).toEqual(Object.keys(ROWS));
  });

  test.each(rows)('%s: each code comes from a test of that situation', (name, codes) => {
    const shown = ROWS[name] ?? [];
    expect([...new Set(shown.map(([, , code]) => code))].toSorted()).toEqual(codes.toSorted());
    for (const [file, title, code] of shown) {
      expect(situation(file, title), `${file} has a test "${title}" that expects ${code}`).toContain(`'${code}'`);
    }
  });
});

/** What the product's own way out must say, for each code of the table. */
const SAID: Readonly<Record<string, RegExp>> = {
  OK: /Nothing to do/,
  RUN_IN_PROGRESS: /Wait/,
  UNSUPPORTED_OS: /The message names the way for this system/,
  UNSUPPORTED_IMMUTABLE: /The message names the way for this system/,
  REPO_DNS: /The message names the repository/,
  REPO_UNREACHABLE: /The message names the repository/,
  REPO_TIMEOUT: /The message names the repository/,
  REPO_HTTP: /The message names the repository and what it answered/,
  REPO_AUTH: /The message names the repository and what it answered/,
  DOWNLOAD_FAILED: /Nothing was changed/,
  DISK_FULL_ROOT: /Nothing was changed. Free what the message names/,
  DISK_FULL_VAR: /Nothing was changed. Free what the message names/,
  DISK_FULL_BOOT: /Nothing was changed. Free what the message names/,
  PKG_LOCK_TIMEOUT: /See which process holds it/,
  DEADLINE: /Wait/,
  REPO_SIGNATURE: /Put the key that the message names on the node. Oakum never fetches keys/,
  VERIFY_BOOT_ID: /what holds a shutdown back/,
  VERIFY_KUBELET: /The message says what is missing/,
  REBOOT_BLOCKED: /Repair what the message names/,
  REBOOT_UNSAFE: /Repair what the message names/,
  REBOOT_FAILED: /what holds a shutdown back/,
};

describe('the way out of each code', () => {
  const stuck = [...new Set(rows.flatMap(([, codes]) => codes))];
  const documented = [...page.matchAll(/^\| `([A-Z_]+)` \| (\d+) \|/gm)].map(
    ([, code, exit]) => [code ?? '', Number(exit)] as const,
  );

  test('is asked of every answer: the closed lists of documentation, product and tests are one', () => {
    expect(Object.entries(ADVICE).map(([code, [exit]]) => [code, exit])).toEqual(documented);
    expect(resultCodes.toSorted()).toEqual(Object.keys(ADVICE).toSorted());
  });

  test('is missed where it is missing', () => {
    const told = { status: 'Failed', code: 'DISK_FULL_VAR' };
    const msg = 'packages to download: 5 MiB needed on /var, 1 MiB free; make room there and try again';
    expect(() => checkAdvice({ ...told, msg }, 40)).not.toThrow();
    expect(() => checkAdvice({ ...told, msg: 'no space left on device' }, 40)).toThrow('does not tell its way out');
    expect(() => checkAdvice({ ...told, msg }, 1)).toThrow('ended with 1, not 40');
    expect(() => checkAdvice({ ...told, code: 'DISK_FULL', msg }, 40)).toThrow('no code of the closed list');
  });

  test.each(stuck)('%s: what Oakum says of it goes with what the script says', (code) => {
    const words = SAID[code];
    if (words === undefined) throw new Error(`it is not written down here what Oakum says of ${code}`);
    expect(reasons[meaningOf(code).reason].wayOut).toMatch(words);
  });
});

test('every code of the closed list is expected by a test on a real package manager', () => {
  const codes = [...page.matchAll(/^\| `([A-Z_]+)` \| \d+ \|/gm)].map(([, code]) => code ?? '');
  expect(codes.length).toBeGreaterThan(35);
  const all = [...files.values()].join('\n');
  expect(codes.filter((code) => !all.includes(`'${code}'`))).toEqual([]);
});

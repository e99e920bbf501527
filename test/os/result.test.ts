// The result: never more than 4096 bytes, always valid, cut by its rule, and whole in the node's log.
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { must } from './commands.ts';
import { withLog, logLines } from '../../reconciler/model/result-log.ts';
import { readResult as understood } from '../../reconciler/model/result-text.ts';
import { packagesOf, readResult, type Result } from './script.ts';

let directory: string;
let parts: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'os-patch-result-'));
  const home = new URL('../../reconciler/patch/', import.meta.url).pathname;
  // All but the last part, which starts the program: the writer alone is called here.
  const names = (await readdir(home)).filter((name) => name.endsWith('.sh') && !name.startsWith('99-')).sort();
  parts = (await Promise.all(names.map((name) => readFile(join(home, name), 'utf8')))).join('');
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** A fair imitation of package names and versions: they differ as real ones do, so that they compress no better. */
function packages(count: number): string[] {
  let seed = 7;
  const next = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  const words = [
    'lib',
    'python3',
    'ssl',
    'systemd',
    'kernel',
    'perl',
    'common',
    'dev',
    'core',
    'utils',
    'gtk',
    'xml',
    'curl',
    'data',
    'net',
    'io',
  ];
  return Array.from({ length: count }, (_, index) => {
    const name = `${words[next(16)] ?? ''}${words[next(16)] ?? ''}${String(index)}-${words[next(16)] ?? ''}`;
    const version = `${String(next(9))}.${String(next(40))}.${String(next(99))}-${String(next(9))}`;
    return `${name}\t${version}+deb12u${String(next(5))}\t${version}+deb12u${String(5 + next(9))}\tDebian-Security`;
  });
}

interface Written {
  readonly result: Result;
  readonly text: string;
  readonly bytes: number;
  readonly lines: string;
}

async function write(files: Readonly<Record<string, readonly string[]>>): Promise<Written> {
  for (const name of [
    'warn.txt',
    'kept.tsv',
    'why.txt',
    'why-packages.txt',
    'svc.txt',
    'conf.txt',
    'adv.txt',
    'plan.tsv',
    'advisories.tsv',
    'applied.tsv',
  ]) {
    await writeFile(join(directory, name), (files[name] ?? []).map((line) => `${line}\n`).join(''));
  }
  const program = `${parts}
TMP=$1 PLACE=here PART=worker CODE=OK OSP_RUN_ID=monthly-1 OSP_NODE=worker-1 RESULT_MODE=patch OSP_MODE=patch OSP_ATTEMPT=1 T_BEGIN=$(clock) T_START=$(stamp)
MESSAGE=$2 OS_ID=debian OS_POINT=12.15 REBOOT_KNOWN=yes REBOOT_REQUIRED=true PACKAGES_FILE=$TMP/applied.tsv LOCK_SHA=0123456789abcdef
N_APPLIED=$(lines_in "$PACKAGES_FILE") FULL_PATH=/var/lib/os-patch/runs/monthly-1/patch-1.full.json
result_document full >"$TMP/full.json"
FULL_BYTES=$(wc -c <"$TMP/full.json" | tr -d ' ') FULL_SHA=$(sha256sum <"$TMP/full.json" | cut -c 1-64) FULL_PARTS=0
result_lines "$TMP/full.json" >"$TMP/lines"
FULL_PARTS=$(lines_in "$TMP/lines")
result_message`;
  const message = 'a "quoted" back\\slash, a tab\t and an umlaut ü';
  const text = (await must('dash', ['-s', directory, message], { input: program })).trimEnd();
  return {
    result: readResult(text),
    text,
    bytes: Buffer.byteLength(text),
    lines: await readFile(join(directory, 'lines'), 'utf8'),
  };
}

const long = (count: number, text: string): string[] =>
  Array.from({ length: count }, (_, index) => `${text}-${String(index)}`);

describe('the result', () => {
  test.each([0, 1, 5, 50, 150, 200, 400, 800])(
    'with %i packages fits, is valid, and is whole in the log',
    async (count) => {
      const lines = packages(count);
      const {
        result,
        bytes,
        lines: log,
        text,
      } = await write({
        'applied.tsv': lines,
        'adv.txt': long(300, 'CVE-2026-1'),
        'kept.tsv': ['tzdata\theld-by-user'],
      });
      expect(bytes).toBeLessThanOrEqual(4096);
      const wanted = lines.map((line) => line.split('\t').slice(0, 3).join(' ')).toSorted();
      const seen = packagesOf(result);
      if (seen === undefined) {
        // What was cut is taken from the log, and only if it is what the result's hash says.
        expect(logLines(text)).toBe((result.full?.parts ?? 0) + 20);
        const noise = 'Get:1 http://deb.example stable\nOSPATCH other 1/1 AAAA\n';
        expect(understood(withLog(text, `${noise}${log}${text}\n`))?.packages?.toSorted()).toEqual(wanted);
        expect(withLog(text, log.replace(/^.*\n/, ''))).toBeUndefined();
        expect(withLog(text.replace(/"sha256":"[0-9a-f]{4}/, '"sha256":"0000'), log)).toBeUndefined();
      } else {
        expect(logLines(text)).toBeUndefined();
        expect(seen).toEqual(wanted);
      }
      if (count <= 150) expect(result.pkgs?.enc).not.toBe('omitted');
      expect(result.n?.['applied']).toBe(count);
      expect(result.msg).toBe('a "quoted" back\\slash, a tab  and an umlaut ??');
      const parts = log.trimEnd().split('\n');
      expect(parts).toHaveLength(result.full?.parts ?? -1);
      for (const part of parts) expect(part.length).toBeLessThan(3100);
      const whole = gunzipSync(
        Buffer.from(parts.map((part) => part.split(' ')[3] ?? '').join(''), 'base64'),
      ).toString();
      expect(Buffer.byteLength(whole)).toBe(result.full?.bytes);
      const full = JSON.parse(whole) as Result;
      expect(packagesOf(full)).toEqual(wanted);
      expect(full.adv).toHaveLength(300);
    },
  );

  test('leaves its parts to the counts in the order configuration files, services, kept, advisories, packages', async () => {
    const order = ['conf', 'svc', 'kept', 'adv'] as const;
    for (const count of [60, 120, 160, 180, 200, 220, 240, 400]) {
      const { result } = await write({
        'applied.tsv': packages(count),
        'conf.txt': long(10, '/etc/some/long/path/of/a/configuration/file.dpkg-dist'),
        'svc.txt': long(20, 'some-rather-long-service-name.service'),
        'kept.tsv': long(20, 'kept').map((name) => `${name}\tprotected`),
        'adv.txt': long(20, 'CVE-2026-10'),
      });
      const gone = order.map((name) => result[name] === undefined);
      // Once one is there, all later ones are there.
      expect(gone.toSorted().toReversed()).toEqual(gone);
      if (result.pkgs?.enc === 'omitted') expect(gone).toEqual([true, true, true, true]);
      expect(result.n?.['kept']).toBe(20);
    }
  });
});

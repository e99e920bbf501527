// The patch script under test: put together as the product does it, run as its pod would, its answer read back.
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { checkAdvice } from './advice.ts';
import { must, run, type Ran } from './commands.ts';
import { cached, WORK, type Root } from './roots.ts';

const PARTS = new URL('../../reconciler/patch/', import.meta.url).pathname;

/** The whole script: its parts in the order of their names. */
export async function assemble(): Promise<string> {
  const names = (await readdir(PARTS)).filter((name) => name.endsWith('.sh')).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(PARTS, name), 'utf8')));
  return texts.join('');
}

/** The fields of the result that tests look at; the schema has them all. */
export interface Result {
  readonly run: string;
  readonly mode: string;
  readonly status: string;
  readonly code: string;
  readonly msg: string;
  readonly before: Record<string, string>;
  readonly after?: Record<string, string>;
  readonly n?: Record<string, number>;
  readonly kept?: readonly (readonly [string, string])[];
  readonly adv?: readonly string[];
  readonly reboot?: {
    readonly required: boolean;
    readonly safe: boolean;
    readonly why: readonly string[];
    readonly pkgs: readonly string[];
    readonly state: string;
  };
  readonly svc?: readonly string[];
  readonly conf?: readonly string[];
  readonly warn?: readonly string[];
  readonly pkgs?: { readonly enc: string; readonly data?: string | readonly string[]; readonly sha256?: string };
  readonly lock?: { readonly in: string | null; readonly sha: string };
  readonly full?: { readonly bytes: number; readonly sha256: string; readonly path: string; readonly parts: number };
  readonly t: Record<string, number | string>;
}

/** One run of the script: how it ended, what it printed, its result (checked against the schema and the size limit). */
export interface Answer extends Ran {
  readonly result: Result;
  readonly bytes: number;
}

const schema: object = JSON.parse(await readFile(join(PARTS, 'result.schema.json'), 'utf8')) as object;
const validate = new Ajv2020({ allErrors: true, strict: false }).compile(schema);

/** Checks a result's text: size, schema. Throws with what is wrong. */
export function readResult(text: string): Result {
  const bytes = Buffer.byteLength(text);
  if (bytes > 4096) throw new Error(`the result has ${String(bytes)} bytes, more than 4096`);
  const value: unknown = JSON.parse(text);
  if (!validate(value)) throw new Error(`the result is not valid: ${JSON.stringify(validate.errors)}\n${text}`);
  return value as Result;
}

/** The packages of a result as "name old new" lines, sorted; undefined when they did not fit. */
export function packagesOf(result: Result): readonly string[] | undefined {
  const packages = result.pkgs;
  if (packages === undefined) return [];
  if (packages.enc === 'omitted') return undefined;
  const lines =
    packages.enc === 'gz'
      ? gunzipSync(Buffer.from(String(packages.data), 'base64'))
          .toString()
          .split('\n')
      : (packages.data as readonly string[]);
  return lines.filter((line) => line !== '').toSorted();
}

/** A directory that holds nothing but busybox under its names: the pod's image. */
export function podTools(): Promise<string> {
  return cached('busybox', async (directory) => {
    await must('busybox', ['--install', '-s', directory]);
  });
}

/** How to start the script. `shell` is the pod's; `host` is put before the chroot (e.g. unshare -n). */
export interface Start {
  readonly mode: 'scan' | 'download' | 'patch' | 'reboot' | 'verify';
  readonly run?: string;
  readonly attempt?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly units?: boolean;
  readonly host?: readonly string[];
  readonly timeout?: number;
}

let counter = 0;

/** A run id that no other run of these tests has. */
export function runId(name = 'test'): string {
  counter += 1;
  return `${name}-${String(process.pid)}-${String(counter)}`;
}

/** What the pod gets: the script as a file, a place for the result, the environment. Nothing else. */
export async function pod(
  root: Root,
  start: Start,
): Promise<{ readonly script: string; readonly env: Record<string, string>; readonly result: string }> {
  const directory = await mkdtemp(join(WORK, 'pod-'));
  const script = join(directory, 'os-patch.sh');
  await writeFile(script, await assemble());
  const result = join(directory, 'termination-log');
  await writeFile(result, '');
  return {
    script,
    result,
    env: {
      PATH: await podTools(),
      TMPDIR: directory,
      OSP_MODE: start.mode,
      OSP_RUN_ID: start.run ?? runId(),
      OSP_NODE: 'worker-1',
      OSP_RESULT: result,
      OSP_HOST_EXEC: [...(start.host ?? []), '/usr/sbin/chroot', root.path].join(' '),
      OSP_ATTEMPT: String(start.attempt ?? 1),
      ...(start.units === true ? {} : { OSP_NO_UNIT: 'yes' }),
      ...start.env,
    },
  };
}

/** Runs the script in one mode against a root, as the pod would, and reads its result. Throws when there is none, or one without its way out. */
export async function start(root: Root, options: Start): Promise<Answer> {
  const made = await pod(root, options);
  const ran = await run('/bin/busybox', ['sh', made.script], { env: made.env, timeout: options.timeout ?? 400_000 });
  const text = await readFile(made.result, 'utf8');
  if (text === '') throw new Error(`no result; exit ${String(ran.status)}\n${ran.stdout}\n${ran.stderr}`);
  const result = readResult(text);
  checkAdvice(result, ran.status);
  return { ...ran, result, bytes: Buffer.byteLength(text) };
}

/**
 * The whole document of an answer, put together from the numbered lines of its log and held to the size and hash that the short one names.
 * `advisories` are lines "advisory package CVE CVE ..." with - for what is not known.
 */
export function wholeOf(answer: Answer): Result & { readonly advisories: readonly string[] } {
  const parts = answer.stdout
    .split('\n')
    .filter((line) => line.startsWith(`OSPATCH ${answer.result.run} `))
    .map((line) => line.split(' ')[3] ?? '');
  const { full } = answer.result;
  if (full === undefined || parts.length !== full.parts) throw new Error(`${String(parts.length)} parts in the log`);
  const text = gunzipSync(Buffer.from(parts.join(''), 'base64'));
  if (text.length !== full.bytes || createHash('sha256').update(text).digest('hex') !== full.sha256)
    throw new Error('the log does not hold the document that the result names');
  return JSON.parse(text.toString()) as Result & { readonly advisories: readonly string[] };
}

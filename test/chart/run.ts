// `npm run test:chart`: lints and renders the chart with a real helm.
import { spawnSync } from 'node:child_process';
import { parseAllDocuments } from 'yaml';
import { chart, findHelm, NoHelm } from './helm.ts';

const needed = ['--set', 'cluster=prod', '--set', 'git.repo=https://git.example.org/config.git'];

let helm: string;
try {
  helm = findHelm();
} catch (error) {
  if (!(error instanceof NoHelm)) throw error;
  console.error(`NOT RUN: the tests of the chart. ${error.message}`);
  process.exit(3);
}
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
  'makes a Service for webhooks, and only for them',
  ['template', 'oakum', chart, '--namespace', 'oakum-system', ...needed, '--set', 'webhooks.secretName=hooks'],
  (status, output) => {
    const right = status === 0 && kindsOf(output).includes('Service') && output.includes('OAKUM_WEBHOOK_SECRET_FILE');
    return right ? undefined : 'no Service, or the secret is not mounted';
  },
);
check(
  'names a forge and mounts its Secret',
  [
    'template',
    'oakum',
    chart,
    ...needed,
    '--set',
    'git.branch=main,forge.kind=github,forge.secretName=app,forge.githubAppId=12,forge.accounts={oakum[bot]}',
  ],
  (status, output) => {
    const wanted = ['OAKUM_FORGE', 'OAKUM_FORGE_SECRET_DIR', '/secrets/forge', 'OAKUM_GITHUB_APP_ID', 'oakum[bot]'];
    const missing = wanted.filter((word) => !output.includes(word));
    return status === 0 && missing.length === 0 ? undefined : `missing: ${missing.join(', ')}`;
  },
);
check(
  'mounts the keys of the deployment, and trusts the branch only when told so',
  ['template', 'oakum', chart, ...needed, '--set', 'git.branch=main,forge.kind=git,forge.signersConfigMap=keys'],
  (status, output) => {
    const right = status === 0 && output.includes('OAKUM_SIGNERS') && /name: "keys"/.test(output);
    return right && !output.includes('OAKUM_TRUST_BRANCH')
      ? undefined
      : 'the keys are not mounted, or the branch is trusted';
  },
);
check(
  'makes no Service without webhooks',
  ['template', 'oakum', chart, '--namespace', 'oakum-system', ...needed],
  (status, output) => (status === 0 && !kindsOf(output).includes('Service') ? undefined : 'a Service is there'),
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
check(
  'renders the way to a Git server with an authority of its own, through a proxy',
  [
    'template',
    'oakum',
    chart,
    ...needed,
    '--set',
    'git.caConfigMap=trust,git.httpsProxy=http://proxy:3128,git.noProxy=git.example.org,git.proxySecretName=proxy',
  ],
  (status, output) =>
    status === 0 &&
    output.includes('name: OAKUM_GIT_CA_FILE, value: /ca/ca.crt') &&
    output.includes('configMap: { name: "trust"') &&
    output.includes('name: HTTPS_PROXY, value: "http://proxy:3128"') &&
    output.includes('secretRef: { name: "proxy" }')
      ? undefined
      : 'a value did not arrive',
);
check(
  'refuses a password in the values',
  ['template', 'oakum', chart, ...needed, '--set', 'git.httpsProxy=http://me:secret@proxy:3128'],
  (status) => (status !== 0 ? undefined : 'it rendered'),
);
const apart = 'topologyKey: kubernetes.io/hostname';
check(
  'prefers other nodes for replicas',
  ['template', 'oakum', chart, ...needed, '--set', 'replicas=2'],
  (_, output) =>
    output.includes('preferredDuringSchedulingIgnoredDuringExecution') && output.includes(apart)
      ? undefined
      : 'the replicas are not kept apart',
);
check('keeps nobody apart from itself', ['template', 'oakum', chart, ...needed], (status, output) =>
  status === 0 && !output.includes('podAntiAffinity') ? undefined : 'a single replica has an affinity',
);
check('refuses values without a repository', ['template', 'oakum', chart, '--set', 'cluster=prod'], (status, output) =>
  status !== 0 && output.includes('repo') ? undefined : 'it rendered',
);
check('refuses a word that is not a value', ['template', 'oakum', chart, ...needed, '--set', 'limitz.x=1'], (status) =>
  status !== 0 ? undefined : 'it rendered',
);

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

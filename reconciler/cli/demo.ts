// `oakum demo`: a Git server, a simulated cluster of a dozen nodes, a policy, a run that somebody approves, and the real service between them.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { realClock } from '../adapters/clock.ts';
import { openLog } from '../adapters/log.ts';
import { type PassResult } from '../pass.ts';
import type { Clock } from '../ports.ts';
import { runService } from '../loop.ts';
import { jobNamespace, ownNamespace } from '../model/names.ts';
import { realClock as simClock } from '../sim/clock.ts';
import { serveSim } from '../sim/server.ts';
import { readSchemas } from '../adapters/assets.ts';
import { playScenes } from './demo-scenes.ts';
import { makeDemoSigner } from './demo-signer.ts';
import { startDemoGit } from './demo-git.ts';
import { createScreen } from './demo-screen.ts';
import { imitatedCluster, type ImitatedCluster, kernelUpdate, ordinaryUpdates } from './imitated-cluster.ts';
import { openReviewDesk } from './review-desk.ts';
import { createPublisher } from './publisher.ts';
import { approvalFloorOf } from './forge.ts';
import { UsageError } from './settings.ts';
import { type Check, verifyRun } from './verify.ts';

const run = promisify(execFile);
/** The demo ends by itself, whatever happens. */
const longestMs = 900_000;
/** What is played before the run's time comes takes about so long, and longer on a machine that was slow to set the stage. */
const scenesMs = 15_000;
const scenesPerSetting = 3;
const minuteMs = 60_000;
const ann = { name: 'Ann', email: 'ann@example.org' };
const bob = { name: 'Bob', email: 'bob@example.org' };

/** The run's time is a full minute, as every time of a schedule; the demo's clock is set so that it comes right after the scenes before it. */
const policy = (
  at: Date,
): string => `# Who is patched, when, and how carefully. The defaults of everything else are in docs/policy.md.
apiVersion: oakum.dev/v1alpha1
kind: PatchPolicy
metadata: { name: demo }
spec:
  schedule: { cron: "${at.getUTCMinutes()} ${at.getUTCHours()} * * *", timeZone: Etc/UTC }
  approval: { mode: review, approvers: ["@${bob.email}"], leadTime: 1h }
  rollout: { concurrency: 1, topologyKey: topology.kubernetes.io/zone, canary: null, soak: 0s, maxFailures: 2 }
  reboot: { when: ifRequired, returnTimeout: 1m, stableFor: 1s }
`;

const request = `# "Patch now." Asking again is committing another file.
apiVersion: oakum.dev/v1alpha1
kind: PatchRequest
metadata: { name: openssl-fix }
spec:
  reason: openssl advisory of this morning
`;

/** Adds the verb. */
export function registerDemo(program: Command): void {
  program
    .command('demo')
    .description('the main job on a simulated cluster and a local Git server, in about a minute')
    .option('--keep', 'stay until interrupted, so that you can commit something yourself')
    .option('--log', 'show the log of the service instead of the table')
    .action(async (flags: { keep?: boolean; log?: boolean }) => {
      await demo(flags.keep ?? false, flags.log ?? false);
    });
}

async function demo(keep: boolean, showLog: boolean): Promise<void> {
  await run('git', ['--version']).catch(() => {
    throw new UsageError('the demo needs git on this machine: it plays the Git server');
  });
  const entered = realClock.now();
  const folder = mkdtempSync(join(tmpdir(), 'oakum-demo-'));
  const screen = createScreen(!showLog);
  screen.say('starting a Git server and a simulated cluster (12 nodes in 3 zones) on this machine');
  const bare = join(folder, 'config.git');
  const work = join(folder, 'work');
  await git(folder, 'init', '--quiet', '--bare', '--initial-branch=main', bare);
  await git(bare, 'config', 'http.receivepack', 'true');
  const gitServer = await startDemoGit(folder);
  const url = `${gitServer.url}/config.git`;
  await git(folder, 'clone', '--quiet', url, work);
  const reviewer = join(folder, 'bob');
  await git(folder, 'clone', '--quiet', url, reviewer);
  const signers: Record<string, string> = {};
  for (const [clone, person] of [
    [work, ann],
    [reviewer, bob],
  ] as const) {
    const signer = await makeDemoSigner(folder, person.name, person.email);
    signers[`signers/${person.email}.asc`] = signer.publicKey;
    const settings = { ...signer.settings, 'user.name': person.name, 'user.email': person.email };
    for (const [name, value] of Object.entries(settings)) await git(clone, 'config', name, value);
  }
  const { openParts } = await import('./parts.ts');

  const began = realClock.now() + scenesMs + scenesPerSetting * (realClock.now() - entered);
  const at = new Date(Math.ceil(began / minuteMs) * minuteMs);
  const aheadMs = at.getTime() - began;
  const clock: Clock = { ...realClock, now: () => realClock.now() + aheadMs };
  const world = demoCluster(aheadMs);
  // Without a token: kubectl sends none over plain HTTP, and there is nothing in it to keep from anybody.
  const api = await serveSim(world.sim);
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, api.kubeconfig(), { mode: 0o600 });

  screen.say(`the demo's clock is ${Math.round(aheadMs / 1000)} s ahead, so that the time of the run comes soon`);
  screen.say(
    `${ann.name} commits a policy, clusters/demo/policy.yaml: daily, after ${bob.name} has approved; and the public keys of both`,
  );
  const first = { 'clusters/demo/policy.yaml': policy(at), ...signers };
  await commit(work, first, 'demo: patch daily, one node at a time, when Bob approves');

  const log = openLog({ level: showLog ? 'info' : 'error' });
  const parts = await openParts({
    flags: { ...demoFlags, repo: url, cacheDir: join(folder, 'cache'), kubeconfig },
    log,
    watch: true,
    act: true,
    clock,
    rate: { perSecond: 500, burst: 500 },
    settings: (standard) => ({
      ...standard,
      timing: { ...standard.timing, rebootDelayMs: 0, retryMs: 500, evictRetryMs: 500, drainPollMs: 150 },
    }),
  });
  const publisher = createPublisher({
    git: parts.git,
    clock,
    log,
    clusters: ['demo'],
    archived: (name, runIds) => parts.clusters.find((one) => one.name === name)?.loop.archived(runIds),
    onPublish: () => undefined,
  });
  const forge = parts.forge;
  if (!forge) throw new Error('the demo has no place for proposals');
  const desk = openReviewDesk({
    forge,
    git: parts.git,
    schemas: readSchemas(),
    clusters: parts.clusters,
    snapshot: () => parts.source.files(),
    clock,
    log,
    ownAccounts: [],
    approvalFloor: approvalFloorOf(demoFlags, demoFlags.approvalFloor),
    pollMs: 3_000,
  });
  const stop = new AbortController();
  const limit = setTimeout(() => stop.abort(), longestMs);
  process.once('SIGINT', () => stop.abort());
  let latest: PassResult | undefined;
  const service = runService(
    {
      source: parts.source,
      clusters: parts.clusters,
      clock,
      log,
      pace: { pollMs: 700, restMs: 30, retryMs: 300 },
      random: Math.random,
      health: (name, error) => {
        if (error instanceof Error && showLog) log.warn({ name }, error.message);
      },
      report: (result) => {
        latest = result;
        publisher.offer(result);
        desk.offer(result);
        screen.show(result);
      },
    },
    stop.signal,
  );
  const played = await playScenes({
    ledger: () => latest?.plan.ledger,
    say: (line) => screen.say(line),
    print: (text) => screen.print(text),
    pushRequest: () =>
      commit(work, { 'clusters/demo/requests/openssl-fix.yaml': request }, 'demo: patch now, openssl advisory'),
    messageOf: (branch) => git(bare, 'log', '-1', '--format=%B', branch).catch(() => undefined),
    reviewer: { dir: reviewer, env: personsGit(folder, bob) },
    signal: stop.signal,
  }).then(
    (last) => ({ last, failure: undefined }),
    (failure: unknown) => ({ last: undefined, failure }),
  );
  clearTimeout(limit);
  if (keep && !stop.signal.aborted) {
    if (played.failure !== undefined)
      screen.say(
        `the run was not played to its end: ${played.failure instanceof Error ? played.failure.message : 'unknown reason'}`,
      );
    screen.say('staying until you press Ctrl-C. Your turn: commit something, push it, and see what becomes of it:');
    screen.print(yourTurn({ work, reviewer, url, kubeconfig }));
    await new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve()));
  }
  stop.abort();
  await service;
  await desk.close();
  await publisher.close();
  screen.done();
  await tellStatus(bare, screen);
  const done = played.last;
  const checks = done === undefined ? [] : await verified(done.id, reviewer);
  await parts.close();
  await api.close();
  await gitServer.close();
  if (played.failure !== undefined && !keep) {
    rmSync(folder, { recursive: true, force: true });
    throw played.failure instanceof Error ? played.failure : new Error('the demo failed');
  }
  if (done !== undefined) {
    screen.say(`the evidence of the approval, checked in a clone:  oakum verify ${done.id} --cluster demo`);
    screen.print(
      checks.map(({ what, ok, note }) => `${ok ? 'ok    ' : 'FAILED'} ${what}${note && `: ${note}`}`).join('\n'),
    );
    if (checks.some(({ ok }) => !ok)) throw new Error('the evidence of the approval does not hold');
  }
  screen.say(
    `look at the repository yourself (and delete ${folder} when you have seen enough):  git -C ${bare} log --oneline --all   and   git -C ${bare} show oakum/status:clusters/demo/status.yaml`,
  );
}

/** Commands for whoever stays: a look, a request of their own, and Bob's consent to it, without which nothing starts. */
function yourTurn({
  work,
  reviewer,
  url,
  kubeconfig,
}: Readonly<Record<'work' | 'reviewer' | 'url' | 'kubeconfig', string>>): string {
  return `alias oakum="${process.execPath} ${process.argv[1] ?? 'oakum'}"
export OAKUM_REPO=${url} KUBECONFIG=${kubeconfig}
kubectl get nodes -L oakum.dev/run,oakum.dev/phase
oakum status --cluster demo; oakum why worker-09
oakum plan --cluster demo --forge git --branch main
cd ${work} && git pull
oakum request reboot --cluster demo --name mine --nodes worker-03 --dir .
git add . && git commit -S -m "demo: once more" && git push
cd ${reviewer} && git pull && oakum approve mine`;
}

/** What `oakum verify` says in the reviewer's clone. */
async function verified(id: string, dir: string): Promise<Check[]> {
  await git(dir, 'fetch', '--quiet', 'origin');
  return verifyRun(id, { cluster: 'demo', dir, branch: 'origin/main', statusBranch: 'origin/oakum/status' });
}

/** A dozen nodes: most need a reboot or none, one has nothing to do, one has a full disk. */
function demoCluster(aheadMs: number): ImitatedCluster {
  const world = imitatedCluster(simClock(aheadMs), [jobNamespace, ownNamespace]);
  const zones = ['zone-a', 'zone-b', 'zone-c'];
  for (let number = 1; number <= 12; number++) {
    const kernel = number % 3 === 1;
    world.add({
      name: `worker-${String(number).padStart(2, '0')}`,
      zone: zones[(number - 1) % 3] ?? 'zone-a',
      rebootMs: 900,
      system: {
        jobMs: 120,
        pending: number === 5 ? [] : kernel ? [...ordinaryUpdates, kernelUpdate] : [...ordinaryUpdates],
        fault:
          number === 9
            ? {
                mode: 'download',
                code: 'DISK_FULL_BOOT',
                message: '/boot has 12 MiB free and the new kernel needs 43 MiB',
                exitCode: 40,
              }
            : undefined,
      },
    });
  }
  world.sim.addDeployment({ name: 'web', replicas: 6, pdb: { maxUnavailable: 1 } });
  world.sim.addDeployment({ name: 'api', replicas: 4, pdb: { minAvailable: 3 } });
  return world;
}

const demoFlags = {
  cluster: 'demo',
  statusBranch: 'oakum/status',
  namespace: ownNamespace,
  image: 'docker.io/library/busybox:1.37.0',
  identity: 'demo',
  approvalFloor: 'none',
  branch: 'main',
  forge: 'git',
  forgePoll: '60s',
  maxScans: '2',
  rebootDelay: '1s',
  retryDelay: '1s',
  jobStartTimeout: '30s',
} as const;

async function git(folder: string, ...words: string[]): Promise<string> {
  const { stdout } = await run('git', words, {
    cwd: folder,
    env: { PATH: process.env['PATH'], ...personsGit(folder, ann) },
  });
  return stdout;
}

/** The environment of one person's git: nothing of this machine's own settings. */
function personsGit(
  home: string,
  { name, email }: { readonly name: string; readonly email: string },
): Record<string, string> {
  return {
    HOME: home,
    XDG_CONFIG_HOME: home,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_AUTHOR_NAME: name,
    GIT_AUTHOR_EMAIL: email,
    GIT_COMMITTER_NAME: name,
    GIT_COMMITTER_EMAIL: email,
  };
}

async function commit(work: string, files: Readonly<Record<string, string>>, message: string): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(work, path)), { recursive: true });
    writeFileSync(join(work, path), text);
  }
  await git(work, 'add', '.');
  await git(work, 'commit', '--quiet', '-m', message);
  await git(work, 'push', '--quiet', 'origin', 'HEAD:main');
}

/** What arrived in Git: the page of the fleet, and the last commits of both branches. */
async function tellStatus(bare: string, screen: { say(line: string): void; print(text: string): void }): Promise<void> {
  const page = await git(bare, 'show', 'oakum/status:README.md').catch(() => undefined);
  const log = await git(bare, 'log', '--oneline', '--max-count=12', 'oakum/status').catch(() => '');
  screen.say('what is in Git now, on the branch oakum/status: README.md');
  screen.print(page ?? readFileSync(join(bare, 'HEAD'), 'utf8'));
  screen.say('git log --oneline oakum/status');
  screen.print(log);
}

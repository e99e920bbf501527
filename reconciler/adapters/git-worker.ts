// The thread that does all Git work: owns the cache folder, does one thing at a time, sends back only what changed.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { openEvidence } from './git-evidence.ts';
import { stopped, toSent } from './git-failure.ts';
import { openHttpTransport, type GitTransport, type Scope } from './git-http.ts';
import { openLine } from './git-line.ts';
import { lockCache, type CacheLock } from './git-lock.ts';
import type { Answer, Call, Question } from './git-messages.ts';
import type { GitAuth, WorkerOptions } from './git-options.ts';
import { openReader } from './git-reading.ts';
import { openReview } from './git-review.ts';
import { openSecrets } from './git-secrets.ts';
import { openSshTransport, parseSshUrl } from './git-ssh.ts';
import { openStatus } from './git-status.ts';
import { GitStore } from './git-store.ts';

const port = parentPort;
if (port === null) throw new Error('git-worker.ts is started by git.ts only');

// The only thing that is ever put there is what git.ts made with completeOptions.
const options = workerData as WorkerOptions;
const secrets = openSecrets();
const scope: Scope = { signal: new AbortController().signal };
let controller = new AbortController();

function transportTo(url: string, auth: GitAuth | undefined): GitTransport {
  const place = parseSshUrl(url);
  return place === undefined
    ? openHttpTransport(url, auth, options, secrets, scope)
    : openSshTransport(url, place, auth, options, secrets, scope);
}

/** Another address gets another folder: a cache never answers for a repository that it is not of. */
function folderFor(use: 'config' | 'status' | 'review', url: string, branch: string): string {
  const digest = crypto.createHash('sha256').update(`${url}\n${branch}`).digest('hex').slice(0, 16);
  return path.join(options.cacheDir, `${use}-${digest}.git`);
}

let lock: CacheLock | undefined;
const configTransport = transportTo(options.url, options.auth);
const statusTransport = transportTo(options.statusUrl, options.statusAuth);
const configFolder = folderFor('config', options.url, options.branch ?? 'HEAD');
const statusFolder = folderFor('status', options.statusUrl, options.statusBranch);
const reviewFolder = folderFor('review', options.url, options.branch ?? 'HEAD');
const configStore = new GitStore(configFolder, configTransport, options);
const statusStore = new GitStore(statusFolder, statusTransport, options);
const reviewStore = new GitStore(reviewFolder, configTransport, options);
const reader = openReader(configStore, configTransport, options.branch, options.wanted);
const status = openStatus(
  statusStore,
  statusTransport,
  { branch: options.statusBranch, author: options.author, backoffMs: options.timeouts.backoffMs },
  scope,
);

const review = openReview(
  reviewStore,
  configTransport,
  // Whoever may write status to this very repository is the one who writes proposals.
  options.statusUrl === options.url ? statusTransport : configTransport,
  {
    branch: options.branch,
    statusBranch: options.statusBranch,
    author: options.author,
    backoffMs: options.timeouts.backoffMs,
    wanted: options.wanted,
  },
  scope,
);

const evidence = openEvidence(reviewStore, configTransport, options.branch);
const line = openLine(reviewStore, configTransport, options.branch);

/** Takes the folder, as soon as no other process has it, and clears out folders of addresses that are not asked for any more. */
function takeFolder(): void {
  if (lock !== undefined) return;
  lock = lockCache(options.cacheDir);
  const ours = new Set([path.basename(configFolder), path.basename(statusFolder), path.basename(reviewFolder)]);
  for (const name of fs.readdirSync(options.cacheDir))
    if (/^(config|status|review)-[0-9a-f]{16}\.git$/.test(name) && !ours.has(name))
      fs.rmSync(path.join(options.cacheDir, name), { recursive: true, force: true });
}

async function close(): Promise<void> {
  configStore.close();
  statusStore.close();
  reviewStore.close();
  lock?.release();
  await Promise.allSettled([configTransport.close(), statusTransport.close()]);
}

async function work(call: Call): Promise<NonNullable<Answer['result']>> {
  switch (call.kind) {
    case 'sync':
      return { kind: 'sync', reading: await reader.read(call.after) };
    case 'publish':
      return { kind: 'publish', result: await status.publish(call.files, call.message) };
    case 'readStatus':
      return { kind: 'readStatus', ...(await status.read(call.prefix)) };
    case 'readAt':
      return { kind: 'readAt', files: await review.readAt(call.commit, call.ref, call.against) };
    case 'propose':
      return { kind: 'propose', result: await review.propose(call.proposal) };
    case 'withdraw':
      await review.withdraw(call.branch);
      return { kind: 'withdraw' };
    case 'evidence':
      return { kind: 'evidence', evidence: await evidence.read(call.path) };
    case 'line':
      return { kind: 'line', line: await line.read(call.tip, call.after) };
    case 'blobsAt':
      return { kind: 'blobsAt', blobs: await evidence.blobsAt(call.commits, call.paths) };
    case 'branches':
      return { kind: 'branches', branches: await evidence.branches(call.prefix) };
    case 'close':
      await close();
      return { kind: 'close' };
  }
}

async function answer(question: Extract<Question, { call: Call }>): Promise<Answer> {
  const { id, call } = question;
  controller = new AbortController();
  scope.signal = AbortSignal.any([controller.signal, AbortSignal.timeout(options.timeouts.operationMs)]);
  try {
    if (call.kind !== 'close') takeFolder();
    return { id, result: await work(call) };
  } catch (error) {
    // Whatever a library made of it: when the time was up, that is the reason.
    const known = scope.signal.aborted ? stopped(scope.signal, options.url) : error;
    return { id, failure: toSent(known, secrets.known()) };
  }
}

port.on('message', (question: Question) => {
  if ('abort' in question) {
    controller.abort();
    return;
  }
  void answer(question).then((result) => {
    port.postMessage(result);
    if (question.call.kind === 'close') port.close();
  });
});

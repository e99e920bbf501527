// The Git port: hands work to one worker thread, keeps the files that came back, and survives the worker's death.
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { AdapterError } from '../model/failure.ts';
import type { ConfigFile, ConfigSnapshot, Git, ReviewGit, SyncResult } from '../ports.ts';
import type { BranchTip, PathEvidence } from './git-evidence.ts';
import { fromSent, publicUrl } from './git-failure.ts';
import type { CommitLine } from './git-line.ts';
import type { Answer, Call, Question } from './git-messages.ts';
import { completeOptions, type GitOptions } from './git-options.ts';
import type { Reading } from './git-reading.ts';
import { parseSshUrl } from './git-ssh.ts';
import { proxiesOfEnvironment } from './proxy.ts';

/** Cache folders that an open adapter of this process owns. */
const ownedFolders = new Set<string>();
/** How long after its limit the worker may still be busy (indexing a pack cannot be interrupted) before it is ended. */
const graceMs = 15_000;
const closeMs = 5_000;
/** Commits other than the tip that are kept in memory; they share the files that are the same. */
const keptCommits = 16;

/** What the history of the config branch says: what approvals without a forge are read from. Throws AdapterError only. */
export interface GitHistory {
  /** Who brought a path to the branch as it is there now, with the approval files of its cluster. */
  evidence(path: string, signal?: AbortSignal): Promise<PathEvidence>;
  /** The commits of the config branch itself since `after`, the tip first; undefined: `after` is not on its line of first parents. */
  line(tip: string, after: string | undefined, signal?: AbortSignal): Promise<CommitLine>;
  /** Object ids of paths in commits that an evidence named. */
  blobsAt(
    commits: readonly string[],
    paths: readonly string[],
    signal?: AbortSignal,
  ): Promise<Readonly<Record<string, readonly (string | undefined)[]>>>;
  /** Branches whose name begins so, with their tips. */
  branches(prefix: string, signal?: AbortSignal): Promise<readonly BranchTip[]>;
  /** Whether this very process made a commit as a proposal: its author is Oakum, which a name in a commit never proves. */
  proposed(commit: string): boolean;
}

interface Waiting {
  readonly id: number;
  readonly resolve: (result: NonNullable<Answer['result']>) => void;
  readonly reject: (error: AdapterError) => void;
}

/** Refuses addresses that cannot work, and those that carry a password: addresses are shown, passwords must not be. */
function checkUrl(url: string): void {
  const where = publicUrl(url);
  const bad = (why: string): AdapterError => new AdapterError('rejected', 'GitBadUrl', `${where}: ${why}`);
  if (parseSshUrl(url) !== undefined) {
    if (/^[^/]*:\/\/[^/@]*:[^/@]*@/.test(url)) throw bad('a password has no place in the address; use a deploy key.');
    return;
  }
  if (!URL.canParse(url)) throw bad('this is not an address. Use https://host/path or ssh://git@host/path.');
  const { protocol, username, password } = new URL(url);
  if (protocol !== 'https:' && protocol !== 'http:') throw bad('only https, http and ssh are spoken.');
  if (username !== '' || password !== '')
    throw bad('credentials have no place in the address; give them as a token, best in a file.');
}

/** Credentials over plain HTTP can be read by everybody on the way. */
function warnOfPlainText(options: GitOptions): void {
  for (const url of new Set([options.url, options.statusUrl ?? options.url])) {
    if (!url.startsWith('http://') || /^http:\/\/(127\.0\.0\.1|localhost|\[::1\])[:/]/.test(url)) continue;
    if (options.auth ?? options.statusAuth)
      options.log.warn({ url: publicUrl(url) }, 'credentials travel over plain http');
  }
}

/** Opens the port. Nothing is read before the first call. */
export function openGit(options: GitOptions): Git & ReviewGit & GitHistory {
  const complete = completeOptions(options);
  // A proxy that cannot be used is said at once; the worker would only die of it.
  for (const url of [complete.url, complete.statusUrl]) if (/^https?:/.test(url)) proxiesOfEnvironment();
  const folder = path.resolve(complete.cacheDir);
  let worker: Worker | undefined;
  let waiting: Waiting | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  /** Resolves when a worker that had to be ended is gone: two must never write one folder. */
  let ending: Promise<unknown> = Promise.resolve();
  let nextId = 1;
  let closed = false;
  let ownsFolder = false;
  /** Whether the worker has not handed over anything yet, so that its first answer is everything. */
  let freshWorker = true;
  let lastWorker: Worker | undefined;
  let snapshot: ConfigSnapshot | undefined;
  /** Other commits that were read, the one used last at the end. */
  const others = new Map<string, ConfigSnapshot>();

  const proposals = new Set<string>();

  function lose(dead: Worker, why: string): void {
    if (worker !== dead) return;
    worker = undefined;
    const lost = waiting;
    waiting = undefined;
    lost?.reject(
      new AdapterError('transient', 'GitWorkerLost', `The Git worker ${why}; the next call starts another.`),
    );
  }

  function start(): Worker {
    if (worker !== undefined) return worker;
    checkUrl(complete.url);
    checkUrl(complete.statusUrl);
    if (!ownsFolder) {
      if (ownedFolders.has(folder))
        throw new AdapterError('transient', 'GitCacheBusy', `The Git cache ${folder} is in use by this very process.`);
      ownedFolders.add(folder);
      ownsFolder = true;
    }
    warnOfPlainText(options);
    const file = import.meta.url.endsWith('.ts') ? './git-worker.ts' : './git-worker.js';
    const started = new Worker(new URL(file, import.meta.url), { workerData: complete, execArgv: [] });
    started.on('message', (answer: Answer) => {
      const asked = waiting;
      if (asked?.id !== answer.id) return;
      waiting = undefined;
      if (answer.result !== undefined) asked.resolve(answer.result);
      else if (answer.failure !== undefined) asked.reject(fromSent(answer.failure));
    });
    started.on('error', (error) => {
      options.log.error({ error: error instanceof Error ? error.name : 'unknown' }, 'the Git worker crashed');
      lose(started, 'crashed');
    });
    started.on('exit', () => lose(started, 'ended'));
    worker = started;
    return started;
  }

  /** One call, after those before it. */
  function ask(call: Call, signal: AbortSignal | undefined): Promise<NonNullable<Answer['result']>> {
    const answer = turn.then(() => send(call, signal));
    turn = answer.catch(() => undefined);
    return answer;
  }

  async function send(call: Call, signal: AbortSignal | undefined): Promise<NonNullable<Answer['result']>> {
    if (signal?.aborted === true)
      throw new AdapterError('transient', 'GitAborted', 'The work with Git was called off.');
    await ending;
    const thread = start();
    const id = nextId++;
    const limit = call.kind === 'close' ? closeMs : complete.timeouts.operationMs + graceMs;
    const abort = (): void => thread.postMessage({ abort: true } satisfies Question);
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        waiting = { id, resolve, reject };
        timer = setTimeout(() => {
          lose(thread, 'did not answer in time');
          ending = thread.terminate();
        }, limit);
        signal?.addEventListener('abort', abort, { once: true });
        thread.postMessage({ id, call } satisfies Question);
      });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Folds what came into the snapshot. A worker that was started anew sends everything; what we have already is recognised by its id. */
  function take(reading: Reading): SyncResult {
    switch (reading.kind) {
      case 'unchanged':
        if (snapshot === undefined)
          throw new AdapterError('transient', 'GitWorkerLost', 'The Git worker lost its place.');
        return { kind: 'unchanged', snapshot };
      case 'changed': {
        const before = snapshot?.files;
        const complete = freshWorker;
        freshWorker = false;
        const files = new Map<string, ConfigFile>(complete ? [] : before);
        for (const path of reading.removed) files.delete(path);
        for (const file of reading.written) {
          const known = before?.get(file.path);
          files.set(file.path, known?.oid === file.oid && known.kind === file.kind ? known : file);
        }
        const changed = before === undefined ? undefined : differences(before, files, complete ? undefined : reading);
        const same = snapshot?.commit === reading.commit;
        snapshot = { commit: reading.commit, committedAt: reading.committedAt, files, changed };
        return same ? { kind: 'unchanged', snapshot } : { kind: 'changed', snapshot };
      }
      case 'empty':
      case 'rewritten':
      case 'unknown':
        return reading;
    }
  }

  function keep(read: ConfigSnapshot): ConfigSnapshot {
    others.delete(read.commit);
    others.set(read.commit, read);
    for (const oldest of others.keys()) if (others.size > keptCommits) others.delete(oldest);
    return read;
  }

  return {
    async sync({ after, signal }) {
      const result = await ask({ kind: 'sync', after }, signal);
      if (worker !== lastWorker) {
        lastWorker = worker;
        freshWorker = true;
      }
      if (result.kind !== 'sync') throw lostPlace();
      return take(result.reading);
    },
    async publish(commit, signal) {
      const result = await ask({ kind: 'publish', files: commit.files, message: commit.message }, signal);
      if (result.kind !== 'publish') throw lostPlace();
      return result.result;
    },
    async readStatus(prefix, signal) {
      const result = await ask({ kind: 'readStatus', prefix }, signal);
      if (result.kind !== 'readStatus') throw lostPlace();
      return { commit: result.commit, files: result.files };
    },
    async readAt({ commit, ref }, signal) {
      const held =
        others.get(commit) ?? (snapshot?.commit === commit ? { ...snapshot, changed: undefined } : undefined);
      if (held !== undefined) return keep(held);
      const latest = [...others.values()].at(-1);
      const result = await ask({ kind: 'readAt', commit, ref, against: latest?.commit }, signal);
      if (result.kind !== 'readAt') throw lostPlace();
      const files = new Map<string, ConfigFile>(result.files.against === undefined ? [] : latest?.files);
      for (const path of result.files.removed) files.delete(path);
      for (const file of result.files.written) files.set(file.path, file);
      return keep({ commit, committedAt: result.files.committedAt, files, changed: undefined });
    },
    async propose(proposal, signal) {
      const result = await ask({ kind: 'propose', proposal }, signal);
      if (result.kind !== 'propose') throw lostPlace();
      proposals.add(result.result.commit);
      return result.result;
    },
    async withdraw(branch, signal) {
      const result = await ask({ kind: 'withdraw', branch }, signal);
      if (result.kind !== 'withdraw') throw lostPlace();
    },
    async evidence(path, signal) {
      const result = await ask({ kind: 'evidence', path }, signal);
      if (result.kind !== 'evidence') throw lostPlace();
      return result.evidence;
    },
    async line(tip, after, signal) {
      const result = await ask({ kind: 'line', tip, after }, signal);
      if (result.kind !== 'line') throw lostPlace();
      return result.line;
    },
    async blobsAt(commits, paths, signal) {
      const result = await ask({ kind: 'blobsAt', commits, paths }, signal);
      if (result.kind !== 'blobsAt') throw lostPlace();
      return result.blobs;
    },
    async branches(prefix, signal) {
      const result = await ask({ kind: 'branches', prefix }, signal);
      if (result.kind !== 'branches') throw lostPlace();
      return result.branches;
    },
    proposed: (commit) => proposals.has(commit),
    async close() {
      if (closed) return;
      closed = true;
      if (worker !== undefined) {
        worker.postMessage({ abort: true } satisfies Question);
        await ask({ kind: 'close' }, undefined).catch(() => undefined);
        await worker?.terminate();
        worker = undefined;
      }
      if (ownsFolder) ownedFolders.delete(folder);
      ownsFolder = false;
    },
  };
}

function lostPlace(): AdapterError {
  return new AdapterError('transient', 'GitWorkerLost', 'The Git worker answered another question.');
}

/** Paths whose file is another than before, or gone; with what the worker said, only those need to be looked at. */
function differences(
  before: ReadonlyMap<string, ConfigFile>,
  now: ReadonlyMap<string, ConfigFile>,
  said: { readonly written: readonly ConfigFile[]; readonly removed: readonly string[] } | undefined,
): string[] {
  const candidates =
    said === undefined
      ? new Set([...before.keys(), ...now.keys()])
      : new Set([...said.removed, ...said.written.map(({ path }) => path)]);
  return [...candidates]
    .filter((path) => before.get(path)?.oid !== now.get(path)?.oid || before.get(path)?.kind !== now.get(path)?.kind)
    .sort();
}

// One program of the lab: started with a log file, stopped by its pid, and never left behind when the test process dies.
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A running program. */
export interface LabProcess {
  readonly name: string;
  readonly pid: number;
  readonly logPath: string;
  /** True until the program ended. */
  running(): boolean;
  /** Sends a signal to this very process; does nothing once it ended. */
  signal(name: NodeJS.Signals): void;
  /** SIGTERM, then SIGKILL after `graceMs`. Resolves when the process is gone. */
  stop(graceMs?: number): Promise<void>;
  /** Resolves with how it ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** The end of its log, for error messages. */
  tail(lines?: number): string;
}

// A test runner that is killed leaves its workers alive; without it nobody would ever stop what this one started.
process.once('disconnect', () => {
  process.exit(1);
});

/** Starts `file` with its output appended to `logPath`. Throws when it cannot be started at all. */
export async function startProcess(options: {
  readonly name: string;
  readonly file: string;
  readonly words: readonly string[];
  readonly logPath: string;
  readonly environment?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}): Promise<LabProcess> {
  const log = openSync(options.logPath, 'a');
  let child: ChildProcess;
  try {
    child = spawn(options.file, options.words, {
      stdio: ['ignore', log, log],
      env: options.environment ?? process.env,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
  } finally {
    closeSync(log);
  }
  let gone = false;
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('exit', (code, signal) => {
      gone = true;
      resolve({ code, signal });
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) => {
      reject(new Error(`${options.name} (${options.file}) could not be started: ${error.message}`));
    });
  });
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${options.name} has no pid`);
  const releaseGuard = guard(pid);
  void ended.then(releaseGuard);
  const signal = (name: NodeJS.Signals): void => {
    if (!gone) child.kill(name);
  };
  return {
    name: options.name,
    pid,
    logPath: options.logPath,
    running: () => !gone,
    signal,
    async stop(graceMs = 5_000) {
      if (gone) return;
      // A frozen process takes no SIGTERM until it is thawed.
      signal('SIGCONT');
      signal('SIGTERM');
      const timer = new AbortController();
      await Promise.race([ended, sleep(graceMs, undefined, { signal: timer.signal }).catch(() => undefined)]);
      timer.abort();
      signal('SIGKILL');
      await ended;
    },
    ended,
    tail(lines = 15) {
      return readFileSync(options.logPath, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
    },
  };
}

/**
 * A shell that holds the other end of a pipe: when this process dies, however it dies, the shell reads the end of the pipe and kills `pid`.
 * A program that ended by itself is released first, so its number is never killed after it was given to another.
 */
function guard(pid: number): () => void {
  const shell = spawn('/bin/sh', ['-c', 'read -r released || kill -9 "$1"', 'sh', String(pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  shell.on('error', () => undefined);
  shell.stdin.on('error', () => undefined);
  shell.unref();
  return () => {
    shell.stdin.end('released\n');
  };
}

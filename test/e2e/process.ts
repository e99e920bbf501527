// Oakum as a process of its own, started by its command line as a user would.
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { patience } from '../lab/wait.ts';

const main = fileURLToPath(new URL('../../reconciler/main.ts', import.meta.url));
/** Node keeps what it compiled: a suite starts the same program some hundred times. */
const cache = { NODE_COMPILE_CACHE: join(tmpdir(), 'oakum-compile-cache') };
/** A verb that has not ended by then hangs. */
const answerMs = 90_000 * patience;

/** One service that runs. */
export interface OakumProcess {
  /** Everything it logged so far. */
  log(): string;
  /** kill -9. */
  kill(): Promise<void>;
  /** SIGTERM; the answer is the exit code. */
  stop(): Promise<number | null>;
}

/** What a verb printed. */
export interface OakumAnswer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const running = new Set<OakumProcess>();

/** Kills all services that this file has started. */
export async function killAll(): Promise<void> {
  await Promise.all([...running].map((one) => one.kill()));
}

/** Starts a service; it runs until it is killed or stopped. */
export function startOakum(words: readonly string[]): OakumProcess {
  const child = spawn(process.execPath, [main, ...words], {
    env: { ...process.env, ...cache },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const end = (signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> => {
    child.kill(signal);
    return ended;
  };
  const started: OakumProcess = {
    log: () => log,
    kill: async () => void (await end('SIGKILL')),
    stop: () => end('SIGTERM'),
  };
  running.add(started);
  void ended.then(() => running.delete(started));
  return started;
}

/** Runs a verb to its end, in our environment unless another is given. Rejects when it hangs. */
export async function runOakum(
  words: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): Promise<OakumAnswer> {
  const child = spawn(process.execPath, [main, ...words], {
    env: { ...environment, ...cache },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: answerMs,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
    child.once('close', (...end) => resolve(end)),
  );
  if (signal !== null) throw new Error(`oakum ${words.join(' ')} did not end in ${answerMs / 1000} s:\n${stderr}`);
  return { code, stdout, stderr };
}

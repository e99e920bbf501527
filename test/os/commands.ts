// Runs a command to its end and keeps what it said; every run has a time limit.
import { spawn } from 'node:child_process';

/** What a command said and how it ended; `status` is 128 + signal number for a killed one, `ms` its duration. */
export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

/** How to run a command. `timeout` in milliseconds, default two minutes; `env` replaces the environment. */
export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly timeout?: number;
  readonly cwd?: string;
}

const PATH = '/usr/sbin:/usr/bin:/sbin:/bin';

/** Runs a command; a non-zero exit is a value, not an error. Rejects only when it cannot be started at all. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const child = spawn(command, args, {
      env: { PATH, HOME: '/root', LC_ALL: 'C.UTF-8', ...options.env },
      cwd: options.cwd,
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: options.timeout ?? 120_000,
      killSignal: 'SIGKILL',
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (part: Buffer) => out.push(part));
    child.stderr.on('data', (part: Buffer) => err.push(part));
    child.on('error', reject);
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
    child.on('close', (code, signal) => {
      resolve({
        status: code ?? (signal === 'SIGKILL' ? 137 : 143),
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
        ms: performance.now() - begun,
      });
    });
  });
}

/** Runs a command that must succeed, and gives its output. Throws with what it said otherwise. */
export async function must(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const ran = await run(command, args, options);
  if (ran.status !== 0) {
    throw new Error(`${command} ${args.join(' ')} ended with ${String(ran.status)}:\n${ran.stdout}${ran.stderr}`);
  }
  return ran.stdout;
}

/** Is the command installed? */
export async function installed(command: string): Promise<boolean> {
  return (await run('sh', ['-c', 'command -v "$1"', 'which', command])).status === 0;
}

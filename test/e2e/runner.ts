// Starts vitest as a process of its own, hands signals on to it, and gives its exit code.
import { spawn } from 'node:child_process';

const top = new URL('../..', import.meta.url).pathname;

/**
 * Runs vitest with a configuration under test/e2e; `around` is a command that starts it, with its own words (`nsenter ... --`). Not through npx:
 * its shell would keep a signal to itself.
 */
export function runVitest(config: string, words: readonly string[], around: readonly string[] = []): Promise<number> {
  const vitest = [
    process.execPath,
    `${top}node_modules/vitest/vitest.mjs`,
    'run',
    '--config',
    `test/e2e/${config}`,
    ...words,
  ];
  const [file = process.execPath, ...rest] = [...around, ...vitest];
  const child = spawn(file, rest, { stdio: 'inherit', cwd: top });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill('SIGTERM'));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

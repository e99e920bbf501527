// Starts vitest as a process of its own, hands signals on to it, and gives its exit code; a run in which no test ran is no success.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Not run: neither passed nor failed. CI counts it as a failure, a person reads the sentence. */
export const notRun = 3;

const top = new URL('../..', import.meta.url).pathname;

/**
 * Runs vitest with a configuration under test/e2e; `around` is a command that starts it, with its own words (`nsenter ... --`), and `end` the
 * signal that ends that command. Not through npx: its shell would keep a signal to itself.
 */
export async function runVitest(
  config: string,
  words: readonly string[],
  around: readonly string[] = [],
  end: NodeJS.Signals = 'SIGTERM',
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'oakum-report-'));
  const report = join(folder, 'report.json');
  const vitest = [
    process.execPath,
    `${top}node_modules/vitest/vitest.mjs`,
    'run',
    '--config',
    `test/e2e/${config}`,
    // In this order, so that the summary for people stands last.
    '--reporter=json',
    '--reporter=default',
    `--outputFile.json=${report}`,
    ...words,
  ];
  const [file = process.execPath, ...rest] = [...around, ...vitest];
  const child = spawn(file, rest, { stdio: 'inherit', cwd: top });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(end));
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (status) => resolve(status ?? 1));
    });
    if (code !== 0) return code;
    const { numPassedTests } = JSON.parse(readFileSync(report, 'utf8')) as { readonly numPassedTests: number };
    if (numPassedTests > 0) return 0;
    console.error('NOT RUN: no test was run.');
    return notRun;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

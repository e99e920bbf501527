// `npm test`: everything that a stranger needs to trust a change, in order, saying what goes on.
import { spawnSync } from 'node:child_process';

const steps: readonly { readonly what: string; readonly command: readonly string[] }[] = [
  { what: 'types', command: ['tsc', '--noEmit'] },
  { what: 'lint', command: ['eslint', '.', '--max-warnings=0'] },
  { what: 'format', command: ['prettier', '--check', '--log-level=warn', '.'] },
  {
    what: 'tests (unit, property, architecture, scenarios, contracts)',
    command: ['vitest', 'run', '--config', 'test/vitest.config.ts'],
  },
];

for (const [index, { what, command }] of steps.entries()) {
  console.log(`[${index + 1}/${steps.length}] ${what}: ${command.join(' ')}`);
  const begun = Date.now();
  const [program = '', ...rest] = command;
  const done = spawnSync(program, rest, { stdio: 'inherit' });
  if (done.error) console.log(`${program} cannot be started (${done.error.message}); run npm ci first`);
  if (done.status !== 0) {
    console.log(`[${index + 1}/${steps.length}] ${what}: failed after ${Math.round((Date.now() - begun) / 1000)} s`);
    process.exit(done.status ?? 1);
  }
}

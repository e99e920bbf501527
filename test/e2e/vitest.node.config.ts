// The stories on real nodes: one at a time, in a network namespace that run-node.ts makes.
import { defineConfig } from 'vitest/config';
import { patience } from '../lab/wait.ts';

export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/e2e/node/*.test.ts'],
    testTimeout: 600_000 * patience,
    hookTimeout: 300_000 * patience,
    env: { OAKUM_MAX_SCANS: '0' },
    fileParallelism: false,
  },
});

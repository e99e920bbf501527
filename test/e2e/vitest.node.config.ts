// The stories on real nodes: one at a time, in a network namespace that run-node.ts makes.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/e2e/node/*.test.ts'],
    testTimeout: 900_000,
    hookTimeout: 600_000,
    env: { OAKUM_MAX_SCANS: '0' },
    fileParallelism: false,
  },
});

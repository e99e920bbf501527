// How the tests run: which files, how long each may take, and how many at once.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    exclude: ['test/e2e/**', 'test/os/**', 'node_modules/**'],
    // The longest takes 40 s on two idle cores; a machine that does other things as well must pass too.
    testTimeout: 400_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
});

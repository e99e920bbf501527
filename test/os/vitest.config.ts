// How the tests on real package managers run: as root, in overlay copies of small roots, two files at a time.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/os/*.test.ts'],
    testTimeout: 420_000,
    hookTimeout: 600_000,
    maxWorkers: 2,
    sequence: { concurrent: false },
  },
});

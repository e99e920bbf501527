// The end-to-end suite: five files at a time, each with a control plane of its own; their stories mostly wait, so two cores bear it.
import { defineConfig } from 'vitest/config';
import { patience } from '../lab/wait.ts';
import { LongestFirst } from './longest-first.ts';

export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/e2e/*.test.ts'],
    // Longer than every wait inside: those say what they waited for.
    testTimeout: 600_000 * patience,
    hookTimeout: 300_000 * patience,
    // Stories count the calls of the script; those that are about scans switch them on by the flag.
    env: { OAKUM_MAX_SCANS: '0' },
    // A cluster that was given to us is one for all files.
    fileParallelism: process.env['OAKUM_E2E_KUBECONFIG'] === undefined,
    maxWorkers: 5,
    sequence: { sequencer: LongestFirst },
  },
});

// The order of the end-to-end files: those that take longest begin first, so that none is left over when all others have ended.
import { basename } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that mostly wait (for a window, for a soak, for timeouts) or that have very many tests, the longest first. */
const long = [
  'forge-gitea.test.ts',
  'stories-window.test.ts',
  'stories-rollout.test.ts',
  'stories-recovery.test.ts',
  'stories-many.test.ts',
  'stories-hub.test.ts',
  'adapter.test.ts',
];

/** For vitest's `sequence.sequencer`. Vitest itself knows how long a file took only from an earlier run on the same machine. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const found = long.indexOf(basename(moduleId));
      return found === -1 ? long.length : found;
    };
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other));
  }
}

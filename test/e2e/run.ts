// Behind `npm run test:e2e`: looks for a Kubernetes to test against, then runs the suite; exit code 3 means "not run".
import { findClusterSource, NoClusterSource } from '../lab/assets.ts';
import { haveGitFronts } from '../lab/git-fronts.ts';
import { notRun, runVitest } from './runner.ts';

let source;
try {
  source = findClusterSource();
} catch (error) {
  if (!(error instanceof NoClusterSource)) throw error;
  console.error(`NOT RUN: the end-to-end suite. ${error.message}`);
  process.exit(notRun);
}
console.log(
  source.kind === 'programs'
    ? `end to end, against Kubernetes from ${source.origin}`
    : `end to end, against the cluster of ${source.kubeconfigPath}; stories that need to break the control plane are not part of this run`,
);
const words = process.argv.slice(2);
if (source.kind === 'cluster') {
  // It installs the chart as if nobody had ever done so, which a cluster of other stories' leftovers does not allow.
  words.push('--exclude=test/e2e/chart.test.ts');
  console.warn('NOT RUN on a cluster that was given to us: the chart.');
}
if (haveGitFronts()) process.exit(await runVitest('vitest.config.ts', words));
const code = await runVitest('vitest.config.ts', [...words, '--exclude=test/e2e/git-fronts.test.ts']);
console.error(
  'NOT RUN: Git behind nginx and a proxy. Run "node test/lab/install.ts" once; it takes them from Debian 12 by apt-get download.',
);
process.exit(code === 0 ? notRun : code);

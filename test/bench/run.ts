// `npm run bench`: what things cost, each with native git or the bare minimum beside it.
import Table from 'cli-table3';
import { benchGit, type GitBenchmark } from './git.ts';
import { benchHistory } from './history.ts';
import { benchPlanning } from './plan.ts';

function print(title: string, lines: readonly GitBenchmark[]): void {
  const table = new Table({
    head: [title, 'ours (ms)', 'beside it (ms)', 'ratio', 'what is measured'],
    colAligns: ['left', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [] },
  });
  for (const { name, ours_ms, baseline_ms, ratio, note } of lines)
    table.push([name, ours_ms, baseline_ms, ratio, note]);
  process.stdout.write(`${table.toString()}\n`);
}

process.stdout.write('Measures planning and Git; takes a few minutes.\n');
print('planning', await benchPlanning());
print('Git', await benchGit());
print('a long history', await benchHistory());

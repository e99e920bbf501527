// `oakum plan`: what would happen now (or at another time) and why; nothing is written and nothing is done.
import type { Command } from 'commander';
import { Option } from 'commander';
import { realClock } from '../adapters/clock.ts';
import { silentLog } from '../adapters/log.ts';
import { iso } from '../model/instant.ts';
import type { PassResult } from '../pass.ts';
import { addForgeFlags, type ForgeFlags } from './forge.ts';
import { inTurn, tellFailed } from './in-turn.ts';
import { withOwnCache } from './own-cache.ts';
import { addClusterFlags, addGitFlags, type ClusterFlags, type GitFlags, UsageError } from './settings.ts';
import { planText } from '../report/text.ts';

interface PlanFlags {
  readonly now?: string;
  readonly output: 'text' | 'json';
}

/** Adds the verb. */
export function registerPlan(program: Command): void {
  const plan = program.command('plan').description('show what would happen and why; changes nothing');
  addForgeFlags(addClusterFlags(addGitFlags(plan)))
    .addOption(new Option('--now <time>', 'plan for another time (RFC 3339)'))
    .addOption(new Option('-o, --output <form>', 'form of the output').choices(['text', 'json']).default('text'))
    .action(async (flags: GitFlags & ClusterFlags & ForgeFlags & PlanFlags) => {
      const now = flags.now === undefined ? realClock.now() : Date.parse(flags.now);
      if (Number.isNaN(now))
        throw new UsageError(`--now: "${flags.now}" is not a time; write it like 2026-12-06T02:00:00Z`);
      const { flags: own, forget } = withOwnCache(flags);
      const { openParts } = await import('./parts.ts');
      const parts = await openParts({ flags: own, log: silentLog, watch: false, act: false });
      try {
        const loops = parts.clusters.map(({ loop }) => loop);
        const { results: seen, failed } = await inTurn(loops, async (loop, turn) => {
          if (turn === 1) await parts.source.pull(new Map([[loop.name, await loop.accepted()]]));
          return loop.preview(parts.source.current(loop.name), now);
        });
        tellFailed(failed);
        const results = [...seen.values()];
        if (results.length === 0) return;
        process.stdout.write(
          flags.output === 'json'
            ? `${JSON.stringify(results.map(planJson), null, 2)}\n`
            : results.map((result) => planText(result, process.stdout.columns)).join('\n'),
        );
      } finally {
        await parts.close();
        forget();
      }
    });
}

function planJson(result: PassResult): unknown {
  return {
    cluster: result.name,
    now: iso(result.now),
    commit: result.source.commit,
    holds: result.plan.holds,
    actions: result.plan.actions.map((action) =>
      action.kind === 'putScript' ? { ...action, text: undefined } : action,
    ),
    nodes: result.plan.nodes,
    upcoming: result.plan.upcoming.map(iso),
    wakeAt: iso(result.plan.wakeAt),
  };
}

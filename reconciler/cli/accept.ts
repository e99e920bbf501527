// Verbs for what only a person with rights in the cluster may decide: a rewritten history, a new ledger.
import type { Command } from 'commander';
import { acceptByCommand } from '../plan/rewritten.ts';
import { realClock } from '../adapters/clock.ts';
import { silentLog } from '../adapters/log.ts';
import { openLedger } from '../adapters/ledger.ts';
import { httpTransport } from '../adapters/kubernetes-http.ts';
import { openCluster } from '../adapters/kubernetes.ts';
import { views } from '../observed/views.ts';
import { emptyLedger } from '../plan/plan.ts';
import type { Cluster, Ledger } from '../ports.ts';
import { addClusterFlags, type ClusterFlags, UsageError } from './settings.ts';
import { version } from './version.ts';

/** Adds the verbs. */
export function registerAccept(program: Command): void {
  addClusterFlags(
    program
      .command('accept-rewrite <old> <new>')
      .description('accept that the config branch was rewritten: OLD is the commit accepted last, NEW the tip'),
  ).action(async (from: string, to: string, flags: ClusterFlags) => {
    await withLedger(flags, async (ledger) => {
      const document = await ledger.load();
      if (!document) throw new UsageError('this cluster has no ledger, so there is no accepted commit to replace');
      if (!/^[0-9a-f]{40}([0-9a-f]{24})?$/.test(to)) throw new UsageError(`"${to}" is not a full commit id`);
      if (document.accepted?.commit !== from)
        throw new UsageError(
          `the commit accepted last is ${document.accepted?.commit ?? '(none)'}, not ${from}; nothing was changed`,
        );
      await ledger.save(document, acceptByCommand(document, to, realClock.now()));
      process.stdout.write(`accepted: ${from} → ${to}\n`);
    });
  });
  addClusterFlags(
    program
      .command('new-ledger')
      .description(
        'begin a new ledger on a cluster whose ledger is lost; requests and slots from before are not replayed',
      ),
  ).action(async (flags: ClusterFlags) => {
    await withLedger(flags, async (ledger, cluster) => {
      if ((await ledger.load()) !== undefined) throw new UsageError('this cluster has a ledger; nothing was changed');
      const clusterUid = await cluster.identity();
      await ledger.save(undefined, {
        ...emptyLedger({ observed: { clusterUid }, now: realClock.now() }),
        renewed: true,
      });
      process.stdout.write('a new ledger was begun; the next pass goes on from here\n');
    });
  });
}

async function withLedger(
  flags: ClusterFlags,
  work: (ledger: Ledger, cluster: Cluster) => Promise<void>,
): Promise<void> {
  const context = flags.context === undefined ? {} : { context: flags.context };
  const transport = httpTransport(
    flags.kubeconfig === undefined
      ? { kind: 'default', ...context }
      : { kind: 'file', path: flags.kubeconfig, ...context },
    { version },
  );
  const cluster = openCluster({ transport, views, clock: realClock, log: silentLog, watch: false });
  try {
    await work(openLedger(transport, { namespace: flags.namespace }), cluster);
  } finally {
    await cluster.close();
  }
}

// Verbs for what only a person with rights in the cluster may decide: a rewritten history, a new ledger.
import type { Command } from 'commander';
import { acceptByCommand } from '../plan/rewritten.ts';
import { realClock } from '../adapters/clock.ts';
import { silentLog } from '../adapters/log.ts';
import { openLedger } from '../adapters/ledger.ts';
import { list } from '../adapters/kubernetes-calls.ts';
import { httpTransport } from '../adapters/kubernetes-http.ts';
import type { Transport } from '../adapters/kubernetes-transport.ts';
import { openCluster } from '../adapters/kubernetes.ts';
import { views } from '../observed/views.ts';
import type { LedgerDocument } from '../model/ledger.ts';
import { emptyLedger, isMarked } from '../plan/plan.ts';
import type { Cluster, Ledger } from '../ports.ts';
import { oneConnection } from './connections.ts';
import { addClusterFlags, type ClusterFlags, UsageError } from './settings.ts';
import { version } from './version.ts';

/** Adds the verbs. */
export function registerAccept(program: Command): void {
  addClusterFlags(
    program
      .command('accept-rewrite <old> <new>')
      .description('accept that the config branch was rewritten: OLD is the commit accepted last, NEW the tip'),
    { one: true },
  ).action(async (from: string, to: string, flags: ClusterFlags) => {
    await withLedger(flags, async ({ ledger, document }) => {
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
    { one: true },
  ).action(async (flags: ClusterFlags) => {
    await withLedger(flags, async ({ ledger, document, cluster, transport }) => {
      if (document !== undefined) throw new UsageError('this cluster has a ledger; nothing was changed');
      // A ledger in a cluster that never had one would say of it that what it asks for was done.
      if (!(await hasMarks(transport)))
        throw new UsageError(
          'no node of this cluster carries marks of Oakum, so no ledger was lost and there is nothing to begin anew; nothing was changed',
        );
      const clusterUid = await cluster.identity();
      await ledger.save(undefined, {
        ...emptyLedger({ observed: { clusterUid }, now: realClock.now() }),
        renewed: true,
      });
      process.stdout.write('a new ledger was begun; the next pass goes on from here\n');
    });
  });
}

/** The cluster that is meant, and what its ledger says. */
interface Meant {
  readonly ledger: Ledger;
  readonly document: LedgerDocument | undefined;
  readonly cluster: Cluster;
  readonly transport: Transport;
}

async function withLedger(flags: ClusterFlags, work: (meant: Meant) => Promise<void>): Promise<void> {
  const transport = httpTransport(oneConnection(flags), { version });
  const cluster = openCluster({ transport, views, clock: realClock, log: silentLog, watch: false });
  try {
    const ledger = openLedger(transport, { namespace: flags.namespace });
    const document = await ledger.load();
    const named = document?.cluster;
    if (flags.cluster !== undefined && named !== undefined && named !== flags.cluster)
      throw new UsageError(
        `the ledger behind this connection is that of "${named}", not of "${flags.cluster}"; nothing was changed`,
      );
    await work({ ledger, document, cluster, transport });
  } finally {
    await cluster.close();
  }
}

async function hasMarks(transport: Transport): Promise<boolean> {
  let marked = false;
  await list(transport, '/api/v1/nodes', {}, ({ metadata: { labels = {}, annotations = {} } }) => {
    marked ||= isMarked({ labels, annotations });
  });
  return marked;
}

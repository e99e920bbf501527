// How the other clusters of a rollout fare: from their ledgers where this process has them, else from the status branch.
import { AdapterError } from '../model/failure.ts';
import type { LedgerDocument } from '../model/ledger.ts';
import { rolloutFacts, type PeerReading } from '../model/rollout.ts';
import type { Clock, Git, Peers } from '../ports.ts';
import { readStatusDocument } from '../report/read-status.ts';
import { factsOf } from '../report/rollout-status.ts';

/** The branch is read no more often than this for the sake of waves. */
const freshMs = 60_000;
/** A reading as old as this says nothing any more about what has not ended; what has ended stays so, but is not believed either. */
const staleMs = 15 * 60_000;

export interface PeersOptions {
  readonly git: Pick<Git, 'readStatus'>;
  readonly clock: Clock;
  /** The loop of a cluster that this process works on; undefined: another process does. */
  readonly own: (cluster: string) => { toldToPeers(): LedgerDocument | undefined } | undefined;
}

/** Peers of all clusters of one process. */
export function openPeers({ git, clock, own }: PeersOptions): Peers {
  let documents: ReadonlyMap<string, string> = new Map();
  let triedAt = Number.NEGATIVE_INFINITY;
  let readAt = Number.NEGATIVE_INFINITY;
  let trouble = 'the status branch has not been read yet';
  let reading: Promise<void> | undefined;

  async function look(): Promise<void> {
    triedAt = clock.now();
    try {
      const { files } = await git.readStatus('clusters/*/status.yaml');
      documents = files;
      readAt = clock.now();
    } catch (error) {
      if (!(error instanceof AdapterError)) throw error;
      trouble = `the status branch cannot be read: ${error.message}`;
    }
  }

  async function fresh(): Promise<void> {
    if (clock.now() - triedAt < freshMs && reading === undefined) return;
    // Several clusters may want it at once; it is read by one of them.
    reading ??= look().finally(() => (reading = undefined));
    await reading;
  }

  function published(cluster: string): PeerReading {
    if (clock.now() - readAt > staleMs) return { kind: 'unread', message: trouble };
    const text = documents.get(`clusters/${cluster}/status.yaml`);
    if (text === undefined) return { kind: 'unread', message: 'it has published no status' };
    const document = readStatusDocument(text);
    if (document?.cluster !== cluster)
      return { kind: 'unread', message: 'its status.yaml cannot be read by this version' };
    return { kind: 'read', facts: factsOf(document.rollouts ?? []) };
  }

  return {
    read: async (clusters) => {
      if (clusters.some((name) => own(name) === undefined)) await fresh();
      return new Map(
        clusters.map((name): [string, PeerReading] => {
          const loop = own(name);
          if (!loop) return [name, published(name)];
          const ledger = loop.toldToPeers();
          return [
            name,
            ledger
              ? { kind: 'read', facts: rolloutFacts(ledger) }
              : { kind: 'unread', message: 'its ledger has not been read yet, or is of another cluster' },
          ];
        }),
      );
    },
  };
}

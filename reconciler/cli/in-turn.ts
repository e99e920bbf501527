// Clusters one after another, for the verbs that come to an end: `oakum once` and `oakum plan`.
import { AdapterError } from '../model/failure.ts';
import { rolloutStates } from '../model/rollout.ts';
import type { ClusterLoop } from '../pass.ts';
import { withoutSecrets } from '../adapters/log.ts';

/** What became of the clusters, by name. */
export interface InTurn<Result> {
  /** The newest result of each; a cluster that failed after a first look keeps that one. */
  readonly results: ReadonlyMap<string, Result>;
  /** Those that could not be reached, or refused: they fail alone. */
  readonly failed: ReadonlyMap<string, AdapterError>;
}

/** Says on stderr what failed, and lets the process end with 1. */
export function tellFailed(failed: InTurn<unknown>['failed']): void {
  for (const [name, { message }] of failed) process.stderr.write(`oakum: ${name}: ${withoutSecrets(message)}\n`);
  if (failed.size > 0) process.exitCode = 1;
}

type Told = Pick<ClusterLoop, 'name' | 'waitsFor' | 'toldToPeers' | 'forget'>;

/**
 * Works on each cluster in turn. What a cluster tells its peers is known after its own turn, and its turn may come after theirs: who waits for a peer that
 * has got on since has another turn, as the service would rouse it. An AdapterError ends the turns of its cluster only; everything else is thrown.
 */
export async function inTurn<Loop extends Told, Result>(
  loops: readonly Loop[],
  work: (loop: Loop, turn: number) => Promise<Result>,
): Promise<InTurn<Result>> {
  const results = new Map<string, Result>();
  const failed = new Map<string, AdapterError>();
  const heard = new Map<string, string>();
  const word = (peers: readonly string[]): string =>
    JSON.stringify(
      loops.flatMap((peer) => {
        const ledger = peers.includes(peer.name) ? peer.toldToPeers() : undefined;
        return ledger ? [[peer.name, rolloutStates(ledger)]] : [];
      }),
    );
  // News goes along the waves, and there are no more waves than clusters.
  for (let turn = 1; turn <= loops.length; turn++) {
    for (const loop of loops) {
      if (failed.has(loop.name) || (turn > 1 && heard.get(loop.name) === word(loop.waitsFor()))) continue;
      try {
        results.set(loop.name, await work(loop, turn));
        heard.set(loop.name, word(loop.waitsFor()));
      } catch (error) {
        if (!(error instanceof AdapterError)) throw error;
        loop.forget();
        failed.set(loop.name, error);
      }
    }
  }
  return { results, failed };
}

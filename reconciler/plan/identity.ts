// Which cluster this is: the UID that its folder names, and the name that its ledger was begun under.
import type { LedgerDocument } from '../model/ledger.ts';
import type { Hold } from '../model/reason.ts';
import type { PlanInput } from './input.ts';

/**
 * Why the cluster behind the connection is not the one that the folder is about: a kubeconfig that was mixed up, a connection that a commit
 * changed, a cluster that was made anew behind the same address. Nothing is written there but
 * the Lease: not even a ledger.
 */
export function wrongCluster({ desired, ledger, observed }: PlanInput): Hold | undefined {
  if (!desired) return undefined;
  const { uid } = desired.settings;
  const say = (message: string): Hold => ({ reason: 'WrongCluster', message, until: undefined });
  if (uid !== undefined && uid !== observed.clusterUid)
    return say(
      `clusters/${desired.name}/cluster.yaml says uid ${uid}; the cluster behind the connection is ${observed.clusterUid}`,
    );
  if (uid === undefined && ledger?.cluster !== undefined && ledger.cluster !== desired.name)
    return say(
      `the ledger of this cluster (${observed.clusterUid}) was begun for "${ledger.cluster}", not for "${desired.name}"`,
    );
  return undefined;
}

/** The ledger under the cluster's name: the first one that it was driven by, or the one whose folder names its UID. */
export function named(ledger: LedgerDocument, { desired }: PlanInput): LedgerDocument {
  return desired === undefined || ledger.cluster === desired.name ? ledger : { ...ledger, cluster: desired.name };
}

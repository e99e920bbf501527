// etcd: a member may be taken down only while all others are known to be healthy.
import type { LedgerDocument } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { etcdLabel } from '../model/names.ts';
import type { NodeView, RawCluster } from '../model/observed.ts';
import type { Hold } from '../model/reason.ts';

/** What is known of etcd; undefined: not read. */
export interface EtcdFacts {
  readonly etcd?: RawCluster['etcd'] | undefined;
  readonly apiServers?: RawCluster['apiServers'] | undefined;
}

/** Members are read with every pass and are not watched, so that a node that waits for them is looked at again after this long. */
const askAgainMs = 15_000;

/** A control-plane node waits for its turn, so the members of etcd must be read. */
export function needsEtcd(ledger: LedgerDocument | undefined): boolean {
  return Object.values(ledger?.runs ?? {}).some(
    (run) =>
      !runEnded(run.state) &&
      Object.values(run.nodes).some((record) => record.controlPlane && record.phase === 'Pending'),
  );
}

/**
 * Why a control-plane node may not be taken down for the sake of etcd. Members are seen as static pods of kube-system (kubeadm, RKE2) or by the
 * role label on their nodes (k3s, whose etcd lives and dies with the kubelet). Where neither is there, etcd runs elsewhere, or beside Kubernetes on
 * these nodes: then every API server must reach it. That says that etcd has its quorum, not how many members it could lose.
 */
export function etcdHold(
  node: NodeView,
  nodes: readonly NodeView[],
  { etcd: members, apiServers }: EtcdFacts,
): Hold | undefined {
  if (!node.controlPlane) return undefined;
  const others = nodes.filter((other) => other.controlPlane && other.uid !== node.uid);
  if (others.length === 0) return undefined;
  const unknown = (message: string): Hold => ({ reason: 'EtcdUnknown', message, until: undefined });
  if (members === undefined) return unknown('the members of etcd have not been read yet');
  const labelled = nodes.some(hasRole);
  if (labelled && !hasRole(node)) return undefined;
  if (!labelled && members.length === 0) {
    if (apiServers === undefined) return unknown('the API servers have not been asked for etcd yet');
    const [first] = apiServers.filter(({ trouble }) => trouble !== '');
    return first && unknown(`no member of etcd is seen as a pod, and API server ${first.address}: ${first.trouble}`);
  }
  for (const other of labelled ? others.filter(hasRole) : others) {
    if (members.length === 0) {
      if (!other.ready) return unknown(`etcd on ${other.name} is not known: the node is not Ready`);
      continue;
    }
    const there = members.filter((member) => member.node === other.name);
    if (there.length === 0) return unknown(`no etcd pod is seen on control-plane node ${other.name}`);
    if (!there.some((member) => member.ready))
      return {
        reason: 'ClusterUnhealthy',
        message: `etcd on ${other.name} is not Ready; no other member is touched`,
        until: undefined,
      };
  }
  return undefined;
}

function hasRole(node: NodeView): boolean {
  return Object.hasOwn(node.labels, etcdLabel);
}

/** When to look again, if a node waits for members of etcd. */
export function etcdAgain(waiting: Iterable<Hold>, now: number): number | undefined {
  for (const { reason } of waiting)
    if (reason === 'EtcdUnknown' || reason === 'ClusterUnhealthy') return now + askAgainMs;
  return undefined;
}

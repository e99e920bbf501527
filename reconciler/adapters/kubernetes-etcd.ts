// etcd as it can be seen from outside: its pods, and what each API server says of its own way to it.
import { AdapterError } from '../model/failure.ts';
import { etcdPods } from '../model/names.ts';
import type { ApiServerView, EtcdMember } from '../model/observed.ts';
import { list } from './kubernetes-calls.ts';
import type { Transport } from './kubernetes-transport.ts';

/** How long an API server may take to answer. */
const limitMs = 5_000;

/** The static pods of etcd. */
export async function readMembers(transport: Transport, view: (raw: unknown) => EtcdMember): Promise<EtcdMember[]> {
  const members: EtcdMember[] = [];
  const path = `/api/v1/namespaces/${etcdPods.namespace}/pods`;
  await list(
    transport,
    path,
    { labelSelector: etcdPods.labelSelector },
    (raw) => members.push(view(raw)),
    () => (members.length = 0),
  );
  return members.sort((a, b) => (a.node < b.node ? -1 : 1));
}

/**
 * Asks every API server that the Service `kubernetes` names whether it reaches etcd. Nothing throws: what cannot be read is a trouble of its own. The
 * certificates are checked as always, so that our token goes only to who has one of this cluster.
 */
export async function readApiServers(
  transport: Transport,
  addresses: (slice: unknown) => readonly string[],
): Promise<ApiServerView[]> {
  const found = new Set<string>();
  try {
    await list(
      transport,
      '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices',
      { labelSelector: 'kubernetes.io/service-name=kubernetes' },
      (raw) => addresses(raw).forEach((address) => found.add(address)),
      () => found.clear(),
    );
  } catch (error) {
    return [{ address: 'default/kubernetes', trouble: `its EndpointSlices cannot be read: ${told(error)}` }];
  }
  if (found.size === 0) return [{ address: 'default/kubernetes', trouble: 'its EndpointSlices name no API server' }];
  return Promise.all([...found].sort().map((address) => askOne(transport, address)));
}

async function askOne(transport: Transport, address: string): Promise<ApiServerView> {
  try {
    const request = { method: 'GET', path: '/readyz/etcd', host: address, timeoutMs: limitMs } as const;
    const { status, body } = await transport.request(request);
    if (status === 200) return { address, trouble: '' };
    const text = typeof body === 'string' ? body.trim().split('\n')[0] : '';
    return { address, trouble: `/readyz/etcd answered ${status}${text ? `: ${text.slice(0, 200)}` : ''}` };
  } catch (error) {
    return { address, trouble: `/readyz/etcd: ${told(error)}` };
  }
}

function told(error: unknown): string {
  return error instanceof AdapterError ? error.message : String(error);
}

// The ServiceAccount of the documentation, with exactly the rights of `kubernetes-rights.ts`.
import { rights } from '../../reconciler/adapters/kubernetes-rights.ts';
import { ownNamespace } from '../../reconciler/model/names.ts';
import { ApiRefusal, type Api } from '../lab/api.ts';
import { ensureNamespace } from '../lab/workloads.ts';

/** Its name, in Oakum's own namespace. */
export const serviceAccount = 'oakum';

const group = 'rbac.authorization.k8s.io';
const subjects = [{ kind: 'ServiceAccount', name: serviceAccount, namespace: ownNamespace }];

/** Creates the account, its roles, their bindings and namespaces; where they are there from before, they are made what they should be. */
export async function grant(admin: Api): Promise<void> {
  await put(admin, `/api/v1/namespaces/${ownNamespace}/serviceaccounts`, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: serviceAccount },
  });
  await bind(
    admin,
    `/apis/${group}/v1`,
    'ClusterRole',
    rights.filter((right) => right.namespace === undefined),
  );
  for (const namespace of new Set(rights.flatMap((right) => right.namespace ?? []))) {
    await ensureNamespace(admin, namespace);
    await bind(
      admin,
      `/apis/${group}/v1/namespaces/${namespace}`,
      'Role',
      rights.filter((right) => right.namespace === namespace),
    );
  }
}

async function bind(admin: Api, path: string, kind: 'ClusterRole' | 'Role', granted: typeof rights): Promise<void> {
  const apiVersion = `${group}/v1`;
  const metadata = { name: 'oakum' };
  const rules = granted.map((right) => ({
    apiGroups: [right.apiGroup],
    resources: [right.resource],
    verbs: right.verbs,
    ...(right.names === undefined ? {} : { resourceNames: right.names }),
  }));
  const roleRef = { apiGroup: group, kind, name: 'oakum' };
  await put(admin, `${path}/${kind.toLowerCase()}s`, { apiVersion, kind, metadata, rules });
  await put(admin, `${path}/${kind.toLowerCase()}bindings`, {
    apiVersion,
    kind: `${kind}Binding`,
    metadata,
    roleRef,
    subjects,
  });
}

async function put(
  admin: Api,
  collection: string,
  object: Readonly<Record<string, unknown>> & { readonly metadata: { readonly name: string } },
): Promise<void> {
  const made = await admin.request('POST', collection, object);
  if (made.status < 300) return;
  const path = `${collection}/${object.metadata.name}`;
  const answer = made.status === 409 ? await admin.request('PUT', path, object) : made;
  if (answer.status >= 300) throw new ApiRefusal(`PUT ${path}`, answer);
}

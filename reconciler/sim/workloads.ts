// Deployments, ReplicaSets, StatefulSets and DaemonSets: each keeps the pods that it wants.
import { createOwnedPod } from './jobs.ts';
import {
  apiVersionOf,
  DAEMON_SETS,
  DEPLOYMENTS,
  NODES,
  PODS,
  REPLICA_SETS,
  type Resource,
  STATEFUL_SETS,
} from './kinds.ts';
import {
  controllerOf,
  type KubeObject,
  type NodeObject,
  type OwnerReference,
  type Pod,
  podEnded,
  podReady,
  same,
  type Toleration,
  type Workload,
} from './object.ts';
import { createQueue, splitKey } from './queue.ts';
import { removeObject } from './removal.ts';
import { nodeFits, tolerates } from './selectors.ts';
import { fingerprint, timeOf, type World } from './world.ts';

const SETS: readonly Resource<Workload>[] = [DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, DAEMON_SETS];

const ownerOf = (resource: Resource, owner: KubeObject): OwnerReference => ({
  apiVersion: apiVersionOf(resource),
  kind: resource.kind,
  name: owner.metadata.name,
  uid: owner.metadata.uid,
  controller: true,
  blockOwnerDeletion: true,
});

/** What DaemonSet pods put up with, so that they stay where others leave. */
const DAEMON_TOLERATIONS: readonly Toleration[] = [
  ...['not-ready', 'unreachable'].map((what) => ({
    key: `node.kubernetes.io/${what}`,
    operator: 'Exists',
    effect: 'NoExecute',
  })),
  ...['unschedulable', 'disk-pressure', 'memory-pressure', 'pid-pressure'].map((what) => ({
    key: `node.kubernetes.io/${what}`,
    operator: 'Exists',
    effect: 'NoSchedule',
  })),
];

/** Starts the controllers of workloads. */
export function startWorkloads(world: World): void {
  const { store } = world;
  const podsOf = (owner: KubeObject): Pod[] =>
    store
      .ownedBy(owner.metadata.uid)
      .flatMap((one) => (one.resource.storage === PODS.storage ? [one.object as Pod] : []));
  const podFor = (resource: Resource, owner: Workload, name: { name: string } | { generateName: string }): Pod => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...owner.spec.template.metadata,
      name: '',
      ...name,
      uid: '',
      resourceVersion: '',
      creationTimestamp: '',
      namespace: owner.metadata.namespace ?? '',
      ownerReferences: [ownerOf(resource, owner)],
    },
    spec: owner.spec.template.spec,
    status: { phase: 'Pending' },
  });
  const active = (pods: readonly Pod[]): Pod[] =>
    pods.filter((pod) => !podEnded(pod) && pod.metadata.deletionTimestamp === undefined);
  const save = (resource: Resource<Workload>, owner: Workload, figures: Record<string, number>): void => {
    const now = store.get(resource, owner.metadata.namespace, owner.metadata.name);
    if (now === undefined) return;
    const status = { ...figures, observedGeneration: now.metadata.generation ?? 1 };
    if (!same(status, now.status)) store.update(resource, { ...now, status });
  };

  const syncDeployment = (owner: Workload): void => {
    const hash = fingerprint(JSON.stringify(owner.spec.template)).slice(0, 10);
    const name = `${owner.metadata.name}-${hash}`;
    const { namespace } = owner.metadata;
    const sets = store
      .ownedBy(owner.metadata.uid)
      .flatMap((one) => (one.resource.storage === REPLICA_SETS.storage ? [one.object as Workload] : []));
    const labels = { 'pod-template-hash': hash };
    if (!sets.some((set) => set.metadata.name === name))
      store.create(REPLICA_SETS, {
        apiVersion: 'apps/v1',
        kind: 'ReplicaSet',
        metadata: {
          name,
          ...(namespace === undefined ? {} : { namespace }),
          uid: world.identity.uid(),
          resourceVersion: '',
          creationTimestamp: timeOf(world),
          generation: 1,
          labels: { ...owner.spec.template.metadata?.labels, ...labels },
          ownerReferences: [ownerOf(DEPLOYMENTS, owner)],
        },
        spec: {
          replicas: owner.spec.replicas ?? 1,
          selector: { ...owner.spec.selector, matchLabels: { ...owner.spec.selector.matchLabels, ...labels } },
          template: {
            ...owner.spec.template,
            metadata: {
              ...owner.spec.template.metadata,
              labels: { ...owner.spec.template.metadata?.labels, ...labels },
            },
          },
        },
        status: {},
      });
    for (const set of sets) {
      const replicas = set.metadata.name === name ? (owner.spec.replicas ?? 1) : 0;
      if (set.spec.replicas !== replicas) store.update(REPLICA_SETS, { ...set, spec: { ...set.spec, replicas } });
    }
    const pods = active(sets.flatMap(podsOf));
    const ready = pods.filter(podReady).length;
    save(DEPLOYMENTS, owner, {
      replicas: pods.length,
      readyReplicas: ready,
      availableReplicas: ready,
      updatedReplicas: pods.length,
    });
  };
  const syncReplicas = (owner: Workload): void => {
    const pods = active(podsOf(owner));
    const wanted = owner.spec.replicas ?? 1;
    for (let i = pods.length; i < wanted; i++)
      if (
        createOwnedPod(
          world,
          owner,
          podFor(REPLICA_SETS, owner, { generateName: `${owner.metadata.name}-` }),
          'replicaset-controller',
        ) === undefined
      )
        break;
    for (const pod of pods.slice(wanted)) removeObject(world, PODS, pod, { dryRun: false });
    const ready = pods.filter(podReady).length;
    save(REPLICA_SETS, owner, { replicas: pods.length, readyReplicas: ready, availableReplicas: ready });
  };
  const syncStateful = (owner: Workload): void => {
    const { namespace, name } = owner.metadata;
    const wanted = owner.spec.replicas ?? 1;
    let ready = 0;
    for (let i = 0; i < wanted; i++) {
      const pod = store.get(PODS, namespace, `${name}-${i}`);
      if (pod !== undefined && podReady(pod)) {
        ready++;
        continue;
      }
      if (pod === undefined)
        createOwnedPod(world, owner, podFor(STATEFUL_SETS, owner, { name: `${name}-${i}` }), 'statefulset-controller');
      else if (podEnded(pod)) removeObject(world, PODS, pod, { dryRun: false });
      break;
    }
    for (const pod of active(podsOf(owner)))
      if (Number(pod.metadata.name.split('-').at(-1)) >= wanted) removeObject(world, PODS, pod, { dryRun: false });
    save(STATEFUL_SETS, owner, {
      replicas: active(podsOf(owner)).length,
      readyReplicas: ready,
      availableReplicas: ready,
    });
  };
  const syncDaemons = (owner: Workload): void => {
    const pods = podsOf(owner);
    const home = new Map<string, Pod>();
    for (const pod of pods) {
      const node = pod.spec.nodeName;
      if (node !== undefined) home.set(node, pod);
      if (podEnded(pod) && pod.metadata.deletionTimestamp === undefined)
        removeObject(world, PODS, pod, { dryRun: false });
    }
    const tolerations = [...(owner.spec.template.spec.tolerations ?? []), ...DAEMON_TOLERATIONS];
    const fits = (node: NodeObject): boolean =>
      nodeFits(owner.spec.template.spec, node) &&
      (node.spec.taints ?? []).every((taint) => tolerates(tolerations, taint));
    const nodes = store.list(NODES).filter(fits);
    for (const node of nodes) {
      if (home.has(node.metadata.name)) continue;
      // The real one names the node by affinity and leaves the rest to the scheduler; the outcome is the same.
      const pod = podFor(DAEMON_SETS, owner, { generateName: `${owner.metadata.name}-` });
      createOwnedPod(
        world,
        owner,
        { ...pod, spec: { ...pod.spec, tolerations, nodeName: node.metadata.name } },
        'daemonset-controller',
      );
    }
    const ready = pods.filter(podReady).length;
    save(DAEMON_SETS, owner, {
      desiredNumberScheduled: nodes.length,
      currentNumberScheduled: pods.length,
      numberReady: ready,
      numberAvailable: ready,
      numberMisscheduled: 0,
      updatedNumberScheduled: pods.length,
    });
  };

  const queue = createQueue(world.clock, world.settings.controllerMs, (key) => {
    const [storage = '', rest = ''] = key.split(' ');
    const resource = SETS.find((one) => one.storage === storage);
    const [namespace, name] = splitKey(rest);
    const owner = resource === undefined ? undefined : store.get(resource, namespace, name);
    if (owner === undefined || owner.metadata.deletionTimestamp !== undefined) return;
    if (resource === DEPLOYMENTS) syncDeployment(owner);
    else if (resource === REPLICA_SETS) syncReplicas(owner);
    else if (resource === STATEFUL_SETS) syncStateful(owner);
    else syncDaemons(owner);
  });
  const add = (resource: Resource, namespace: string | undefined, name: string): void => {
    queue.add(`${resource.storage} ${namespace ?? ''}/${name}`);
  };
  store.subscribe((change) => {
    const { metadata } = change.object;
    const own = SETS.find((one) => one.storage === change.resource.storage);
    if (own !== undefined && change.type !== 'DELETED') add(own, metadata.namespace, metadata.name);
    const owner = controllerOf(change.object);
    const above = owner === undefined ? undefined : SETS.find((one) => one.kind === owner.kind);
    if (owner !== undefined && above !== undefined) add(above, metadata.namespace, owner.name);
    if (change.resource.storage !== NODES.storage || change.type === 'DELETED') return;
    if (
      change.previous !== undefined &&
      change.previous.spec === change.object.spec &&
      change.previous.metadata.labels === metadata.labels
    )
      return;
    for (const daemons of store.list(DAEMON_SETS)) add(DAEMON_SETS, daemons.metadata.namespace, daemons.metadata.name);
  });
}

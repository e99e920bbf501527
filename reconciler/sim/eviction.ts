// The eviction subresource: it asks the budgets before it deletes, in the order of the real server.
import { BUDGETS, PODS } from './kinds.ts';
import { type Budget, isRecord, type Pod, podEnded, podReady } from './object.ts';
import { badRequest, failure, forbidden, notFound, Refusal, type Status, success } from './refusal.ts';
import { deleteOptionsOf, removeObject } from './removal.ts';
import { selects } from './selectors.ts';
import { timeOf, type World } from './world.ts';

/** Seconds that the server asks to wait for while a budget has not been looked at yet. */
const STILL_PROCESSING_SECONDS = 10;

function blocked(budget: Budget, why: string, retryAfterSeconds?: number): Refusal {
  const causes = [{ reason: 'DisruptionBudget', message: `The disruption budget ${budget.metadata.name} ${why}` }];
  return new Refusal(
    failure(429, 'TooManyRequests', "Cannot evict pod as it would violate the pod's disruption budget.", {
      causes,
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    }),
  );
}

/** Whether an unready pod may go without asking the budget's figures. */
function unreadyMayGo(budget: Budget, pod: Pod): boolean {
  if (pod.status.phase !== 'Running' || podReady(pod)) return false;
  if (budget.spec.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true;
  return budget.status.currentHealthy >= budget.status.desiredHealthy && budget.status.desiredHealthy > 0;
}

function takeFrom(world: World, budget: Budget, pod: Pod, dryRun: boolean): void {
  const { status } = budget;
  if ((status.observedGeneration ?? 0) < (budget.metadata.generation ?? 1))
    throw blocked(budget, 'is still being processed by the server.', STILL_PROCESSING_SECONDS);
  if (status.disruptionsAllowed < 0) throw forbidden(PODS, pod.metadata.name, 'pdb disruptions allowed is negative');
  if (status.disruptionsAllowed === 0)
    throw blocked(budget, `needs ${status.desiredHealthy} healthy pods and has ${status.currentHealthy} currently`);
  if (dryRun) return;
  world.store.update(BUDGETS, {
    ...budget,
    status: {
      ...status,
      disruptionsAllowed: status.disruptionsAllowed - 1,
      disruptedPods: { ...status.disruptedPods, [pod.metadata.name]: timeOf(world) },
    },
  });
}

/** Evicts a pod. Throws a Refusal: 404, 409 (precondition), 429 (budget), 500 (two budgets on one pod). */
export function evictPod(world: World, namespace: string, name: string, body: unknown, query: URLSearchParams): Status {
  const inBody = isRecord(body) && isRecord(body['metadata']) ? body['metadata']['name'] : undefined;
  if (inBody !== undefined && inBody !== name) throw badRequest('name in URL does not match name in Eviction object');
  const options = deleteOptionsOf(isRecord(body) ? body['deleteOptions'] : undefined, query);
  const pod = world.store.get(PODS, namespace, name);
  if (pod === undefined) throw notFound(PODS, name);
  const free = podEnded(pod) || pod.status.phase === 'Pending' || pod.metadata.deletionTimestamp !== undefined;
  if (!free) {
    const budgets = world.store
      .list(BUDGETS, namespace)
      .filter((budget) => selects(budget.spec.selector, pod.metadata.labels));
    if (budgets.length > 1)
      throw new Refusal(
        failure(
          500,
          'InternalError',
          'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
          {},
        ),
      );
    const [budget] = budgets;
    if (budget !== undefined && !unreadyMayGo(budget, pod)) takeFrom(world, budget, pod, options.dryRun);
  }
  removeObject(world, PODS, pod, options);
  return success(201);
}

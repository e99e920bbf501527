// What a story commits: policies, requests and settings, as a user writes them.

export type Fields = Readonly<Record<string, unknown>>;

/** A file of any kind. */
export function written(kind: string, name: string, spec: Fields): string {
  return `${JSON.stringify({ apiVersion: 'oakum.dev/v1alpha1', kind, metadata: { name }, spec }, null, 2)}\n`;
}

/** A policy that lets a story be told in seconds; what `spec` says goes before. */
export function policy(
  spec: Fields & { readonly reboot?: Fields; readonly drain?: Fields; readonly rollout?: Fields } = {},
  cluster = 'prod',
): string {
  return written('PatchPolicy', cluster, {
    ...spec,
    reboot: { when: 'ifRequired', returnTimeout: '60s', stableFor: '1s', ...spec.reboot },
    drain: { timeout: '60s', ...spec.drain },
    rollout: { concurrency: 1, soak: '0s', canary: null, maxFailures: 1, ...spec.rollout },
  });
}

/** A request, as a file of its cluster's folder. */
export function request(name: string, spec: Fields = {}, cluster = 'prod'): Readonly<Record<string, string>> {
  const text = written('PatchRequest', name, { reason: 'a story', ...spec });
  return { [`clusters/${cluster}/requests/${name}.yaml`]: text };
}

/** Settings of the whole repository: status comes to Git as soon as there is news. */
export const fleet = written('Fleet', 'story', { status: { interval: '5s' } });

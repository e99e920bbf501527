// One repository that writes every field of every kind at least once.
import { parse } from 'yaml';
import { object, policy } from './snapshot.ts';

const files: Readonly<Record<string, string>> = {
  'oakum.yaml': object(
    'Fleet',
    'acme',
    'spec: { suspend: false, status: { retentionRuns: 10, interval: 30s }, publisher: prod }\n',
  ),
  'clusters/prod/cluster.yaml': object(
    'Cluster',
    'prod',
    'spec: { labels: { environment: production }, platform: edge, suspend: true, connection: prod-admin, uid: 6f1f2d0e-6a3c-4a53-9c0b-0d3f3a0d8b11 }\n',
  ),
  'policies/base.yaml': policy('base', 'spec:\n  schedule: { preset: biweekly, at: "02:00", anchor: 2026-01-04 }\n'),
  'clusters/dev/policy.yaml': policy(
    'dev',
    'spec: { extends: base, onBoot: true, maxAge: 30d, rollout: { concurrency: 25%, canary: null } }\n',
  ),
  'clusters/prod/policy.yaml': policy(
    'prod',
    `spec:
  extends: base
  suspend: true
  schedule: { cron: "0 2 * * 2#2", timeZone: Europe/Berlin, startingDeadline: 1h, validFor: 3d }
  onBoot: { enabled: true, timeout: 20m, onFailure: release }
  windows:
    - { days: [Sat, Sun], start: "00:00", duration: 6h, timeZone: Europe/Berlin }
    - { cron: "0 2 * * 1-5", duration: 1h }
  freezes:
    - { from: 2026-12-18, to: 2027-01-04, timeZone: UTC, reason: year-end }
    - { from: 12-24, to: 12-26 }
    - { cron: "0 0 L * *", duration: 24h }
  nodes: { selector: pool=web, exclude: dedicated=gpu }
  updates: { scope: all, hold: [docker-ce], holdRuntime: false, include: ["linux-*"], exclude: [nginx], minAge: 3d, lock: true, releasever: "2023.6" }
  reboot: { when: always, returnTimeout: 10m, stableFor: 2m, maxPerDay: 2 }
  drain: { when: beforeReboot, timeout: 5m, onTimeout: force, gracePeriod: 60s, deleteEmptyDirData: true, force: true, skipPods: app=x }
  rollout: { concurrency: 2, topologyKey: topology.kubernetes.io/zone, canary: { nodes: 1, soak: 30m }, soak: 2m, maxFailures: 2, controlPlane: first, allowSingleControlPlane: true }
  scan: { every: 12h }
  maxAge: { after: 30d, openRun: true }
  gates:
    - { prometheus: { url: "http://p:9090", alerts: { ignore: [Watchdog], only: [Bad] }, query: up == 0 } }
    - { http: { url: "https://status.example.org" } }
    - { podSelector: batch=critical, namespace: jobs }
    - { quiet: { for: 2h } }
  approval: { mode: review, minApprovals: 2, codeOwners: true, unknownAuthors: hold, approvers: ["@acme/platform"], leadTime: 24h }
  hooks: { before: [warm-cache], after: [smoke-test] }
  strategy: Replace
  onFailure: uncordon
`,
  ),
  'clusters/prod/requests/out.yaml': object(
    'PatchRequest',
    'out',
    'spec: { action: maintenance, nodes: [worker-1], selector: pool=web, notBefore: 2026-12-01T00:00:00Z, expiresAfter: 2h, until: 2026-12-02T00:00:00+01:00, reason: disk }\n',
  ),
  'clusters/prod/requests/on.yaml': object(
    'PatchRequest',
    'on',
    'spec: { action: resume, run: 20261206-000000-schedule }\n',
  ),
  'rollouts/monthly.yaml': object(
    'Rollout',
    'monthly',
    `spec:
  suspend: true
  schedule: { preset: custom, cron: "0 20 * * 2#2", timeZone: Europe/Berlin, startingDeadline: 6h, validFor: 20d }
  start: 2026-12-06T22:00:00+01:00
  waves:
    - { name: first, selector: environment=production, soak: 3d, maxFailures: 1, concurrency: 1 }
    - { name: last, clusters: [dev], approval: true }
  approved:
    - { run: 20261110-190000-monthly, wave: last }
  skip:
    - { run: 20261110-190000-monthly, cluster: dev, reason: being rebuilt }
`,
  ),
  'rollouts/quarterly.yaml': object(
    'Rollout',
    'quarterly',
    'spec: { schedule: { preset: bimonthly, at: "22:00", anchor: 2026-01-04 }, waves: [{ name: only, clusters: [spare] }] }\n',
  ),
  'clusters/dev/cluster.yaml': object('Cluster', 'dev', 'spec: {}\n'),
  'clusters/spare/cluster.yaml': object('Cluster', 'spare', 'spec: {}\n'),
};

/** The repository, and its objects by kind as plain values. */
export const kitchenSink = {
  files,
  values: (kind: string): unknown[] =>
    Object.values(files)
      .map((text): unknown => parse(text))
      .filter((value) => typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind),
};

import { describe, expect, test } from 'vitest';
import { desire, object, places, policy } from './snapshot.ts';
import type { Files } from './snapshot.ts';
import { cpuMs } from '../support/cpu.ts';

const proposedRun = (name: string, cluster: string, ceiling: string): string =>
  `apiVersion: oakum.dev/v1alpha1
kind: PatchRun
metadata: { name: ${name} }
spec:
  cluster: ${cluster}
  trigger: schedule
  digest: 0123456789abcdef
  ceiling: ${ceiling}
`;

const prod = 'clusters/prod/policy.yaml';
const request = 'clusters/prod/requests/now.yaml';
const inPolicy = (spec: string): Files => ({ [prod]: policy('prod', spec) });
const inRequest = (spec: string): Files => ({ [request]: object('PatchRequest', 'now', spec) });

const rows: readonly {
  readonly name: string;
  readonly files: Files;
  readonly wanted: readonly string[];
  readonly says?: RegExp;
}[] = [
  { name: 'the smallest repository', files: inPolicy('spec: {}\n'), wanted: [] },
  {
    name: 'an unknown field',
    files: inPolicy('spec:\n  schedul: { preset: monthly }\n'),
    wanted: [`${prod}:6:3 spec.schedul unknown-field`],
    says: /did you mean "schedule"\?/,
  },
  {
    name: 'an unknown word',
    files: inPolicy('spec:\n  schedule: { preset: montly }\n'),
    wanted: [`${prod}:6:23 spec.schedule.preset enum`],
    says: /found "montly"; did you mean "monthly"\? allowed: weekly/,
  },
  ...(
    [
      ['a word of Deployments', 'maxUnavailable: 25%', /"maxUnavailable"; rollout.concurrency says how many nodes/],
      ['a field one floor too high', "cron: '0 2 * * 1'", /did you mean "schedule.cron"\?/],
    ] as const
  ).map(([name, field, says]) => ({
    name,
    files: inPolicy(`spec:\n  ${field}\n`),
    wanted: [`${prod}:6:3 spec.${field.split(':')[0] ?? ''} unknown-field`],
    says,
  })),
  {
    name: 'a word where a map is meant',
    files: inPolicy('spec:\n  schedule: weekly\n'),
    wanted: [`${prod}:6:13 spec.schedule type`],
    says: /its fields: anchor, at, cron, preset/,
  },
  {
    name: 'the whole name of a day',
    files: inPolicy("spec:\n  windows: [{ days: [Monday], start: '22:00', duration: 1h }]\n"),
    wanted: [`${prod}:6:22 spec.windows[0].days[0] enum`],
    says: /did you mean "Mon"\? allowed: Sun, Mon/,
  },
  {
    name: 'a preset that there is not',
    files: inPolicy('spec:\n  schedule: { preset: daily }\n'),
    wanted: [`${prod}:6:23 spec.schedule.preset enum`],
    says: /for every day write cron: "0 2 \* \* \*"/,
  },
  {
    name: 'an hour that no day has',
    files: inPolicy("spec:\n  schedule: { cron: '0 25 * * *' }\n"),
    wanted: [`${prod}:6:21 spec.schedule.cron cron`],
    says: /"25" in the field for the hour is not understood; allowed: \*, 0 to 23/,
  },
  {
    name: 'a number for a duration',
    files: inPolicy('spec:\n  drain:\n    timeout: 15\n'),
    wanted: [`${prod}:7:14 spec.drain.timeout type`],
  },
  {
    name: 'a duration without a known unit',
    files: inPolicy('spec:\n  drain:\n    timeout: 15min\n'),
    wanted: [`${prod}:7:14 spec.drain.timeout pattern`],
    says: /90s, 30m, 24h, 7d/,
  },
  {
    name: 'owners who would never be asked',
    files: inPolicy('spec:\n  approval:\n    codeOwners: true\n'),
    wanted: [`${prod}:7:17 spec.approval.codeOwners contradiction`],
    says: /needs mode: review/,
  },
  {
    name: 'a rewrite from a commit to itself',
    files: {
      'accept-rewrite.yaml': object(
        'AcceptRewrite',
        'accept-rewrite',
        `spec: { from: [${'a'.repeat(40)}], to: ${'a'.repeat(40)} }\n`,
      ),
    },
    wanted: ['accept-rewrite.yaml:5:63 spec.to contradiction'],
  },
  {
    name: 'a short id of a commit',
    files: {
      'accept-rewrite.yaml': object(
        'AcceptRewrite',
        'accept-rewrite',
        `spec: { from: [${'a'.repeat(40)}], to: abc }\n`,
      ),
    },
    wanted: ['accept-rewrite.yaml:5:63 spec.to pattern'],
    says: /40 digits \(git rev-parse/,
  },
  {
    name: 'an approval of a short id',
    files: {
      'clusters/prod/approvals/a.yaml': object(
        'PatchApproval',
        'a',
        'spec: { files: { clusters/prod/policy.yaml: abc } }\n',
      ),
    },
    wanted: ['clusters/prod/approvals/a.yaml:5:45 spec.files.clusters/prod/policy.yaml pattern'],
    says: /git rev-parse origin\/main/,
  },
  {
    name: 'an approval under another name',
    files: {
      'clusters/prod/approvals/a.yaml': object(
        'PatchApproval',
        'b',
        `spec: { files: { x.yaml: ${'a'.repeat(40)} } }\n`,
      ),
    },
    wanted: ['clusters/prod/approvals/a.yaml:4:9 metadata.name name'],
  },
  {
    name: 'a name with a space among the approvers',
    files: inPolicy('spec:\n  approval: { mode: review, approvers: ["alice smith"] }\n'),
    wanted: [`${prod}:6:41 spec.approval.approvers[0] pattern`],
    says: /a team as "@acme\/platform"/,
  },
  {
    name: 'four fields of cron',
    files: inPolicy("spec:\n  schedule: { cron: '0 2 * *' }\n"),
    wanted: [`${prod}:6:21 spec.schedule.cron minLength`],
    says: /five fields: minute, hour/,
  },
  {
    name: 'a list with nothing in it',
    files: inRequest('spec: { nodes: [] }\n'),
    wanted: [`${request}:5:16 spec.nodes minItems`],
    says: /at least one entry, or leave the field out/,
  },
  {
    name: 'a rewrite in a file of nearly the right name',
    files: { 'accept_rewrite.yml': 'anything' },
    wanted: ['accept_rewrite.yml:1:1  not-read'],
    says: /rename the file/,
  },
  {
    name: 'a missing field stands at its parent',
    files: inPolicy('spec:\n  windows:\n    - start: "22:00"\n'),
    wanted: [`${prod}:7:7 spec.windows[0].duration missing-field`],
  },
  { name: 'a missing spec', files: { [prod]: policy('prod', '') }, wanted: [`${prod}:1:1 spec missing-field`] },
  {
    name: 'two faults in two files',
    files: { ...inPolicy('spec: { suspend: yes }\n'), ...inRequest('spec: { nodes: worker-1 }\n') },
    wanted: [`${prod}:5:18 spec.suspend type`, `${request}:5:16 spec.nodes type`],
  },
  {
    name: 'another kind',
    files: { [prod]: object('PatchRequest', 'prod', 'spec: { extends: a }\n') },
    wanted: [`${prod}:2:7 kind const`],
  },
  { name: "another cluster's name", files: { [prod]: policy('dev') }, wanted: [`${prod}:4:9 metadata.name name`] },
  {
    name: 'a duplicate key',
    files: inPolicy('spec:\n  suspend: true\n  suspend: false\n'),
    wanted: [`${prod}:7:3  duplicate-key`],
  },
  { name: 'a tab as indentation', files: { [prod]: 'a:\n\tb: 1\n' }, wanted: [`${prod}:2:1  yaml`] },
  { name: 'two documents', files: { [prod]: `${policy('prod')}---\na: 1\n` }, wanted: [`${prod}:6:1  yaml`] },
  { name: 'an empty file', files: { [prod]: '' }, wanted: [`${prod}:1:1  empty`] },
  { name: 'a tag', files: { [prod]: 'a: !!js/function x\n' }, wanted: [`${prod}:1:4  yaml`] },
  { name: 'an alias', files: { [prod]: 'a: &x 1\nb: *x\n' }, wanted: [`${prod}:1:7  yaml`, `${prod}:2:4  yaml`] },
  {
    name: 'a key __proto__',
    files: inPolicy('spec:\n  __proto__: { suspend: true }\n'),
    wanted: [`${prod}:6:3 spec.__proto__ unknown-field`],
  },
  { name: 'deep nesting', files: { [prod]: `a: ${'['.repeat(5000)}` }, wanted: [`${prod}:1:1  nesting`] },
  { name: 'deep nesting of blocks', files: { [prod]: `${'- '.repeat(5000)}a` }, wanted: [`${prod}:1:1  nesting`] },
  {
    name: 'a text of one megabyte',
    files: { [prod]: 'a: '.padEnd(1_000_000, 'x') },
    wanted: [`${prod}:1:1  file-size`],
  },
  {
    name: 'a time zone',
    files: inPolicy('spec:\n  schedule: { preset: weekly, timeZone: Europe/Berln }\n'),
    wanted: [`${prod}:6:41 spec.schedule.timeZone time-zone`],
    says: /did you mean "Europe\/Berlin"/,
  },
  {
    name: 'a cron expression',
    files: inPolicy('spec:\n  schedule: { cron: "0 0 31 2 *" }\n'),
    wanted: [`${prod}:6:21 spec.schedule.cron cron`],
  },
  {
    name: 'a schedule without a when',
    files: inPolicy('spec:\n  schedule: { timeZone: UTC }\n'),
    wanted: [`${prod}:6:3 spec.schedule schedule`],
  },
  {
    name: 'preset and cron',
    files: inPolicy('spec:\n  schedule: { preset: weekly, cron: "0 0 * * *" }\n'),
    wanted: [`${prod}:6:37 spec.schedule.cron schedule`],
  },
  {
    name: 'a window that is never open outside a freeze',
    files: inPolicy(
      'spec:\n  windows: [{ days: [Sat], start: "01:00", duration: 2h }]\n  freezes: [{ cron: "0 0 * * 6", duration: 24h }]\n',
    ),
    wanted: [`${prod}:6:12 spec.windows never-open`],
  },
  {
    name: 'a freeze that ends before it begins',
    files: inPolicy('spec:\n  freezes: [{ from: 2027-01-04, to: 2026-12-18 }]\n'),
    wanted: [`${prod}:6:37 spec.freezes[0].to freeze`],
  },
  {
    name: 'a freeze on no day',
    files: inPolicy('spec:\n  freezes: [{ from: 2026-02-30, to: 2026-12-18 }]\n'),
    wanted: [`${prod}:6:21 spec.freezes[0].from date`],
  },
  {
    name: 'a selector',
    files: inPolicy('spec:\n  nodes: { exclude: "a=b=c" }\n'),
    wanted: [`${prod}:6:21 spec.nodes.exclude selector`],
  },
  {
    name: 'a share above all',
    files: inPolicy('spec:\n  rollout: { concurrency: 101% }\n'),
    wanted: [`${prod}:6:27 spec.rollout.concurrency pattern`],
  },
  {
    name: 'a package name for a shell',
    files: inPolicy('spec:\n  updates: { hold: ["a b", "$(id)", "linux-*"] }\n'),
    wanted: [`${prod}:6:21 spec.updates.hold[0] pattern`, `${prod}:6:28 spec.updates.hold[1] pattern`],
  },
  {
    name: 'a package name with a line break',
    files: inPolicy('spec:\n  updates: { hold: ["a\\n"] }\n'),
    wanted: [`${prod}:6:21 spec.updates.hold[0] pattern`],
  },
  {
    name: 'an address',
    files: inPolicy('spec:\n  gates: [{ prometheus: { url: "file:///etc" } }]\n'),
    wanted: [`${prod}:6:32 spec.gates[0].prometheus.url url`],
  },
  {
    name: 'an address with a password',
    files: inPolicy('spec:\n  gates: [{ http: { url: "https://a:secret@b" } }]\n'),
    wanted: [`${prod}:6:26 spec.gates[0].http.url secret`],
  },
  {
    name: 'a gate of two kinds',
    files: inPolicy('spec:\n  gates: [{ podSelector: a, http: { url: "https://b" } }]\n'),
    wanted: [`${prod}:6:11 spec.gates[0] gate`],
  },
  {
    name: 'an unknown extended policy',
    files: { ...inPolicy('spec: { extends: baselin }\n'), 'policies/baseline.yaml': policy('baseline') },
    wanted: [`${prod}:5:18 spec.extends extends`],
    says: /did you mean "baseline"/,
  },
  {
    name: 'a circle',
    files: {
      'policies/a.yaml': policy('a', 'spec: { extends: b }\n'),
      'policies/b.yaml': policy('b', 'spec: { extends: a }\n'),
    },
    wanted: ['policies/a.yaml:5:18 spec.extends extends', 'policies/b.yaml:5:18 spec.extends extends'],
  },
  {
    name: 'a fault that only the merge has',
    files: {
      ...inPolicy('spec:\n  extends: base\n  windows: [{ days: [Sat], start: "01:00", duration: 2h }]\n'),
      'policies/base.yaml': policy('base', 'spec: { freezes: [{ cron: "0 0 * * 6", duration: 24h }] }\n'),
    },
    wanted: [`${prod}:7:12 spec.windows never-open`],
  },
  {
    name: 'maintenance without an end',
    files: inRequest('spec: { action: maintenance, nodes: [a] }\n'),
    wanted: [`${request}:5:1 spec.until request`],
  },
  {
    name: 'an end without maintenance',
    files: inRequest('spec: { until: 2026-12-06T22:00:00Z }\n'),
    wanted: [`${request}:5:16 spec.until request`],
  },
  {
    name: 'a time on no day',
    files: inRequest('spec: { notBefore: 2026-02-30T22:00:00Z }\n'),
    wanted: [`${request}:5:20 spec.notBefore date`],
  },
  {
    name: 'an ending .yml',
    files: { 'clusters/prod/policy.yml': '' },
    wanted: ['clusters/prod/policy.yml:1:1  not-read'],
    says: /policy\.yaml/,
  },
  {
    name: 'a freeze by another name',
    files: { 'clusters/prod/freeze.txt': '', Freeze: '' },
    wanted: ['Freeze:1:1  not-read', 'clusters/prod/freeze.txt:1:1  not-read'],
  },
  {
    name: 'what is not supported',
    files: {
      'clusters/prod/machines.yaml': '',
      'clusters/prod/manifests/a/b.yaml': '',
      'profiles/a/1.yaml': '',
    },
    wanted: [
      'clusters/prod/machines.yaml:1:1  not-supported',
      'clusters/prod/manifests/a/b.yaml:1:1  not-supported',
      'profiles/a/1.yaml:1:1  not-supported',
    ],
  },
  {
    name: 'a proposed run of another cluster, under another name, without a ceiling',
    files: {
      'clusters/prod/runs/a.yaml': proposedRun('b', 'dev', '{ nodes: 1, reboots: 1, force: false }'),
      'clusters/prod/runs/c.yaml': proposedRun('c', 'prod', '{ nodes: 1 }'),
      'clusters/prod/runs/d/e.yaml': '',
    },
    wanted: [
      'clusters/prod/runs/a.yaml:3:19 metadata.name name',
      'clusters/prod/runs/a.yaml:5:12 spec.cluster name',
      'clusters/prod/runs/c.yaml:8:3 spec.ceiling.force missing-field',
      'clusters/prod/runs/c.yaml:8:3 spec.ceiling.reboots missing-field',
      'clusters/prod/runs/d/e.yaml:1:1  not-read',
    ],
  },
  {
    name: 'links, submodules, large and binary files',
    files: {
      [prod]: { kind: 'symlink' },
      'clusters/dev': { kind: 'submodule' },
      'oakum.yaml': { kind: 'oversized' },
      [request]: { kind: 'binary' },
    },
    wanted: [
      'clusters/dev:1:1  not-read',
      `${prod}:1:1  file-kind`,
      `${request}:1:1  file-kind`,
      'oakum.yaml:1:1  file-kind',
    ],
  },
  {
    name: 'twins',
    files: { 'clusters/Prod/FREEZE': '', [prod]: policy('prod') },
    wanted: ['clusters/Prod/FREEZE:1:1  name'],
    says: /differs from "prod"/,
  },
  {
    name: 'documents and other tools',
    files: {
      'README.md': '#',
      'clusters/README.md': '',
      'clusters/prod/README.md': '',
      '.github/workflows/a.yml': 'x',
      'policies/.gitkeep': '',
    },
    wanted: [],
  },
];

describe('problems', () => {
  test.each(rows)('$name', ({ files, wanted, says }) => {
    const desired = desire(files);
    expect(places(desired)).toEqual(wanted);
    if (says) expect(desired.problems.map(({ message }) => message).join('\n')).toMatch(says);
  });

  test('secrets in an address are not repeated', () => {
    const { problems } = desire(inPolicy('spec:\n  gates: [{ http: { url: "https://a:secret@b" } }]\n'));
    expect(JSON.stringify(problems)).not.toContain('secret@');
  });

  test('an alias bomb costs nothing', () => {
    const bomb = [
      'a0: &a0 [x]',
      ...Array.from({ length: 30 }, (_, n) => `a${n + 1}: &a${n + 1} [*a${n}, *a${n}, *a${n}]`),
    ].join('\n');
    const cost = cpuMs(() => expect(desire({ [prod]: bomb }).problems.length).toBeGreaterThan(0));
    expect(cost).toBeLessThan(10_000);
  });
});

test('a large file full of faults is judged in reasonable time', () => {
  const freezes = Array.from(
    { length: 200 },
    (_, n) => `    - { from: 2026-02-30, to: "${n}", reason: "${'x'.repeat(190)}" }\n`,
  ).join('');
  const windows = Array.from(
    { length: 100 },
    () => '    - { start: "00:00", duration: 99999d, timeZone: Nowhere/At/All }\n',
  ).join('');
  const text = inPolicy(`spec:\n  freezes:\n${freezes}  windows:\n${windows}`);
  const cost = cpuMs(() => expect(desire(text).problems.length).toBeGreaterThanOrEqual(600));
  expect(cost).toBeLessThan(20_000);
});

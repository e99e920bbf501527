// The files: valid against their schemas, readable back, and safe whatever a node says.
import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { evidenceDigest, type ApprovalRecord } from '../../reconciler/model/approval.ts';
import type { StatusDocument } from '../../reconciler/model/status.ts';
import { archiveYaml, clusterFiles, fleetFiles, statusYaml } from '../../reconciler/report/files.ts';
import { readStatusDocument } from '../../reconciler/report/read-status.ts';
import { expiredArchives } from '../../reconciler/report/retention.ts';
import { runStatus } from '../../reconciler/report/run-status.ts';
import { commitMessage } from '../../reconciler/report/summary.ts';
import { clusterText, fleetText, planText, whyText } from '../../reconciler/report/text.ts';
import { yamlText } from '../../reconciler/report/yaml-text.ts';
import { aWorld, documentOf, resultOf } from './built.ts';

const facts = { name: 'fleet', commit: 'abc', unread: [] };

function validator(name: string): (text: string) => string[] {
  const schema: unknown = JSON.parse(
    readFileSync(new URL(`../../schemas/${name}.schema.json`, import.meta.url), 'utf8'),
  );
  const validate = new Ajv2020({ strict: false, allErrors: true }).compile(schema as object);
  return (text) =>
    validate(parse(text)) ? [] : (validate.errors ?? []).map((one) => `${one.instancePath} ${one.message}`);
}

const judged = {
  forge: 'github',
  number: 7,
  url: 'https://forge.test/pulls/7',
  path: 'clusters/prod/requests/now.yaml',
  head: 'a'.repeat(40),
  merged: 'b'.repeat(40),
  mergedAt: 1_790_000_000_000,
  by: [{ id: '12', name: 'alice', review: '3', at: 1_789_999_999_000 }],
  rule: { minApprovals: 1, approvers: ['@alice'] },
  closure: { files: { 'clusters/prod/policy.yaml': 'c'.repeat(40) }, resolved: 'd'.repeat(64) },
  ceiling: { nodes: 3, packages: undefined, reboots: 3, force: false },
} as const;
const evidence: ApprovalRecord = { ...judged, digest: evidenceDigest(judged) };

/** Documents of every stage of a whole run, with its end. */
async function stages(): Promise<{ docs: StatusDocument[]; archive: string }> {
  const world = aWorld();
  const docs: StatusDocument[] = [];
  for (let passes = 0; passes < 400; passes++) {
    const plan = await world.pass();
    docs.push(documentOf(await resultOf(world, plan)));
    world.now = Math.max(world.now + 1, Math.min(plan.wakeAt, world.cluster.nextAt() ?? world.now + 60_000));
    if (world.runs().every((run) => run.endedAt !== undefined)) break;
  }
  return { docs, archive: archiveYaml('prod', runStatus(world.theRun(), true), evidence) };
}

/** Every text of the document replaced by this one. */
function withText(doc: StatusDocument, text: string): StatusDocument {
  return {
    ...doc,
    nodes: doc.nodes.map((node) => ({
      ...node,
      message: text,
      next: text,
      lastError: text,
      osImage: text,
      patchedVersion: text,
    })),
    runs: doc.runs.map((run) => ({ ...run, message: text, why: text, trigger: text })),
    requests: doc.requests.map((request) => ({ ...request, message: text })),
    conditions: doc.conditions.map((one) => ({ ...one, message: text })),
    holds: [{ reason: 'Frozen', message: text, until: undefined }],
    problems: [{ file: text, line: 1, column: 1, path: text, message: text, rule: 'x' }],
  };
}

describe('files of the status branch', () => {
  it('are valid at every stage of a run, and read back to the same document', async () => {
    const { docs, archive } = await stages();
    const [cluster, fleet, record] = ['cluster-status', 'fleet-status', 'patch-run-record'].map(validator);
    expect(docs.length).toBeGreaterThan(10);
    for (const doc of docs) {
      expect(cluster?.(statusYaml(doc))).toEqual([]);
      expect(fleet?.(fleetFiles([doc], facts).get('fleet.yaml') ?? '')).toEqual([]);
      expect(readStatusDocument(statusYaml(doc))).toEqual(doc);
    }
    expect(record?.(archive)).toEqual([]);
    // What is read back has the same digest: nothing was cleaned or lost on the way.
    const { approval } = (parse(archive) as { status: { approval: ApprovalRecord } }).status;
    expect(evidenceDigest(approval)).toBe(evidence.digest);
    expect(docs.some((doc) => doc.counts.underWay === 1)).toBe(true);
  });

  it('keep every row of every table whole, whatever a text holds', async () => {
    const { docs } = await stages();
    const last = docs.at(-1);
    if (!last) throw new Error('no document');
    const nasty = 'a | b `c` <script>alert(1)</script> [x](javascript:y) \\| ![i](u) *b* _u_ $x$ https://u:p@h/';
    for (const [path, text] of [
      ...clusterFiles(withText(last, nasty)),
      ...fleetFiles([withText(last, nasty)], facts),
    ]) {
      if (!path.endsWith('.md')) continue;
      expect(text).not.toContain('<script');
      expect(text).not.toMatch(/(^|[^\\])\[x\]\(javascript/);
      for (const block of text.split('\n\n').filter((one) => one.startsWith('| '))) {
        const cells = block
          .split('\n')
          .map((row) => row.replaceAll('\\\\', '').replaceAll('\\|', '').split('|').length);
        expect(new Set(cells).size).toBe(1);
      }
    }
  });

  it('hold no control characters, no line breaks in messages, and no credentials', async () => {
    const world = aWorld();
    await world.run(6 * 3_600_000);
    const result = await resultOf(world, await world.pass());
    const nodes = result.plan.nodes.map((node) => ({
      ...node,
      message: '\u001b[31mE: https://user:hunter2@mirror/ubuntu\r\n404 \u202e token=s3cr3t-value \u0000 \ud800',
    }));
    const doc = documentOf({ ...result, plan: { ...result.plan, nodes } });
    expect(doc.nodes[0]?.message).toBe('E: https://mirror/ubuntu 404 token=[removed] \ufffd');
    for (const text of [statusYaml(doc), ...clusterFiles(doc).values(), clusterText(doc)]) {
      expect(text).not.toMatch(/hunter2|s3cr3t|\u001b|\u202e|\r/);
    }
  });

  it('bound a message that is too long', async () => {
    const world = aWorld();
    const result = await resultOf(world, await world.pass());
    const nodes = result.plan.nodes.map((node) => ({ ...node, message: '😀'.repeat(5_000) }));
    const [node] = documentOf({ ...result, plan: { ...result.plan, nodes } }).nodes;
    expect(node?.message.length).toBeLessThanOrEqual(600);
    expect(node?.message).toMatch(/^(😀)+…$/u);
  });

  it('name clusters whose status cannot be read instead of leaving them out', async () => {
    const files = fleetFiles([], { ...facts, unread: ['dark'] });
    expect(files.get('README.md')).toContain('[dark](clusters/dark/README.md)');
    expect(readStatusDocument('kind: ClusterStatus\nstatus: {}')).toBeUndefined();
    expect(readStatusDocument(': [')).toBeUndefined();
  });

  it('quote what a spreadsheet would compute', async () => {
    const { docs } = await stages();
    const csv = fleetFiles([withText(docs[0] as StatusDocument, '=HYPERLINK("x"),y')], facts).get('compliance.csv');
    expect(csv).toContain(`"'=HYPERLINK(""x""),y"`);
  });

  it('carry a commit message of one short subject and the config commit', async () => {
    const { docs } = await stages();
    const [doc] = docs.slice(-1);
    expect(commitMessage(doc ? [doc] : [])).toBe(
      'status: prod 1 patched, 1 skipped, 1 failed\n\nConfig-Commit: commit-1\n',
    );
    for (const one of docs) expect(commitMessage([one]).split('\n')[0]?.length).toBeLessThanOrEqual(72);
  });
});

describe('YAML', () => {
  it('is read back as it was written', () => {
    const scalar = fc.oneof(fc.string({ unit: 'grapheme' }), fc.integer(), fc.boolean(), fc.constant(null));
    const words = fc.constantFrom(
      'yes',
      'No',
      '1e3',
      '0x1f',
      '2026-06-01',
      '~',
      '- a',
      'a: b',
      '#',
      '',
      '.inf',
      'null',
      '\u0085',
    );
    fc.assert(
      fc.property(fc.object({ key: fc.string({ minLength: 1 }), values: [scalar, words], maxDepth: 4 }), (value) => {
        const plain = JSON.parse(JSON.stringify(value)) as Parameters<typeof yamlText>[0];
        expect(parse(yamlText(plain))).toEqual(plain);
        expect(parse(yamlText(plain), { version: '1.1' })).toEqual(plain);
      }),
      { numRuns: 500 },
    );
  });
});

describe('retention', () => {
  it('deletes all but the newest archives', () => {
    const paths = ['20260103-000000-b', '20260101-000000-a', '20260102-000000-c'].map(
      (id) => `clusters/p/runs/${id}.yaml`,
    );
    expect(expiredArchives([...paths, 'clusters/p/README.md'], 2)).toEqual(['clusters/p/runs/20260101-000000-a.yaml']);
    expect(expiredArchives(paths, 5)).toEqual([]);
  });
});

describe('the terminal', () => {
  it('says what would be done, why a node waits, and what a person can do', async () => {
    const world = aWorld();
    await world.pass();
    const result = await resultOf(world, await world.pass());
    const { ledger } = result.plan;
    const [request] = Object.values(ledger.requests);
    if (!request) throw new Error('there is no request');
    const held = {
      ...request,
      state: 'Waiting',
      reason: 'MergedWithoutApproval',
      message: 'nobody agreed',
    } as const;
    const plan = { ...result.plan, ledger: { ...ledger, requests: { later: held } } };
    expect(planText({ ...result, plan })).toContain('\nrequest later waits: MergedWithoutApproval: nobody agreed\n');
    expect(planText(result)).toMatch(/cluster prod at 2026-06-01T12:00:00Z.*\n(.*\n)*.*create Job .* on worker-1/);
    await world.run(3_600_000, () => world.runs()[0]?.nodes['worker-1']?.phase === 'Rebooting');
    const doc = documentOf(await resultOf(world, await world.pass()));
    const [, waiting] = doc.nodes;
    expect(waiting && whyText('prod', waiting, doc.observedCommit)).toMatch(/NoRoomInBudget\n(.*\n)*you can: +Wait/);
    expect(clusterText(doc)).toContain('worker-2');
    expect(fleetText([doc])).toContain('prod');
  });

  it('wrap sentences into the terminal, and cut nothing', async () => {
    const world = aWorld();
    const result = await resultOf(world, await world.pass());
    const message =
      'PodDisruptionBudget work/web can never allow pod work/web-55b6fd5567-wk7jj to go: it needs 2 of 2 pods';
    const nodes = result.plan.nodes.map((node) => ({ ...node, message }));
    const held = { ...result, plan: { ...result.plan, nodes } };
    const doc = documentOf(held);
    for (const tell of [(width?: number) => clusterText(doc, width), (width?: number) => planText(held, width)]) {
      // For a pipe, a row is a line.
      expect(
        tell()
          .split('\n')
          .filter((line) => line.includes(message)),
      ).toHaveLength(nodes.length);
      for (const width of [100, 140]) {
        const table = tell(width)
          .split('\n')
          .filter((line) => /NODE|worker-|^ {2}/.test(line));
        expect(Math.max(...table.map((line) => line.length)), tell(width)).toBeLessThanOrEqual(width);
        for (const word of message.split(' ')) expect(tell(width)).toContain(word);
        expect(tell(width)).not.toContain('…');
      }
      // Where not even the longest words fit, they stay whole.
      expect(tell(40)).toContain('work/web-55b6fd5567-wk7jj');
    }
  });
});

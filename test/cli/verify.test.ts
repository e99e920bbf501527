// `oakum verify`: evidence that is true passes every check; whatever was altered fails the one that it should.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyRun } from '../../reconciler/cli/verify.ts';
import { evidenceDigest, type ApprovalRecord } from '../../reconciler/model/approval.ts';
import { yamlText } from '../../reconciler/report/yaml-text.ts';
import { toPlain } from '../../reconciler/report/files.ts';
import { commitFiles, gitEnvironment } from '../support/git-server.ts';

const dir = mkdtempSync(join(tmpdir(), 'oakum-verify-'));
const policy = 'clusters/prod/policy.yaml';
const request = 'clusters/prod/requests/now.yaml';
const git = (...words: string[]): string =>
  execFileSync('git', words, { cwd: dir, env: gitEnvironment, encoding: 'utf8' }).trim();
let base: string;
let head: string;
let merged: string;

beforeAll(() => {
  git('init', '-q', '-b', 'main', '.');
  base = commitFiles(dir, 'main', { [policy]: 'one\n' });
  head = commitFiles(dir, 'ask', { [request]: 'two\n' }, { onto: base });
  merged = commitFiles(dir, 'main', { [request]: 'two\n', 'docs/other.md': 'by others\n' });
  commitFiles(dir, 'main', { [policy]: 'later\n' });
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const oid = (path: string): string => git('rev-parse', `${head}:${path}`);

function record(change: Partial<Omit<ApprovalRecord, 'digest'>> = {}): ApprovalRecord {
  const facts = {
    forge: 'github' as const,
    number: 7,
    url: 'https://forge.test/pulls/7',
    path: request,
    head,
    merged,
    mergedAt: 2_000,
    by: [{ id: '12', name: 'alice', review: '3', at: 1_000 }],
    rule: { minApprovals: 1, approvers: ['@alice'] },
    closure: { files: { [policy]: oid(policy), [request]: oid(request) }, resolved: 'r' },
    ceiling: undefined,
    ...change,
  };
  return { ...facts, digest: evidenceDigest(facts) };
}

async function failing(approval: ApprovalRecord | undefined): Promise<string[]> {
  const text = yamlText(toPlain({ kind: 'PatchRunRecord', status: { id: 'run-1', approval } }));
  commitFiles(dir, 'oakum/status', { 'clusters/prod/runs/run-1.yaml': text });
  const checks = await verifyRun('run-1', { cluster: 'prod', dir, branch: 'main', statusBranch: 'oakum/status' });
  expect(checks).toHaveLength(6);
  return checks.filter(({ ok }) => !ok).map(({ what }) => what);
}

describe('oakum verify', () => {
  it('finds nothing wrong with what is true', async () => {
    expect(await failing(record())).toEqual([]);
  });

  it.each([
    ['a field that was edited', () => ({ ...record(), number: 8 }), ['the evidence is as it was written']],
    ['too few people', () => record({ by: [] }), ['enough people approved']],
    [
      'somebody who may not',
      () => record({ by: [{ id: '13', name: 'mallory', review: '4', at: 1 }] }),
      ['enough people approved'],
    ],
    [
      'one person twice',
      () => record({ rule: { minApprovals: 2, approvers: ['@alice'] }, by: [...record().by, ...record().by] }),
      ['enough people approved'],
    ],
    ['an approval after the merge', () => record({ mergedAt: 10 }), ['nobody approved after the merge']],
    [
      'other content than was reviewed',
      () => record({ closure: { files: { [request]: '0'.repeat(40) }, resolved: 'r' } }),
      ['the reviewed commit has the approved files', 'the merged commit has the approved files'],
    ],
    [
      'a head that the clone does not have',
      () => record({ head: '1'.repeat(40) }),
      ['the reviewed commit has the approved files'],
    ],
    ['a merge that is not on the branch', () => record({ merged: head }), ['the merge is in the history of main']],
  ])('finds %s', async (_what, make, wanted) => {
    expect(await failing(make())).toEqual(wanted);
  });

  it('says when there is nothing to check', async () => {
    await expect(failing(undefined)).rejects.toThrow('needed no approval');
    await expect(
      verifyRun('run-2', { cluster: 'prod', dir, branch: 'main', statusBranch: 'oakum/status' }),
    ).rejects.toThrow('has no clusters/prod/runs/run-2.yaml');
  });
});

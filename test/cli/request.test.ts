// `oakum request`: what it writes is valid, what would not be valid is not written, and a file that is there stays.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { requestFile } from '../../reconciler/cli/request.ts';

const now = Date.UTC(2026, 10, 21, 10, 15);
const folder = mkdtempSync(join(tmpdir(), 'oakum-request-'));
afterAll(() => rmSync(folder, { recursive: true }));

const main = fileURLToPath(new URL('../../reconciler/main.ts', import.meta.url));

function oakum(...args: string[]): { readonly code: number | null; readonly out: string; readonly err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    encoding: 'utf8',
    timeout: 25_000,
  });
  return { code: status, out: stdout, err: stderr };
}

describe('a request file', () => {
  it('is named after its action and time, and holds what was given', () => {
    const { path, text } = requestFile('retry', { cluster: 'prod', nodes: ['worker-3'], reason: 'disk: mended' }, now);
    expect(path).toBe('clusters/prod/requests/retry-20261121-101500.yaml');
    expect(text).toBe(`apiVersion: oakum.dev/v1alpha1
kind: PatchRequest
metadata:
  name: retry-20261121-101500
spec:
  action: retry
  nodes:
    - worker-3
  reason: "disk: mended"
`);
  });

  it.each([
    ['maintenance without until', () => requestFile('maintenance', { cluster: 'prod', nodes: ['n1'] }, now), 'until'],
    ['a resume of some nodes', () => requestFile('resume', { cluster: 'prod', nodes: ['n1'] }, now), 'whole run'],
    ['a wrong duration', () => requestFile('patch', { cluster: 'prod', expiresAfter: 'soon' }, now), 'expiresAfter'],
    ['a name that leads elsewhere', () => requestFile('patch', { cluster: 'prod', name: '../x' }, now), '--name'],
  ])('is refused with a sentence: %s', (_what, make, word) => {
    expect(make).toThrow(word);
  });

  it('is written once and never overwritten', () => {
    const again = ['request', 'patch', '--cluster', 'prod', '--name', 'fix', '--reason', 'a CVE', '--dir', folder];
    const first = oakum(...again);
    expect(first).toMatchObject({ code: 0, err: '' });
    expect(first.out).toContain('clusters/prod/requests/fix.yaml');
    const text = readFileSync(join(folder, 'clusters/prod/requests/fix.yaml'), 'utf8');
    expect(text).toContain('reason: a CVE');
    expect(oakum(...again)).toMatchObject({ code: 2, out: '' });
    expect(oakum('request', 'dance', '--cluster', 'prod').code).toBe(2);
    expect(oakum('request', 'abort', '--cluster', 'prod', '--name', 'stop').out).toContain('action: abort');
  });
});

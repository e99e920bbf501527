// Lists that did not fit into a Job's result: read from the log of its pod, once, and never taken when they are not what the result names.
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { openCluster } from '../../reconciler/adapters/kubernetes.ts';
import type { KubeResponse, Transport } from '../../reconciler/adapters/kubernetes-transport.ts';
import { silentLog } from '../../reconciler/adapters/log.ts';
import { AdapterError } from '../../reconciler/model/failure.ts';
import { digest } from '../../reconciler/model/digest.ts';
import { readResult } from '../../reconciler/model/result-text.ts';
import { views } from '../../reconciler/observed/views.ts';

const packages = Array.from({ length: 300 }, (_, index) => `package-${String(index)} 1.0 1.1`);

/** What the script leaves: a result without its list, and the log that has it. */
function answer(list: readonly string[], run = 'monthly-1') {
  const text = list.map((line) => `${line}\n`).join('');
  const whole = gzipSync(JSON.stringify({ v: 1, run, pkgs: { enc: 'plain', data: list } })).toString('base64');
  const parts = whole.match(/.{1,3000}/g) ?? [];
  const result = JSON.stringify({
    v: 1,
    run,
    code: 'OK',
    n: { pending: list.length },
    pkgs: { enc: 'omitted', sha256: createHash('sha256').update(text).digest('hex') },
    full: { parts: parts.length },
  });
  const numbered = parts.map((part, index) => `OSPATCH ${run} ${String(index + 1)}/${String(parts.length)} ${part}\n`);
  return { result, log: `phase: download\n${numbered.join('')}${result}\n` };
}

/** An API server with one Job that has ended, whose log answers as told. */
function served(result: string, log: () => KubeResponse) {
  const asked: string[] = [];
  const list = (...items: object[]): KubeResponse => ({
    status: 200,
    headers: {},
    body: { kind: 'List', metadata: { resourceVersion: '1' }, items },
  });
  const job = {
    metadata: { name: 'oakum-download-1', uid: 'j1', creationTimestamp: '2026-11-21T04:00:00Z' },
    status: { conditions: [{ type: 'Complete', status: 'True', lastTransitionTime: '2026-11-21T04:05:00Z' }] },
  };
  const pod = {
    metadata: { name: 'oakum-download-1-x', uid: 'p1', ownerReferences: [{ kind: 'Job', uid: 'j1' }] },
    status: {
      phase: 'Succeeded',
      containerStatuses: [{ state: { terminated: { exitCode: 0, message: result } } }],
    },
  };
  const transport: Transport = {
    request: async ({ path }) => {
      if (path.includes('/log?')) {
        asked.push(path);
        return log();
      }
      if (path.startsWith('/apis/batch')) return list(job);
      if (path.includes('/pods')) return list(pod);
      return list();
    },
    watch: async () => undefined,
    close: async () => undefined,
  };
  const clock = { now: () => Date.UTC(2026, 10, 21, 4, 6), sleep: async () => undefined };
  const cluster = openCluster({ transport, views, clock, log: silentLog, watch: false });
  const look = async () =>
    (await cluster.observe({ podsOn: [], budgets: false, etcd: false, upgrades: false })).jobs[0];
  return { look, asked };
}

const text = (body: string): KubeResponse => ({ status: 200, headers: { 'content-type': 'text/plain' }, body });

describe('a list that did not fit into the result', () => {
  it('is taken from the log, which is read once and only as far as needed', async () => {
    const { result, log } = answer(packages);
    const { look, asked } = served(result, () => text(log));
    const view = await look();
    expect(view?.state).toBe('succeeded');
    expect(readResult(view?.result)?.packages).toEqual(packages);
    await look();
    expect(asked).toEqual(['/api/v1/namespaces/os-patch/pods/oakum-download-1-x/log?tailLines=21&limitBytes=4194304']);
  });

  it('is not asked for when the result is whole', async () => {
    const { look, asked } = served('{"v":1,"code":"OK","pkgs":{"enc":"plain","data":["a 1 2"]}}', () => text(''));
    expect(readResult((await look())?.result)?.packages).toEqual(['a 1 2']);
    expect(asked).toEqual([]);
  });

  it.each([
    ['of another run', answer(packages, 'monthly-0').log],
    ['that is not the one whose hash the result names', answer(packages.slice(1)).log],
    ['whose log is cut', answer(packages).log.slice(0, 900)],
    ['whose log was rotated away', ''],
  ])('%s stays unknown', async (_, log) => {
    const { result } = answer(packages);
    const { look, asked } = served(result, () => text(log));
    const view = await look();
    expect(view).toMatchObject({ state: 'succeeded', result });
    expect(readResult(view?.result)).toMatchObject({ packages: undefined, pending: 300 });
    await look();
    expect(asked).toHaveLength(1);
  });

  it('of more packages than the ledger can keep stays unknown', async () => {
    const many = Array.from({ length: 1500 }, (_, index) => `${digest(index, 12)}-${String(index)} 1.0 1.1`);
    const { result, log } = answer(many);
    expect(readResult((await served(result, () => text(log)).look())?.result)?.packages).toBeUndefined();
  });

  it('is waited for while the kubelet does not answer, three looks long', async () => {
    const { result, log } = answer(packages);
    let busy = 2;
    const failing = served(result, () => {
      if (busy-- > 0) throw new AdapterError('transient', '502', 'the kubelet does not answer');
      return text(log);
    });
    for (const state of ['running', 'running', 'succeeded']) {
      const view = await failing.look();
      expect(view?.state).toBe(state);
      expect(readResult(view?.result)?.packages).toEqual(state === 'running' ? undefined : packages);
    }
    const never = served(result, () => ({ status: 500, headers: {}, body: 'no' }));
    for (const state of ['running', 'running', 'succeeded', 'succeeded'])
      expect((await never.look())?.state).toBe(state);
    expect(never.asked).toHaveLength(3);
  });

  it('is given up at once when logs may not be read', async () => {
    const { result } = answer(packages);
    const { look, asked } = served(result, () => ({ status: 403, headers: {}, body: 'forbidden' }));
    expect(await look()).toMatchObject({ state: 'succeeded', result });
    await look();
    expect(asked).toHaveLength(1);
  });
});

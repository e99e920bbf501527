// `oakum accept-rewrite` and `oakum new-ledger` write to the cluster that is meant, or to none.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { httpTransport } from '../../reconciler/adapters/kubernetes-http.ts';
import { openLedger } from '../../reconciler/adapters/ledger.ts';
import { runProgram } from '../../reconciler/cli/program.ts';
import type { LedgerDocument } from '../../reconciler/model/ledger.ts';
import { ownNamespace } from '../../reconciler/model/names.ts';
import { emptyLedger } from '../../reconciler/plan/plan.ts';
import type { Ledger } from '../../reconciler/ports.ts';
import { realClock } from '../../reconciler/sim/clock.ts';
import { serveSim } from '../../reconciler/sim/server.ts';
import { createSim, type Sim } from '../../reconciler/sim/sim.ts';

const folder = mkdtempSync(join(tmpdir(), 'oakum-accept-'));
afterAll(() => rmSync(folder, { recursive: true }));

const before = 'a'.repeat(40);
const tip = 'b'.repeat(40);

interface Member {
  readonly sim: Sim;
  readonly ledger: Ledger;
  readonly kubeconfig: string;
}

/** A cluster that answers, and its kubeconfig in the folder of the hub. `says`: its ledger, begun for the cluster of that name. */
async function aCluster(name: string, says: string | undefined): Promise<Member> {
  const sim = createSim({ clock: realClock() });
  sim.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: ownNamespace } });
  const served = await serveSim(sim);
  const kubeconfig = join(folder, `${name}.yaml`);
  writeFileSync(kubeconfig, served.kubeconfig());
  const transport = httpTransport({ kind: 'text', text: served.kubeconfig() }, {});
  const ledger = openLedger(transport, { namespace: ownNamespace });
  onTestFinished(async () => {
    await transport.close();
    await served.close();
  });
  const begun: LedgerDocument = {
    ...emptyLedger({ observed: { clusterUid: `uid-${name}` }, now: 0 }),
    accepted: { commit: before, committedAt: 0 },
  };
  if (says !== undefined) await ledger.save(undefined, { ...begun, cluster: says });
  return { sim, ledger, kubeconfig };
}

/** The program as in a pod, with this environment. */
async function oakum(env: Readonly<Record<string, string>>, ...args: string[]): Promise<{ code: number; err: string }> {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const out = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const err = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  try {
    const code = await runProgram(['node', 'oakum', ...args]);
    return { code, err: err.mock.calls.map(([text]) => String(text)).join('') };
  } finally {
    for (const one of [out, err]) one.mockRestore();
    vi.unstubAllEnvs();
  }
}

let dev: Member;
let prod: Member;
const accepted = async ({ ledger }: Member): Promise<string | undefined> => (await ledger.load())?.accepted?.commit;
const addNode = ({ sim }: Member, annotations: Readonly<Record<string, string>>): void =>
  void sim.create('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1', annotations } });

describe('oakum accept-rewrite', () => {
  beforeEach(async () => {
    [dev, prod] = await Promise.all([aCluster('dev', 'dev'), aCluster('prod', 'prod')]);
  });
  const accept = (env: Readonly<Record<string, string>>, ...flags: string[]) =>
    oakum({ KUBECONFIG: dev.kubeconfig, ...env }, 'accept-rewrite', before, tip, ...flags);

  it.each([
    ['the flag', {}, ['--kubeconfig-dir', folder]],
    ['the environment of a pod', { OAKUM_KUBECONFIG_DIR: folder }, []],
  ])('writes to the cluster of the hub that is named, with the folder from %s', async (_what, env, flags) => {
    expect(await accept(env, ...flags, '--cluster', 'prod')).toEqual({ code: 0, err: '' });
    expect([await accepted(dev), await accepted(prod)]).toEqual([before, tip]);
  });

  it.each([
    ['no cluster of a hub', ['--kubeconfig-dir', folder], 'which of dev, prod is meant'],
    [
      'a folder that is not there',
      ['--kubeconfig-dir', join(folder, 'none'), '--cluster', 'dev'],
      'cannot be read: ENOENT',
    ],
    ['a cluster that the hub has not', ['--kubeconfig-dir', folder, '--cluster', 'pord'], 'has no file pord.yaml'],
    ['a cluster that is not behind the kubeconfig', ['--cluster', 'prod'], 'that of "dev", not of "prod"'],
  ])('writes nowhere when the flags name %s', async (_what, flags, words) => {
    const { code, err } = await accept({}, ...flags);
    expect(code).toBe(2);
    expect(err).toContain(words);
    expect([await accepted(dev), await accepted(prod)]).toEqual([before, before]);
  });

  it('needs no name for the one cluster of a kubeconfig', async () => {
    expect(await accept({})).toEqual({ code: 0, err: '' });
    expect([await accepted(dev), await accepted(prod)]).toEqual([tip, before]);
  });
});

describe('oakum new-ledger', () => {
  beforeEach(async () => {
    [dev, prod] = await Promise.all([aCluster('dev', undefined), aCluster('prod', undefined)]);
  });

  it('begins one where marks tell of a ledger that was lost', async () => {
    addNode(dev, { 'oakum.dev/last-patched': '2026-06-01T12:00:00Z' });
    addNode(prod, { 'oakum.dev/last-patched': '2026-06-01T12:00:00Z' });
    const hub = { OAKUM_KUBECONFIG_DIR: folder, KUBECONFIG: dev.kubeconfig };
    expect(await oakum(hub, 'new-ledger', '--cluster', 'prod')).toEqual({ code: 0, err: '' });
    expect((await prod.ledger.load())?.renewed).toBe(true);
    expect(await dev.ledger.load()).toBeUndefined();
  });

  it('begins none in a cluster that never had one', async () => {
    addNode(dev, { note: 'of somebody else' });
    const { code, err } = await oakum({}, 'new-ledger', '--kubeconfig', dev.kubeconfig);
    expect(code).toBe(2);
    expect(err).toContain('nothing to begin anew');
    expect(await dev.ledger.load()).toBeUndefined();
  });
});

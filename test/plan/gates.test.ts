// Gates that ask somebody else: closed until they are read and open, asked only while a node wants to start, and not waited for for ever.
import { describe, expect, it } from 'vitest';
import { gateKey, type GateReadings } from '../../reconciler/model/gate.ts';
import type { Gate } from '../../reconciler/model/policy.ts';
import { wantedGates } from '../../reconciler/plan/outside-gates.ts';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const hour = 3_600_000;
const gate: Gate = { kind: 'http', url: 'http://ready.test/ok' };

function says(open: boolean, answer: string): GateReadings {
  return new Map([[gateKey(gate), { open, answer, at: 0 }]]);
}

function world(): TinyWorld {
  const request = aRequest('now', { expiresAfterMs: 6 * hour });
  const made = new TinyWorld(undefined, aCluster({ policy: aPolicy({ gates: [gate] }), requests: [request] }));
  made.cluster.addNode('n1');
  made.cluster.addNode('n2');
  return made;
}

describe('a gate', () => {
  it('that was not read is closed, and says so', async () => {
    const made = world();
    const plan = await made.pass();
    expect(plan.nodes[0]).toMatchObject({
      phase: 'Pending',
      reason: 'GateBlocked',
      message: 'gate http http://ready.test/ok: has not been read yet',
    });
    expect(plan.wakeAt).toBe(made.now + 1_000);
  });

  it('that says no holds the run with its answer; open, it lets it go', async () => {
    const made = world();
    made.gates = says(false, 'answered 503');
    await made.run(hour);
    expect(made.theRun()).toMatchObject({ state: 'Scheduled', reason: 'GateBlocked' });
    expect(made.theRun().message).toContain('answered 503');
    made.gates = says(true, 'answered 200');
    await made.run(hour);
    expect(made.theRun().state).toBe('Succeeded');
  });

  it('that closes in the middle lets the node under way finish and starts no other', async () => {
    const made = world();
    made.gates = says(true, 'answered 200');
    await made.run(hour, () => made.theRun().nodes['n1']?.phase === 'Patching');
    made.gates = says(false, 'answered 500');
    await made.run(hour);
    expect(made.theRun().nodes['n1']?.phase).toBe('Patched');
    expect(made.theRun().nodes['n2']?.phase).toBe('Pending');
    expect(made.theRun()).toMatchObject({ state: 'Running', reason: 'GateBlocked' });
    await made.run(8 * hour);
    expect(made.ends()).toEqual(['n1: Patched/Patched', 'n2: Skipped/GateBlocked']);
    expect(made.theRun().state).toBe('Failed');
  });

  it('that stays closed lets a run that has not begun expire, with its answer', async () => {
    const made = world();
    made.gates = says(false, 'firing: Broken');
    await made.run(8 * hour);
    expect(made.theRun()).toMatchObject({ state: 'Expired' });
    expect(made.theRun().message).toContain('firing: Broken');
  });

  it('is asked only while a run wants to start a node', async () => {
    const made = world();
    made.gates = says(true, 'answered 200');
    expect(wantedGates(made.ledger, made.desired.policy)).toEqual([]);
    await made.run(hour, () => made.theRun().nodes['n1']?.phase === 'Patching');
    expect(wantedGates(made.ledger, made.desired.policy)).toEqual([gate]);
    await made.run(hour);
    expect(wantedGates(made.ledger, made.desired.policy)).toEqual([]);
  });

  it('that a commit adds in the middle counts at once', async () => {
    const made = world();
    made.change({ policy: aPolicy() });
    await made.run(hour, () => made.theRun().nodes['n1']?.phase === 'Patching');
    made.change({ policy: aPolicy({ gates: [gate] }) });
    await made.run(hour);
    expect(made.theRun().nodes['n2']?.phase).toBe('Pending');
  });
});

describe('quiet', () => {
  const quiet: Gate = { kind: 'quiet', forMs: 2 * hour };

  function withFailure(maxFailures: number): TinyWorld {
    const policy = aPolicy({ gates: [quiet], rollout: { maxFailures } });
    const made = new TinyWorld(undefined, aCluster({ policy, requests: [aRequest('now', { nodes: ['n1', 'n2'] })] }));
    for (const name of ['n1', 'n2', 'n3']) made.cluster.addNode(name);
    made.cluster.machine('n1').behaviour.fail = { download: 'DISK_FULL_VAR' };
    return made;
  }

  it('is asked of nobody', () => {
    const made = withFailure(2);
    expect(wantedGates(made.ledger, made.desired.policy)).toEqual([]);
  });

  it('holds the next node until the failure is long enough ago', async () => {
    const made = withFailure(2);
    await made.run(hour);
    const failedAt = made.theRun().nodes['n1']?.endedAt ?? 0;
    expect(made.passes.at(-1)?.nodes[1]).toMatchObject({ reason: 'GateBlocked', at: failedAt + 2 * hour });
    expect(made.passes.at(-1)?.nodes[1]?.message).toContain('gate quiet for 2h: n1 failed in run ');
    await made.run(2 * hour);
    expect(made.theRun().nodes['n2']).toMatchObject({ phase: 'Patched' });
    expect(made.theRun().nodes['n2']?.startedAt).toBeGreaterThanOrEqual(failedAt + 2 * hour);
  });

  it('holds another run, and lets a person go on with the one that failed', async () => {
    const made = withFailure(1);
    await made.run(hour);
    expect(made.theRun()).toMatchObject({ state: 'Paused' });
    made.change({ requests: [aRequest('go-on', { action: 'resume' })] });
    await made.run(20 * 60_000);
    expect(made.theRun().nodes['n2']).toMatchObject({ phase: 'Patched' });
    made.change({ requests: [aRequest('third', { nodes: ['n3'] })] });
    await made.run(60_000);
    expect(made.runs().at(-1)).toMatchObject({ state: 'Scheduled', reason: 'GateBlocked' });
    await made.run(2 * hour);
    expect(made.runs().at(-1)).toMatchObject({ state: 'Succeeded' });
  });
});

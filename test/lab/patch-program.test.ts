// The imitated patch script answers as the real one: every answer is valid against the script's own schema.
import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import type { LabPod, ProgramNode } from './light-program.ts';
import { createPatchProgram, type PatchProgram } from './patch-program.ts';

const schema = JSON.parse(
  readFileSync(new URL('../../reconciler/patch/result.schema.json', import.meta.url), 'utf8'),
) as object;
const valid = new Ajv2020({ strict: false }).compile(schema);

function machine() {
  let boot = 0;
  const reboots: (number | undefined)[] = [];
  const node: ProgramNode & { reboots: typeof reboots } = {
    name: 'n1',
    reboots,
    bootId: () => `00000000-0000-4000-8000-${String(boot).padStart(12, '0')}`,
    kernel: () => (boot === 0 ? '6.1.0-50-amd64' : '6.1.0-56-amd64'),
    up: () => true,
    reboot({ downMs }) {
      reboots.push(downMs);
      boot += 1;
    },
  };
  return node;
}

async function call(program: PatchProgram, node: ProgramNode, environment: Readonly<Record<string, string>>) {
  const values = { OSP_RUN_ID: 'r1', OSP_NODE: node.name, ...environment };
  const env = Object.entries(values).map(([name, value]) => ({ name, value }));
  const pod = {
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'patch', image: 'x', env }] },
  } as unknown as LabPod;
  const end = await program.program(pod, node, new AbortController().signal);
  const result = end.message === undefined ? undefined : (JSON.parse(end.message) as Record<string, unknown>);
  if (result !== undefined) expect(valid(result), JSON.stringify(valid.errors)).toBe(true);
  return { exitCode: end.exitCode, result };
}

describe('the imitated patch script', () => {
  it('goes scan, download, patch, reboot, verify with valid results', async () => {
    const program = createPatchProgram({ durationMs: { scan: 1, download: 1, patch: 1, reboot: 1, verify: 1 } });
    const node = machine();
    expect((await call(program, node, { OSP_MODE: 'scan' })).result).toMatchObject({
      n: { pending: 3 },
      status: 'Succeeded',
    });
    expect((await call(program, node, { OSP_MODE: 'download' })).exitCode).toBe(0);
    const patched = await call(program, node, { OSP_MODE: 'patch' });
    expect(patched.result).toMatchObject({ n: { applied: 3, left: 0 }, reboot: { required: true, why: ['kernel'] } });
    const before = node.bootId();
    const asked = await call(program, node, { OSP_MODE: 'reboot', OSP_EXPECT_BOOT_ID: before, OSP_REBOOT_DELAY: '0' });
    expect(asked.result).toMatchObject({ reboot: { state: 'scheduled' } });
    await expect.poll(() => node.reboots).toEqual([500]);
    expect((await call(program, node, { OSP_MODE: 'reboot', OSP_EXPECT_BOOT_ID: before })).result).toMatchObject({
      reboot: { state: 'already-done', required: false },
    });
    expect((await call(program, node, { OSP_MODE: 'verify', OSP_EXPECT_BOOT_ID: before })).exitCode).toBe(0);
    expect((await call(program, node, { OSP_MODE: 'scan' })).result).toMatchObject({ status: 'UpToDate' });
    expect(program.rebootsAsked('n1')).toBe(1);
  });

  it('changes a node once per run, however often it is asked', async () => {
    const program = createPatchProgram({ durationMs: { patch: 1 } });
    const node = machine();
    const first = await call(program, node, { OSP_MODE: 'patch' });
    const second = await call(program, node, { OSP_MODE: 'patch' });
    expect(second.result?.['n']).toEqual(first.result?.['n']);
    expect(program.installs('n1')).toBe(1);
  });

  it('fails as it is told, with the class of the code, and recovers', async () => {
    const program = createPatchProgram({ durationMs: { patch: 1, scan: 1 } });
    const node = machine();
    program
      .system('n1')
      .faults.push({ mode: 'patch', code: 'SCRIPT_FAILED', times: 1 }, { mode: 'scan', code: 'died', times: 1 });
    expect(await call(program, node, { OSP_MODE: 'scan' })).toEqual({ exitCode: 137, result: undefined });
    expect((await call(program, node, { OSP_MODE: 'patch' })).exitCode).toBe(50);
    const again = await call(program, node, { OSP_MODE: 'patch', OSP_ATTEMPT: '2' });
    expect(again).toMatchObject({ exitCode: 0, result: { n: { applied: 2 } } });
  });

  it('refuses what the real one refuses', async () => {
    const program = createPatchProgram();
    const node = machine();
    expect((await call(program, node, { OSP_MODE: 'paint' })).exitCode).toBe(20);
    expect((await call(program, node, { OSP_MODE: 'patch', OSP_NODE: 'n2' })).result).toMatchObject({ code: 'USAGE' });
    expect((await call(program, node, { OSP_MODE: 'reboot' })).result).toMatchObject({ code: 'USAGE' });
    expect((await call(program, node, { OSP_MODE: 'verify', OSP_EXPECT_BOOT_ID: node.bootId() })).exitCode).toBe(70);
  });
});

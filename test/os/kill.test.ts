// Killed at any line: the worker is ended before each phase, in each phase and at commands of each phase by chance, for each family.
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { apt, type Apt } from './apt-fixture.ts';
import { run } from './commands.ts';
import { killInside, type Root } from './roots.ts';
import { rpm, versionsOf, type Rpm } from './rpm-fixture.ts';
import { assemble, packagesOf, pod, readResult, runId, start, type Result } from './script.ts';

let aptFixture: Apt;
let rpmFixture: Rpm;

beforeAll(async () => {
  aptFixture = await apt();
  rpmFixture = await rpm();
  await (await aptFixture.node()).close();
});
afterAll(async () => {
  await aptFixture.close();
  await rpmFixture.close();
});

/** How many commands of each phase are tried besides its beginning, chosen by chance. */
const LINES = Number(process.env['OAKUM_KILL_LINES'] ?? '1');

/** Where chance begins: the script itself, so that a change of it tries other commands and the same script the same ones again. */
const SEED =
  process.env['OAKUM_KILL_SEED'] ??
  createHash('sha256')
    .update(await assemble())
    .digest('hex')
    .slice(0, 8);

/** A whole number from 0 to below, of seed and purpose alone. */
function chance(purpose: string, below: number): number {
  return createHash('sha256').update(`${SEED} ${purpose}`).digest().readUInt32BE(0) % below;
}

// Put before the script: in the worker bash counts every command of the main shell, and ends itself by SIGKILL at the one that
// /run/kill-at names. 0 only counts. `stay` lets the file lie, so that the next worker meets the same fate.
const COUNTER = `
if [ "\${1:-}" = --worker ] && read -r kill_at kill_stay 2>/dev/null </run/kill-at; then
  kill_step=0
  kill_count() {
    [ "$BASHPID" = $$ ] || return 0
    kill_step=$((kill_step + 1))
    case $1 in 'phase '*) echo "$kill_step \${1#phase }" >>/run/kill-phases ;; 'exit '*) echo "$kill_step" >/run/kill-total ;; esac
    [ "$kill_step" = "$kill_at" ] || return 0
    echo "$kill_step" >>/run/killed
    [ -n "$kill_stay" ] || rm -f /run/kill-at
    kill -9 $$
  }
  set -T
  trap 'kill_count "$BASH_COMMAND"' DEBUG
fi
`;

interface Killed {
  readonly result: Result;
  readonly status: number;
  readonly said: string;
}

/** Patches a root; the worker is ended at its command number \`line\` when that is not nought. */
async function patch(
  root: Root,
  id: string,
  line: number,
  more: { stay?: boolean; attempt?: number } = {},
): Promise<Killed> {
  await root.ok('ln -sf bash /usr/bin/sh');
  await root.write('/run/kill-at', `${String(line)}${more.stay === true ? ' stay' : ''}\n`);
  const made = await pod(root, {
    mode: 'patch',
    run: id,
    attempt: more.attempt ?? 1,
    env: { OSP_EXCLUDE: 'sec-conf*' },
  });
  const text = await readFile(made.script, 'utf8');
  await writeFile(
    made.script,
    text.replace('\n', () => `\n${COUNTER}`),
  );
  const ran = await run('/bin/busybox', ['sh', made.script], { env: made.env, timeout: 400_000 });
  return { result: readResult(await readFile(made.result, 'utf8')), status: ran.status, said: ran.stdout };
}

interface Family {
  readonly name: string;
  readonly node: () => Promise<Root>;
  /** What must be the same at the end: versions, soundness of the database, configuration, what stands on the disk. */
  readonly state: string;
}

const FILES = 'cd / && find etc usr/share lib/modules boot -type f 2>/dev/null | sort | xargs md5sum';

const FAMILIES: readonly Family[] = [
  {
    name: 'apt',
    node: () => aptFixture.node(),
    state: `dpkg-query -W; dpkg --audit; dpkg --get-selections; apt-mark showauto; ${FILES}`,
  },
  { name: 'dnf', node: () => rpmFixture.dnfNode(), state: `rpm -qa | sort; ${FILES}` },
  { name: 'zypper', node: () => rpmFixture.zypperNode('trixie'), state: `rpm -qa | sort; ${FILES}` },
];

const PHASES = ['preflight', 'refresh', 'plan', 'download', 'install', 'check'];

/** One patch that is left alone: its end, and where its commands are. */
interface Whole extends Killed {
  readonly state: string;
  readonly total: number;
  /** The number of the command that begins a phase, and the phase. */
  readonly phases: readonly (readonly [number, string])[];
}

async function whole({ node, state }: Family): Promise<Whole> {
  const root = await node();
  try {
    const answer = await patch(root, runId(), 0);
    expect(answer.result.code, answer.said).toBe('OK');
    const phases = (await root.read('/run/kill-phases'))
      .trim()
      .split('\n')
      .map((line) => line.split(' '))
      // bash comes to a function twice: at the call and at its first command.
      .filter(([, name], index, all) => name !== all[index - 1]?.[1])
      .map(([step, name]) => [Number(step), name ?? ''] as const);
    expect(phases.map(([, name]) => name)).toEqual(PHASES);
    return { ...answer, phases, state: await root.ok(state), total: Number(await root.read('/run/kill-total')) };
  } finally {
    await root.close();
  }
}

describe.each(FAMILIES)('$name', (family) => {
  test('ended at any line and started again by the front, a patch ends as if nothing had happened', async () => {
    const wanted = await whole(family);
    expect(wanted.total).toBeGreaterThan(500);
    const before = wanted.phases.map(([step, name]) => [step, `before ${name}`] as const);
    // The first commands of a phase note it; after them its work has begun.
    const within = wanted.phases.map(([step, name]) => [step + 8, `in ${name}`] as const);
    const by = wanted.phases.flatMap(([from, name], index) => {
      const to = wanted.phases[index + 1]?.[0] ?? wanted.total - 15;
      return Array.from({ length: LINES }, (_, line) => {
        const step = from + chance(`${family.name} ${name} ${String(line)}`, to - from);
        return [step, `by chance in ${name}, ${String(step - from)} of ${String(to - from)}`] as const;
      });
    });
    const end = [12, 3].map((left) => [wanted.total - left, `${String(left)} commands before the end`] as const);
    const points = [...before, ...within, ...by, ...end];
    console.log(`${family.name}: ${String(wanted.total)} commands, OAKUM_KILL_SEED=${SEED}`);
    const seen: Record<string, string> = {};
    const lane = async (some: typeof points): Promise<void> => {
      for (const [step, name] of some) {
        const root = await family.node();
        try {
          const { result, said } = await patch(root, runId(), step);
          const killed = root.has('/run/killed') && said.includes('starting another');
          const same =
            JSON.stringify(packagesOf(result)) === JSON.stringify(packagesOf(wanted.result)) &&
            (await root.ok(family.state)) === wanted.state;
          seen[name] = `${killed ? 'killed' : 'not killed'}, ${result.code}, ${same ? 'same' : `differs\n${said}`}`;
        } finally {
          await root.close();
        }
      }
    };
    await Promise.all([0, 1].map((lot) => lane(points.filter((_, index) => index % 2 === lot))));
    expect(seen).toEqual(Object.fromEntries(points.map(([, name]) => [name, 'killed, OK, same'])));
  }, 1_200_000);
});

describe('killed twice at the same place', () => {
  const again = async (
    phase: string,
  ): Promise<{ readonly first: Killed; readonly second: Killed; readonly ends: boolean }> => {
    const family = FAMILIES[0];
    if (family === undefined) throw new Error('there is no family');
    const wanted = await whole(family);
    const line = (wanted.phases.find(([, name]) => name === phase)?.[0] ?? 0) + 8;
    const root = await family.node();
    try {
      const id = runId();
      const first = await patch(root, id, line, { stay: true });
      expect(await root.read('/run/killed')).toBe(`${String(line)}\n`.repeat(2));
      const second = await patch(root, id, 0, { attempt: 2 });
      return { first, second, ends: (await root.ok(family.state)) === wanted.state };
    } finally {
      await root.close();
    }
  };

  test('before the installation: a fault of the surroundings, said so; the next attempt ends the same', async () => {
    const { first, second, ends } = await again('plan');
    expect(first).toMatchObject({ status: 1, result: { code: 'INTERNAL', status: 'Failed' } });
    // The second worker finds what the first one left, so the same count is a little earlier or later.
    expect(first.result.msg).toMatch(/killed twice in phase (refresh|plan)/);
    expect(second.result.code, second.said).toBe('OK');
    expect(ends).toBe(true);
  });

  test('in the installation: failed while changing, memory is the suspect; the next attempt ends the same', async () => {
    const { first, second, ends } = await again('install');
    expect(first).toMatchObject({ status: 50, result: { code: 'INSTALL_FAILED', status: 'Failed' } });
    expect(first.result.msg).toContain('out of memory');
    expect(second.result.code, second.said).toBe('OK');
    expect(ends).toBe(true);
  });
});

describe('zypper and all its children killed in the middle of their transaction', () => {
  test('repaired, finished, and reported', async () => {
    const root = await rpmFixture.zypperNode('trixie', { more: ['slow'] });
    try {
      const id = runId();
      await start(root, { mode: 'download', run: id });
      const running = start(root, { mode: 'patch', run: id, env: { OSP_OFFLINE: 'true' } });
      await root.ok('for i in $(seq 300); do rpm -q slow-1.2 >/dev/null && exit 0; sleep 0.1; done; exit 1');
      const twice = await root.ok('rpm -qa --qf "%{NAME}\\n" | grep -v ^kernel | sort | uniq -d');
      await killInside(root.path, 'SIGKILL');
      const { result, stdout } = await running;
      expect(twice).not.toBe('');
      expect(result.code, stdout).toBe('KEPT_BACK');
      expect(result.warn).toEqual([expect.stringContaining('RepairedPackages: ')]);
      expect(result.n).toMatchObject({ applied: 7, new: 3, left: 0 });
      expect(await versionsOf(root, 'sec-imp', 'openssl-libs', 'slow', 'kernel-core', 'kubelet', 'sec-newdep')).toEqual(
        [
          'kernel-core 99.1-1.el9',
          'kernel-core 99.2-1.el9',
          'kubelet 1.30.1-150500.1.1',
          'openssl-libs 3.0.3-1.el9',
          'sec-imp 1.2-1.el9',
          'sec-newdep 1.2-1.el9',
          'slow 1.2-1.el9',
        ],
      );
    } finally {
      await root.close();
    }
  });
});

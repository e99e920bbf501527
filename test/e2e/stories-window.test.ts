// A maintenance window on a real API server: it closes in the middle of a run. In minutes of a real clock, so this file mostly waits.
import { expect, it } from 'vitest';
import { patience } from '../lab/wait.ts';
import { openStage } from './stage.ts';
import { policy, request } from './wishes.ts';

const on = openStage();

it('stops between two nodes when the window closes, and goes on in the next one', async () => {
  const story = await on.tell({ count: 2 });
  // One node fits into a minute, and two do not.
  for (const name of story.lights.nodes.keys()) story.patch.system(name).durationMs = { patch: 30_000 };
  // Open for one minute, closed for the next: from the next minute on.
  const parity = (new Date().getUTCMinutes() + 1) % 2;
  const windows = [{ cron: parity === 0 ? '*/2 * * * *' : '1-59/2 * * * *', duration: '1m', timeZone: 'UTC' }];
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy({ windows }), ...request('first') });
  const middle = await story.says('the window has closed in the middle of the run', (status) => {
    const done = status.nodes.filter((node) => node.patchedVersion !== '').length;
    const waits = status.nodes.filter((node) => ['OutsideWindow', 'WindowTooShort'].includes(node.reason)).length;
    return done === 1 && waits === 1;
  });
  expect(middle.runs[0]?.state).toBe('Running');
  await story.runIs('Succeeded', 420_000);
  await story.provenOnce();
  // Every node began while a window was open (its Job needs a moment to get there), and not all in the same one.
  const began = [...story.lights.nodes.keys()].map((name) => story.calls(name, 'download')[0]?.at ?? 0);
  const open = (at: number): boolean => new Date(at).getUTCMinutes() % 2 === parity;
  for (const at of began) expect(open(at) || open(at - 15_000 * patience), new Date(at).toISOString()).toBe(true);
  expect(new Set(began.map((at) => Math.floor(at / 60_000))).size).toBeGreaterThan(1);
});

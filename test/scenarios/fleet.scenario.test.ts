// Golden transcripts of rollouts: several simulated clusters on one clock, and what each run says.
import type { FleetRollout } from '../../reconciler/model/rollout.ts';
import { aRollout, aWave, FleetWorld } from '../support/fleet-world.ts';
import { aRequest } from '../support/policies.ts';
import { day, hour, minute, tellTales, type Tale } from '../support/tale.ts';

const start = Date.UTC(2026, 5, 1, 12);
const name = '20260601-130000-monthly';

/** dev, staging, prod; due an hour after the beginning, prod only when somebody gives the go. */
function rollout(given: Partial<FleetRollout> = {}): FleetRollout {
  const waves = [
    aWave('dev', ['dev'], { soakMs: 2 * hour }),
    aWave('staging', ['staging'], { soakMs: day }),
    aWave('production', ['prod'], { approval: true }),
  ];
  return aRollout(waves, { start: start + hour, ...given });
}

/** Tells each change of state of each cluster's runs. */
function narrated(fleet: FleetWorld): string[] {
  const transcript: string[] = [];
  const told = new Map<string, string>();
  fleet.watch = (cluster) => {
    for (const run of Object.values(fleet.world(cluster).ledger?.runs ?? {})) {
      const line = `${cluster} ${run.id}: ${run.state} ${run.reason}: ${run.message}`;
      if (told.get(`${cluster} ${run.id}`) === line) continue;
      told.set(`${cluster} ${run.id}`, line);
      transcript.push(`${since(fleet.now)} ${line}`);
    }
  };
  return transcript;
}

/** `1d 02:03:04` since the beginning. */
function since(now: number): string {
  const seconds = Math.floor((now - start) / 1000);
  const days = Math.floor(seconds / 86_400);
  const clock = new Date((seconds % 86_400) * 1000).toISOString().slice(11, 19);
  return `${days > 0 ? `${days}d ` : ''}${clock}`;
}

const tales: readonly Tale[] = [
  {
    name: 'C10: dev, staging and prod in waves, a failure in staging holds prod, and people go on',
    tell: async () => {
      const fleet = new FleetWorld(start, rollout());
      const transcript = narrated(fleet);
      const staging = fleet.world('staging');
      const { behaviour } = staging.cluster.machine('staging-worker-1');
      behaviour.fail = { download: 'DISK_FULL_VAR' };
      await fleet.run(day);
      transcript.push('— somebody makes room on staging-worker-1, and asks for all of staging again');
      behaviour.fail = {};
      staging.now = fleet.now;
      staging.change({ requests: [aRequest('again')] });
      await fleet.run(2 * day);
      transcript.push('— somebody gives the go for production');
      fleet.change(rollout({ approved: [{ run: name, wave: 'production' }] }));
      await fleet.run(hour + minute);
      return { transcript };
    },
  },
];

tellTales(tales);

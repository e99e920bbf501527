// Several tiny clusters with one clock, that tell each other of their rollouts as a hub does: from their ledgers.
import type { ClusterDesired } from '../../reconciler/model/desired.ts';
import type { RunRecord } from '../../reconciler/model/ledger.ts';
import {
  rolloutFacts,
  type FleetRollout,
  type PeerReading,
  type PeerReadings,
  type Wave,
} from '../../reconciler/model/rollout.ts';
import { aCluster } from './policies.ts';
import { TinyWorld } from './tiny-world.ts';

/** A wave of these clusters, without soak or consent: tests say what they need beyond it. */
export function aWave(name: string, clusters: readonly string[], given: Partial<Wave> = {}): Wave {
  return { name, clusters, soakMs: 0, maxFailures: 1, concurrency: undefined, approval: false, ...given };
}

/** A rollout that starts once, at `start`. */
export function aRollout(waves: readonly Wave[], given: Partial<FleetRollout> = {}): FleetRollout {
  return {
    name: 'monthly',
    file: 'rollouts/monthly.yaml',
    oid: 'oid-monthly',
    suspend: false,
    schedule: undefined,
    start: undefined,
    waves,
    approved: [],
    skip: [],
    unclear: [],
    ...given,
  };
}

/** The fleet. */
export class FleetWorld {
  now: number;
  readonly worlds = new Map<string, TinyWorld>();
  /** Changes what a cluster is told of another one; as it stands: the truth. */
  hear: (reading: PeerReading, from: string, to: string) => PeerReading | undefined = (reading) => reading;
  /** Called after every pass of every cluster. */
  watch: (cluster: string) => void = () => undefined;
  private readonly due = new Map<string, number>();

  constructor(start: number, rollout: FleetRollout, given: Partial<ClusterDesired> = {}) {
    this.now = start;
    for (const name of rollout.waves.flatMap((wave) => wave.clusters))
      this.add(name, { rollouts: [rollout], ...given });
  }

  add(name: string, given: Partial<ClusterDesired> = {}): TinyWorld {
    const world = new TinyWorld(this.now, aCluster({ name, ...given }));
    world.cluster.addNode(`${name}-worker-1`);
    world.peers = () => this.heardBy(name);
    this.worlds.set(name, world);
    return world;
  }

  world(name: string): TinyWorld {
    const world = this.worlds.get(name);
    if (!world) throw new Error(`there is no cluster ${name}`);
    return world;
  }

  /** A commit about the rollout: the same file for all. */
  change(rollout: FleetRollout | undefined): void {
    for (const [name, world] of this.worlds) {
      world.now = this.now;
      const { rollouts: _before, ...rest } = world.desired;
      world.desired = rest;
      const takes = rollout?.waves.some((wave) => wave.clusters.includes(name));
      world.change(rollout && takes ? { rollouts: [rollout] } : {});
      this.due.set(name, this.now);
    }
  }

  private heardBy(listener: string): PeerReadings {
    const told = new Map<string, PeerReading>();
    for (const [name, world] of this.worlds) {
      if (name === listener) continue;
      const heard = this.hear({ kind: 'read', facts: rolloutFacts(world.ledger) }, name, listener);
      if (heard) told.set(name, heard);
    }
    return told;
  }

  /** Passes over whichever cluster is due next, until `limitMs` have gone by or the condition holds. */
  async run(limitMs: number, until: () => boolean = () => false): Promise<void> {
    const end = this.now + limitMs;
    for (let passes = 0; passes < 200_000; passes++) {
      const [next] = [...this.worlds.keys()].sort((a, b) => this.dueAt(a) - this.dueAt(b));
      if (next === undefined || this.dueAt(next) > end) {
        this.now = end;
        return;
      }
      this.now = Math.max(this.now, this.dueAt(next));
      const world = this.world(next);
      world.now = this.now;
      const plan = await world.pass();
      this.due.set(next, Math.max(this.now + 1, Math.min(plan.wakeAt, world.cluster.nextAt() ?? Infinity)));
      this.watch(next);
      if (until()) return;
    }
    throw new Error('the fleet does not settle');
  }

  private dueAt(name: string): number {
    return this.due.get(name) ?? 0;
  }

  /** Runs of rollouts in a cluster, oldest first. */
  runs(name: string): RunRecord[] {
    return Object.values(this.world(name).ledger?.runs ?? {}).filter(({ triggers }) => triggers[0]?.kind === 'rollout');
  }

  /** The newest run of a rollout. */
  theRun(name: string): RunRecord {
    const run = this.runs(name).at(-1);
    if (!run) throw new Error(`cluster ${name} has no run of a rollout`);
    return run;
  }

  /** `cluster: state/reason` of the newest run of each. */
  states(): string[] {
    return [...this.worlds.keys()].map((name) => {
      const run = this.runs(name).at(-1);
      return run ? `${name}: ${run.state}/${run.reason}` : `${name}: none`;
    });
  }
}

// Prometheus metrics by prom-client: figures for each cluster, never for each node.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { AdapterError } from '../model/failure.ts';
import type { LedgerDocument, RunState } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { isEnd, nodePhases } from '../model/node-phase.ts';
import type { Plan } from '../model/plan.ts';

/** The part of a pass that is counted. */
export interface MeasuredPass {
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly acted: boolean;
  readonly source: { readonly commit: string | undefined };
  readonly desired: { readonly problems: readonly unknown[] } | undefined;
  readonly plan: Plan;
}

/** What became of one try to publish status. */
export interface MeasuredPublish {
  readonly ok: boolean;
  readonly changed: boolean;
  readonly attempts: number;
}

export interface Metrics {
  readonly contentType: string;
  /** The page of `/metrics`. */
  text(): Promise<string>;
  /** One request to a Kubernetes API server; status 0 means that no answer came. */
  countRequest(this: void, verb: string, resource: string, status: number, ms: number): void;
  observePass(pass: MeasuredPass): void;
  observePublish(outcome: MeasuredPublish): void;
  /** What a pass or a look at the config repository failed with; undefined when it did not. */
  observeFailure(name: string, error: unknown): void;
}

const openStates: readonly RunState[] = ['Proposed', 'AwaitingApproval', 'Scheduled', 'Running', 'Paused'];

/** A registry of its own: nothing global, so that tests and several services in one process do not meet. */
export function openMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[]): Gauge<Label> =>
    new Gauge({ name, help, labelNames, registers });
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> =>
    new Counter({ name, help, labelNames, registers });

  const nodes = gauge('oakum_nodes', 'Nodes by phase; Idle outside of runs.', ['cluster', 'phase']);
  const blocked = gauge('oakum_node_blocked', 'Nodes that do not move, by reason.', ['cluster', 'reason']);
  const runs = gauge('oakum_runs_open', 'Runs that have not ended, by state.', ['cluster', 'state']);
  const ended = gauge('oakum_runs_ended', 'Ended runs that the ledger still has, by state.', ['cluster', 'state']);
  const lastRun = gauge('oakum_last_run_end_timestamp_seconds', 'End of the newest run that ended.', ['cluster']);
  const holds = gauge('oakum_hold', 'One for each reason that holds the cluster.', ['cluster', 'reason']);
  const pending = gauge('oakum_pending_updates', 'Updates that wait, as last counted, over all nodes.', ['cluster']);
  const overdue = gauge('oakum_nodes_overdue', 'Nodes whose oldest pending update is older than maxAge.', ['cluster']);
  const oldest = gauge(
    'oakum_oldest_pending_update_timestamp_seconds',
    'When the oldest pending update of any node was first seen; 0 when none is pending.',
    ['cluster'],
  );
  const unseen = gauge('oakum_nodes_not_scanned', 'Nodes of which it is not known what is pending.', ['cluster']);
  const scanErrors = gauge('oakum_nodes_scan_failed', 'Nodes whose last scan brought nothing.', ['cluster']);
  const reboots = gauge('oakum_nodes_reboot_required', 'Nodes whose installed updates need a reboot.', ['cluster']);
  const cordon = gauge(
    'oakum_owned_cordon_age_seconds',
    'Age of the oldest cordon that is ours (work or quarantine); 0 without one.',
    ['cluster'],
  );
  const problems = gauge('oakum_config_problems', 'Problems in the files that the cluster uses.', ['cluster']);
  const commit = gauge('oakum_config_commit_info', 'The config commit that the last pass used.', ['cluster', 'commit']);
  const lastPass = gauge('oakum_last_pass_timestamp_seconds', 'When the last whole pass was.', ['cluster']);
  const lease = gauge('oakum_lease_held', 'Whether this process acts on the cluster.', ['cluster']);
  const passes = counter('oakum_passes_total', 'Passes by their end.', ['cluster', 'result']);
  const pushes = counter('oakum_status_publish_total', 'Tries to publish status, by their end.', ['result']);
  const attempts = counter('oakum_status_push_attempts_total', 'Pushes that this took, refused ones included.', []);
  const lastPublish = gauge('oakum_last_publish_timestamp_seconds', 'When status last reached Git.', []);
  const config = counter('oakum_config_failures_total', 'Failed looks at the config repository.', ['kind']);
  const requests = counter('oakum_kubernetes_requests_total', 'Requests to API servers.', ['verb', 'resource', 'code']);
  const latency = new Histogram({
    name: 'oakum_kubernetes_request_duration_seconds',
    help: 'Time until the API server answered.',
    labelNames: ['verb'],
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60],
    registers,
  });

  /** A cordon's age counts from the node's start in the run, or from its quarantine. */
  function oldestCordon(ledger: LedgerDocument, now: number): number {
    const since = [
      ...Object.values(ledger.history).flatMap((history) => history.quarantine?.since ?? []),
      ...Object.values(ledger.runs)
        .filter((run) => !runEnded(run.state))
        .flatMap((run) => Object.values(run.nodes))
        .filter((record) => record.cordoned && !isEnd(record.phase))
        .map((record) => record.startedAt ?? record.since),
    ];
    const oldest = since.reduce((a, b) => Math.min(a, b), now);
    return Math.max(0, (now - oldest) / 1_000);
  }

  /** Replaces a cluster's series: a phase or reason that is gone must not stand there for ever. */
  function replace(of: Gauge<string>, cluster: string, label: string, counts: ReadonlyMap<string, number>): void {
    for (const key of seen(of, cluster)) if (!counts.has(key)) of.remove({ cluster, [label]: key });
    known.get(of)?.set(cluster, new Set(counts.keys()));
    for (const [key, count] of counts) of.set({ cluster, [label]: key }, count);
  }
  const known = new Map<Gauge<string>, Map<string, Set<string>>>();
  function seen(of: Gauge<string>, cluster: string): ReadonlySet<string> {
    const clusters = known.get(of) ?? new Map<string, Set<string>>();
    known.set(of, clusters);
    return clusters.get(cluster) ?? new Set();
  }

  function observePass(pass: MeasuredPass): void {
    const { name: cluster, plan, now } = pass;
    const { ledger } = plan;
    lease.set({ cluster }, pass.acted ? 1 : 0);
    lastPass.set({ cluster }, now / 1_000);
    passes.inc({ cluster, result: pass.acted ? 'acted' : 'watched' });
    problems.set({ cluster }, pass.desired?.problems.length ?? 0);
    replace(commit, cluster, 'commit', new Map(pass.source.commit === undefined ? [] : [[pass.source.commit, 1]]));
    replace(
      nodes,
      cluster,
      'phase',
      tally(
        plan.nodes.map((node) => node.phase),
        ['Idle', ...nodePhases],
      ),
    );
    const still = plan.nodes.filter((node) => node.phase === 'Pending' || node.phase === 'Idle');
    replace(blocked, cluster, 'reason', tally(still.map((node) => node.reason)));
    replace(holds, cluster, 'reason', new Map(plan.holds.map((hold) => [hold.reason, 1])));
    const all = Object.values(ledger.runs);
    const states = (wanted: boolean): string[] =>
      all.filter((run) => runEnded(run.state) === wanted).map((run) => run.state);
    replace(runs, cluster, 'state', tally(states(false), openStates));
    replace(ended, cluster, 'state', tally(states(true)));
    const ends = all.flatMap((run) => run.endedAt ?? []);
    if (ends.length > 0) lastRun.set({ cluster }, ends.reduce((a, b) => Math.max(a, b)) / 1_000);
    const here = plan.nodes.map((node) => ledger.history[node.node]?.pending);
    pending.set(
      { cluster },
      here.reduce((sum, one) => sum + (one?.count ?? 0), 0),
    );
    overdue.set({ cluster }, plan.nodes.filter((node) => node.overdueSince !== undefined).length);
    const since = here.flatMap((one) => one?.since ?? []);
    oldest.set({ cluster }, since.length === 0 ? 0 : since.reduce((a, b) => Math.min(a, b)) / 1_000);
    unseen.set({ cluster }, here.filter((one) => one === undefined).length);
    scanErrors.set({ cluster }, plan.nodes.filter((node) => ledger.history[node.node]?.scan?.error).length);
    reboots.set({ cluster }, here.filter((one) => one?.reboot === true).length);
    cordon.set({ cluster }, oldestCordon(ledger, now));
  }

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    countRequest: (verb, resource, status, ms) => {
      requests.inc({ verb, resource, code: String(status) });
      latency.observe({ verb }, ms / 1_000);
    },
    observePass,
    observePublish: ({ ok, changed, attempts: count }) => {
      pushes.inc({ result: ok ? (changed ? 'pushed' : 'unchanged') : 'failed' });
      attempts.inc(count);
      if (ok) lastPublish.setToCurrentTime();
    },
    observeFailure: (name, error) => {
      if (error === undefined) return;
      const kind = error instanceof AdapterError ? error.kind : 'bug';
      if (name === 'config') config.inc({ kind });
      else passes.inc({ cluster: name, result: kind });
    },
  };
}

/** How often each word comes; `always` are there with a nought. */
function tally(words: readonly string[], always: readonly string[] = []): Map<string, number> {
  const counts = new Map<string, number>(always.map((word) => [word, 0]));
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

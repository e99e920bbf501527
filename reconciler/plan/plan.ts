// The order of decisions for one cluster, nothing else.
import type { Action } from '../model/action.ts';
import type { LedgerDocument } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { domain } from '../model/names.ts';
import type { ObserveInterest, Observed } from '../model/observed.ts';
import type { Plan } from '../model/plan.ts';
import type { Hold } from '../model/reason.ts';
import { moveBootRuns } from './boot-pass.ts';
import { drainInterest } from './drain-beside.ts';
import { registerBoots, releaseTaints } from './boot.ts';
import { etcdAgain, needsEtcd } from './etcd.ts';
import { wantedHooks } from './hooks.ts';
import { approvalInWords } from './approval.ts';
import { acceptCommit } from './approved-commit.ts';
import { judgeRuns, wantedApprovals } from './approved-runs.ts';
import { noteDownloads } from './first-seen.ts';
import { clusterHolds, standingHolds } from './gates.ts';
import type { PlanInput } from './input.ts';
import { markActions } from './marks.ts';
import { handOverTo } from './own-host.ts';
import { registerRollouts } from './rollouts.ts';
import { chooseRun, endRuns, forgetRuns, queueHold } from './runs.ts';
import { agreeToRewrite } from './rewritten.ts';
import { moveMaintenance } from './maintenance.ts';
import { moveRun } from './run-pass.ts';
import { moveScans } from './scan.ts';
import { nextDue } from './pause.ts';
import { nextOverdue, registerSla } from './sla.ts';
import { named, wrongCluster } from './identity.ts';
import { sweep } from './sweep.ts';
import { registerTriggers } from './triggers.ts';
import { tellNodes, upcomingRuns } from './verdicts.ts';
import { nextTurn } from './waves.ts';

/** What a forge says is asked for again this often while something waits for it. */
const reviewsMs = 30_000;

/** Look again at least this often: a clock that jumped, an event that was lost. */
const longestSleepMs = 10 * 60_000;

/**
 * One pass over one cluster: pure, deterministic, safe to repeat. The ledger in the answer must be written before the actions are done.
 * Nodes under way always go on by the run's own spec; holds only stop what has not begun.
 */
export function planCluster(given: PlanInput): Plan {
  const stranger = ledgerLost(given) ?? wrongCluster(given);
  if (stranger) return idle(given, emptyLedger(given), [stranger]);
  // A branch that was rewritten counts only when a person has said so.
  const input = agreeToRewrite(given);
  let ledger = input.ledger ?? emptyLedger(input);
  const holds = clusterHolds(input);
  const readable =
    input.sourceHold === undefined &&
    !holds.some((hold) => hold.reason === 'ConfigInvalid') &&
    input.commit !== undefined;

  // What is wanted: slots and requests become runs, each exactly once.
  const agreed = readable ? acceptCommit(ledger, input) : undefined;
  if (agreed?.hold) holds.push(agreed.hold);
  else if (agreed) ledger = acceptCommit(registerTriggers(ledger, { ...input, ledger }), input).ledger;
  const agreedTo = readable && !agreed?.hold;
  if (agreedTo) ledger = named(ledger, input);
  // A rollout that takes the cluster along has its run; whether its wave's turn has come is asked when runs are chosen.
  if (agreedTo) ledger = registerRollouts(ledger, input);
  // Nodes whose updates have waited too long open a run by themselves, if the policy says so.
  if (agreedTo) ledger = registerSla(ledger, input);
  // Nodes that have just joined with the taint get a run of their own, or are let go with a reason.
  if (agreedTo) ledger = registerBoots(ledger, input, holds);
  // Runs that need an approval have it, wait for it, or lose it again.
  if (agreedTo) ledger = judgeRuns(ledger, input);
  // What has waited too long ends, with the reason that it waited for.
  ledger = endRuns(ledger, input);
  // At most one run that disturbs is under way; the others wait for it.
  ledger = chooseRun(ledger, input, holds);
  // Nodes that have just joined go on beside it: nothing runs on them yet.
  const booted = moveBootRuns(ledger, input, readable ? undefined : holds[0]);
  ledger = booted.ledger;
  // Nodes that a request takes out by hand are held out beside it, and counted.
  const kept = moveMaintenance(ledger, input, holds, readable);
  ledger = kept.ledger;
  // Nodes under way go on; free seats go to the next ones.
  const moved = moveRun(ledger, input, holds);
  ledger = moved.ledger;
  // What downloads saw is remembered for the whole cluster; then nodes at rest are looked at in their turn.
  ledger = noteDownloads(ledger, input);
  const scans = moveScans(ledger, input, agreedTo);
  ledger = scans.ledger;
  // Cordons of ours without an owner are taken away; what a person undid is accepted.
  const swept = sweep(ledger, input);
  ledger = forgetRuns(swept.ledger, input);
  // The taint goes when its node is patched, or will not be.
  const released = releaseTaints(ledger, input);
  // What is written on nodes follows the ledger.
  const marks = markActions(ledger, input.observed.nodes);
  const actions: Action[] = [
    ...booted.actions,
    ...kept.actions,
    ...moved.actions,
    ...scans.actions,
    ...swept.actions,
    ...released,
    ...marks,
    ...booted.events,
    ...kept.events,
    ...moved.events,
  ];
  const waiting = new Map([...moved.holds, ...kept.holds, ...booted.holds]);

  const heir = handOverTo(ledger, input);
  const same = given.ledger !== undefined && ledger === given.ledger;
  // A stop is said even while nothing is due: nobody should find out at the next slot.
  const standing = standingHolds(input).filter((hold) => hold.reason !== moved.runHold?.reason);
  const told = tellNodes(ledger, input, [...holds, ...standing], waiting);
  const upcoming = upcomingRuns(input);
  const times = [...holds, ...waiting.values()]
    .map((hold) => hold.until)
    .concat(wantedApprovals(ledger, input).length > 0 ? input.now + reviewsMs : undefined)
    .concat(etcdAgain(waiting.values(), input.now))
    .concat(
      moved.until,
      booted.until,
      kept.until,
      scans.until,
      upcoming.wake,
      queueHold(ledger, input, holds)?.until,
      nextOverdue(ledger, input),
      nextDue(ledger, input),
      nextTurn(ledger, input),
    );
  return {
    ledger: same && given.ledger ? given.ledger : ledger,
    actions,
    holds: [...holds, ...standing, ...(moved.runHold ? [moved.runHold] : [])],
    nodes: told,
    upcoming: upcoming.slots,
    approval: approvalInWords(ledger, input),
    ...(heir ? { handOver: heir } : {}),
    wakeAt: Math.max(
      input.now + 1,
      Math.min(
        input.now + longestSleepMs,
        ...times.filter((at): at is number => at !== undefined && at > input.now),
        ...(moved.again || booted.again || kept.again ? [input.now + 1] : []),
      ),
    ),
  };
}

/** What the next pass needs to read beside what is watched: pods of nodes that are being emptied, or are about to be; etcd. */
export function interestOf(ledger: LedgerDocument | undefined): ObserveInterest {
  const podsOn: string[] = [];
  for (const run of Object.values(ledger?.runs ?? {})) {
    if (run.state !== 'Running' && run.state !== 'Paused') continue;
    for (const record of Object.values(run.nodes))
      if (record.phase === 'Cordoning' || record.phase === 'Draining') podsOn.push(record.node);
  }
  const hooks = wantedHooks(ledger);
  const starts = Object.values(ledger?.runs ?? {}).some(
    (run) =>
      !runEnded(run.state) &&
      Object.values(run.nodes).some(({ phase }) => phase === 'Pending' || phase === 'Cordoning'),
  );
  return {
    podsOn: podsOn.sort(),
    budgets: podsOn.length > 0,
    etcd: needsEtcd(ledger),
    upgrades: starts,
    ...drainInterest(ledger),
    ...(hooks.length > 0 ? { hooks } : {}),
  };
}

/** A cluster with marks of ours and no ledger, or with the ledger of another cluster: nothing is replayed. */
function ledgerLost(input: PlanInput): Hold | undefined {
  const { ledger, observed } = input;
  if (ledger) {
    if (ledger.clusterUid === observed.clusterUid) return undefined;
    return {
      reason: 'LedgerLost',
      message: `the ledger belongs to another cluster (${ledger.clusterUid}); this one is ${observed.clusterUid}`,
      until: undefined,
    };
  }
  const marked = observed.nodes.filter(isMarked).map((node) => node.name);
  if (marked.length === 0) return undefined;
  return {
    reason: 'LedgerLost',
    message: `${marked.length} nodes carry marks of Oakum (${marked.slice(0, 3).join(', ')}) and there is no ledger`,
    until: undefined,
  };
}

const marksOfOurs = ['run', 'phase', 'progress', 'cordoned-by', 'last-patched'].map((name) => `${domain}/${name}`);

/** Whether Oakum was at work on this node at any time, as far as its labels and annotations tell. */
export function isMarked({
  labels,
  annotations,
}: {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}): boolean {
  return marksOfOurs.some((name) => Object.hasOwn(labels, name) || Object.hasOwn(annotations, name));
}

/** A ledger for a cluster that has none. */
export function emptyLedger(input: {
  readonly observed: Pick<Observed, 'clusterUid'>;
  readonly now: number;
}): LedgerDocument {
  return {
    version: 1,
    clusterUid: input.observed.clusterUid,
    startedAt: input.now,
    renewed: false,
    accepted: undefined,
    slot: undefined,
    requests: {},
    runs: {},
    history: {},
  };
}

/** Nothing is decided and nothing is written; every node says why. */
function idle(input: PlanInput, ledger: LedgerDocument, holds: Hold[]): Plan {
  return {
    ledger: input.ledger ?? ledger,
    actions: [],
    holds,
    nodes: tellNodes(ledger, input, holds, new Map()),
    upcoming: [],
    approval: approvalInWords(ledger, input),
    wakeAt: input.now + longestSleepMs,
  };
}

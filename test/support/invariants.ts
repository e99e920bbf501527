// What must be true after every pass, whatever the policy and the world: broken once, the test fails with a sentence.
import { type NodeRecord, runEnded, type RunRecord } from '../../reconciler/model/ledger.ts';
import { gateKey } from '../../reconciler/model/gate.ts';
import { cordonAnnotation } from '../../reconciler/model/names.ts';
import { isUnderWay } from '../../reconciler/model/node-phase.ts';
import type { NodeView } from '../../reconciler/model/observed.ts';
import type { NodeVerdict, Plan } from '../../reconciler/model/plan.ts';
import { isReason } from '../../reconciler/model/reason.ts';
import { matches } from '../../reconciler/model/selector.ts';
import { freezeAt, windowAt } from '../../reconciler/model/window.ts';
import { seatLimit } from '../../reconciler/plan/budget.ts';
import { etcdHold } from '../../reconciler/plan/etcd.ts';
import { foreignMaintenance } from '../../reconciler/plan/foreign.ts';
import type { PlanInput } from '../../reconciler/plan/input.ts';
import { bootingNodes, heldNodes, isBeside, isBootRun, isMaintenance } from '../../reconciler/plan/records.ts';
import { exclusion, selectedNodes } from '../../reconciler/plan/select.ts';
import { checkBoots } from './boot-invariants.ts';
import { checkUpdates } from './update-invariants.ts';

/** Throws when a pass broke a promise. */
export function checkInvariants(input: PlanInput, plan: Plan): void {
  const { observed, now } = input;
  const broken: string[] = [];
  const must = (holds: boolean, sentence: string): void => void (holds || broken.push(sentence));
  const open = Object.values(plan.ledger.runs).filter((run) => !runEnded(run.state));
  const begun = open.filter((run) => run.startedAt !== undefined);
  const disturbing = begun.filter((run) => !isBeside(run));
  must(disturbing.length <= 1, `at most one run is under way, found ${disturbing.map((run) => run.id).join(', ')}`);
  checkBoots(input, plan, must);
  checkUpdates(input, plan, must);

  const before = new Map(
    Object.values(input.ledger?.runs ?? {}).flatMap((run) =>
      Object.values(run.nodes).map((record) => [`${run.id}/${record.node}/${record.uid}`, record] as const),
    ),
  );
  checkMaintenance(plan, observed.nodes, now, must);
  checkHooks(plan, before, must);
  for (const run of disturbing) {
    const records = Object.values(run.nodes);
    const working = records.filter((record) => isUnderWay(record.phase));
    const limit = seatLimit(
      run.spec.policy.rollout.concurrency,
      Math.max(1, selectedNodes(run, observed.nodes).length),
    );
    const started = working.filter(
      (record) => !isUnderWay(before.get(`${run.id}/${record.node}/${record.uid}`)?.phase ?? 'Pending'),
    );
    if (started.length > 0) {
      mayStart(input, plan, run, started, must);
      must(working.length <= limit, `${working.length} nodes are under way and the budget is ${limit}`);
      for (const policy of [run.spec.policy, input.desired?.policy]) {
        if (!policy) continue;
        must(
          policy.windows.length === 0 || windowAt(policy.windows, now) !== undefined,
          `a node started outside the windows at ${new Date(now).toISOString()}`,
        );
      }
      must(
        input.desired?.frozen === undefined && observed.freeze === undefined,
        'a node started while FREEZE was there',
      );
      must(
        !input.desired?.policy || freezeAt(input.desired.policy.freezes, now) === undefined,
        'a node started in a freeze',
      );
      must(
        input.sourceHold === undefined && (input.desired?.problems.length ?? 0) === 0,
        'a node started while the configuration was not known to be good',
      );
      must(run.state === 'Running', `a node started in a run that is ${run.state}`);
      const { topologyKey } = run.spec.policy.rollout;
      must(
        topologyKey === undefined || new Set(working.map((record) => record.zone)).size <= 1,
        'nodes of two zones are under way',
      );
    }
    const controlPlane = working.filter((record) => record.controlPlane);
    must(controlPlane.length === 0 || working.length === 1, 'a control-plane node is not alone');
  }

  checkJobs(input, plan, must);
  for (const action of plan.actions) {
    if (action.kind === 'createJob' && action.manifest.metadata.labels['oakum.dev/step'] === 'reboot') {
      const { frozen } = input.desired ?? {};
      must(
        frozen === undefined ||
          begun.some(
            (run) =>
              before.get(`${run.id}/${action.node}/${action.manifest.metadata.labels['oakum.dev/node-uid']}`)?.phase ===
              'Rebooting',
          ),
        `a reboot of ${action.node} was asked for in a freeze`,
      );
    }
    if (action.kind === 'createJob') {
      const record = begun.map((run) => run.nodes[action.node]).find((one) => one && isUnderWay(one.phase));
      const step = action.manifest.metadata.labels['oakum.dev/step'];
      if (step === 'patch')
        must(
          (record?.download?.pending ?? 0) > 0 || (record?.download?.warnings.length ?? 0) > 0,
          `${action.node} is patched although nothing is pending and nothing is half configured`,
        );
      if (step === 'reboot')
        must(
          begun.some((run) => run.action === 'reboot' || run.spec.policy.reboot.when !== 'never'),
          `${action.node} is rebooted although the policy says never`,
        );
    }
    if (action.kind === 'cordon') {
      const node = observed.nodes.find((one) => one.name === action.node);
      must(
        node === undefined || !node.unschedulable || node.annotations[cordonAnnotation] !== undefined,
        `${action.node} was cordoned by somebody else and would be made ours`,
      );
    }
    if (action.kind === 'uncordon') {
      const node = observed.nodes.find((one) => one.name === action.node);
      must(
        node?.annotations[cordonAnnotation] !== undefined,
        `the cordon of ${action.node} is not ours and would be lifted`,
      );
    }
    // A node that broke off before its cordon gets it when its way has ended.
    const late = action.kind === 'cordon' && plan.ledger.history[action.node]?.quarantine?.toCordon === true;
    if ((action.kind === 'cordon' && !late) || action.kind === 'evict') {
      must(
        begun.some((run) => isUnderWay(run.nodes[action.node]?.phase ?? 'Pending')),
        `${action.kind} on ${action.node}, which is not under way`,
      );
    }
  }

  for (const node of observed.nodes) {
    if (node.annotations[cordonAnnotation] === undefined) continue;
    const live = begun.some(
      (run) => run.nodes[node.name]?.uid === node.uid && isUnderWay(run.nodes[node.name]?.phase ?? 'Pending'),
    );
    const kept = plan.ledger.history[node.name]?.quarantine !== undefined;
    const leaving = plan.actions.some((action) => action.kind === 'uncordon' && action.node === node.name);
    must(
      live || kept || leaving || plan.holds[0]?.reason === 'LedgerLost',
      `the cordon of ${node.name} is ours and has neither a live step nor a quarantine`,
    );
  }

  for (const [name, history] of Object.entries(plan.ledger.history)) {
    const earlier = input.ledger?.history[name];
    if (history.reboots.length === 0 || history.reboots === earlier?.reboots) continue;
    if (history.reboots.at(-1) === earlier?.reboots.at(-1)) continue;
    const most = Math.max(...begun.map((run) => run.spec.policy.reboot.maxPerDay));
    const lately = history.reboots.filter((at) => at > now - 86_400_000).length;
    must(lately <= most, `${name} is rebooted ${lately} times in 24 hours, ${most} are allowed`);
  }

  const names = new Set(plan.nodes.map((verdict) => verdict.node));
  must(
    plan.nodes.length === observed.nodes.length && observed.nodes.every((node) => names.has(node.name)),
    `${observed.nodes.length} nodes and ${plan.nodes.length} verdicts`,
  );
  for (const verdict of plan.nodes) tellsEnough(input, verdict, must);
  must(plan.wakeAt > now, 'the next look is not in the future');

  if (broken.length > 0) throw new Error(`broken at ${new Date(now).toISOString()}:\n  ${broken.join('\n  ')}`);
}

/** One Job at a time on each node and step: none is made while another one waits or runs there. */
function checkJobs({ observed }: PlanInput, plan: Plan, must: Must): void {
  const open = observed.jobs.filter((job) => job.state === 'waiting' || job.state === 'running');
  const busy = new Map<string, string>(open.map((job) => [`${job.nodeUid}/${job.step}`, job.name]));
  for (const action of plan.actions) {
    if (action.kind !== 'createJob') continue;
    const { name, labels } = action.manifest.metadata;
    const place = `${labels['oakum.dev/node-uid'] ?? ''}/${labels['oakum.dev/step'] ?? ''}`;
    const other = busy.get(place);
    must(other === undefined || other === name, `Job ${name} is made on ${action.node} while ${other} is there`);
    busy.set(place, name);
  }
}

/** A node is taken out by hand only within the budget, and comes back in time. */
function checkMaintenance(plan: Plan, nodes: readonly NodeView[], now: number, must: Must): void {
  const held = heldNodes(plan.ledger.runs);
  for (const run of Object.values(plan.ledger.runs)) {
    if (!isMaintenance(run) || runEnded(run.state)) continue;
    for (const record of Object.values(run.nodes)) {
      must(
        record.phase !== 'Held' || now < run.validUntil,
        `${record.node} is held out past ${new Date(run.validUntil).toISOString()}`,
      );
      if (!isUnderWay(record.phase) || record.startedAt !== now) continue;
      const working = Object.values(plan.ledger.runs)
        .filter((one) => !runEnded(one.state) && !isBootRun(one))
        .flatMap((one) => Object.values(one.nodes).filter((other) => isUnderWay(other.phase)));
      const chosen = nodes.filter((node) => exclusion(node, run.spec.policy.nodes) === undefined);
      const limit = seatLimit(run.spec.policy.rollout.concurrency, chosen.length);
      must(
        working.length <= limit,
        `${record.node} is taken out, ${working.length} nodes are under way, the budget is ${limit}`,
      );
    }
  }
  const controlPlanes = [...held.values()].filter((record) => record.controlPlane).length;
  must(controlPlanes <= 1, `${controlPlanes} control-plane nodes are held out`);
}

/** Before hooks have all ended well when a node is disturbed, after hooks when it is called patched; none runs at another time. */
function checkHooks(plan: Plan, before: ReadonlyMap<string, NodeRecord>, must: Must): void {
  for (const run of Object.values(plan.ledger.runs)) {
    if (isBeside(run)) continue;
    const { hooks } = run.spec.policy;
    for (const record of Object.values(run.nodes)) {
      const earlier = before.get(`${run.id}/${record.node}/${record.uid}`);
      const done = (time: 'before' | 'after'): boolean =>
        hooks[time].every((name) => record.hooksDone?.includes(`${time}/${name}`));
      const disturbed = ['Cordoning', 'Draining', 'Patching'].includes(record.phase) && record.phase !== earlier?.phase;
      must(!disturbed || done('before'), `${record.node} is ${record.phase} and its hooks before have not ended well`);
      const patched = record.phase === 'Patched' && earlier !== undefined && earlier.phase !== 'Patched';
      must(!patched || done('after'), `${record.node} is Patched and its hooks after have not ended well`);
    }
  }
  for (const action of plan.actions) {
    if (action.kind !== 'createHookJob') continue;
    const time = action.env['OAKUM_PHASE'] ?? '';
    const phase = time === 'before' ? 'BeforeHooks' : 'AfterHooks';
    const due = Object.values(plan.ledger.runs).some(
      (run) => run.id === action.env['OAKUM_RUN'] && run.nodes[action.node]?.phase === phase,
    );
    must(due, `hook ${action.hook} is called for ${action.node}, which is not ${phase}`);
  }
}

type Must = (holds: boolean, sentence: string) => void;

/** What must be true when nodes of a run start: seats, failure budget, canary, rest, ceilings, order. */
function mayStart(input: PlanInput, plan: Plan, run: RunRecord, started: readonly NodeRecord[], must: Must): void {
  const { observed, now } = input;
  const { rollout } = run.spec.policy;
  const records = Object.values(run.nodes);
  const selected = selectedNodes(run, observed.nodes);
  const working = new Set(records.filter((record) => isUnderWay(record.phase)).map((record) => record.node));
  const booting = bootingNodes(plan.ledger.runs);
  const out = selected.filter(
    (node) =>
      !working.has(node.name) &&
      !booting.has(node.uid) &&
      (!node.ready || plan.ledger.history[node.name]?.quarantine !== undefined),
  );
  const limit = seatLimit(rollout.concurrency, selected.length);
  must(
    working.size + out.length <= limit,
    `${working.size} nodes are under way, ${out.length} are out, the budget is ${limit}`,
  );
  const failed = records.filter((record) => record.phase === 'Failed' || record.phase === 'Quarantined').length;
  must(failed - run.forgiven < rollout.maxFailures, `a node started after ${failed} failures`);
  must(run.forgiven <= failed, `${run.forgiven} failures are forgiven and there are ${failed}`);
  must(!input.desired?.policy?.suspend && !input.desired?.settings.suspend, 'a node started although suspended');
  for (const gate of [...run.spec.policy.gates, ...(input.desired?.policy?.gates ?? [])])
    must(
      gate.kind === 'quiet' || observed.gates?.get(gateKey(gate))?.open === true,
      `a node started while gate ${gateKey(gate)} was not open`,
    );
  const patched = records.filter((record) => record.phase === 'Patched');
  if (rollout.canary && patched.length < rollout.canary.nodes)
    must(working.size + patched.length <= rollout.canary.nodes, `${working.size} nodes go where the canary goes alone`);
  const restMs = rollout.soakMs;
  const disturbed = records.filter((record) => record.endedAt !== undefined && record.phase !== 'Skipped');
  for (const record of disturbed)
    must(
      now >= (record.endedAt ?? 0) + restMs,
      `a node started ${now - (record.endedAt ?? 0)} ms after ${record.node}`,
    );
  const hourAgo = now - 3_600_000;
  const recently = Object.values(plan.ledger.runs)
    .filter((one) => !isBootRun(one))
    .flatMap((one) =>
      Object.values(one.nodes).filter((record) => record.startedAt !== undefined && record.startedAt > hourAgo),
    );
  const { nodesPerHour } = input.settings.ceilings;
  must(
    nodesPerHour === undefined || recently.length <= nodesPerHour,
    `${recently.length} nodes were started within an hour, the deployment allows ${nodesPerHour}`,
  );
  const waiting = records.filter((record) => {
    const node = observed.nodes.find((one) => one.uid === record.uid);
    return record.phase === 'Pending' && !(node && isPaused(input, node));
  });
  if (rollout.controlPlane === 'last' && started.some((record) => record.controlPlane))
    must(!waiting.some((record) => !record.controlPlane), 'a control-plane node started before the workers were done');
  for (const record of started) {
    const node = observed.nodes.find((one) => one.uid === record.uid);
    must(node?.ready === true, `${record.node} started although it is not Ready`);
    must(
      !node || !etcdHold(node, observed.nodes, observed),
      `${record.node} started although etcd is not known to be healthy`,
    );
    must(!node || !isPaused(input, node), `${record.node} started although a request pauses it`);
    must(!node || !foreignMaintenance(node), `${record.node} started although another tool is at work on it`);
    must(node !== undefined && selected.includes(node), `${record.node} started although it is not selected`);
  }
}

/** A file in the repository says now that nothing may start on this node. */
function isPaused({ desired, now }: PlanInput, node: NodeView): boolean {
  return (desired?.requests ?? []).some(
    ({ action, notBefore = now, until = Infinity, nodes, selector }) =>
      action === 'pause' &&
      notBefore <= now &&
      until > now &&
      (nodes.length === 0 || nodes.includes(node.name)) &&
      (!selector || matches(selector, node.labels)),
  );
}

const waitsForTime = ['OutsideWindow', 'WindowTooShort', 'RetryLater'];

/** A verdict has one word of the closed list, a sentence, what comes next, and a time when it waits for one. */
function tellsEnough(input: PlanInput, verdict: NodeVerdict, must: Must): void {
  const { now } = input;
  const about = `node ${verdict.node} (${verdict.phase} ${verdict.reason}: ${verdict.message})`;
  must(isReason(verdict.reason), `${about}: the reason is not of the list`);
  must(verdict.message !== '', `${about}: no sentence`);
  must(verdict.next !== '', `${about}: does not say what comes next`);
  const resting = verdict.phase === 'Pending' || verdict.phase === 'Idle';
  must(!resting || verdict.at === undefined || verdict.at > now, `${about}: the time of the next step is past`);
  const dated = resting && waitsForTime.includes(verdict.reason) && !verdict.message.includes('no opening is in sight');
  must(!dated || verdict.at !== undefined, `${about}: waits for a time and does not say which`);
  const scheduled = input.desired?.policy?.schedule !== undefined && verdict.phase === 'Idle';
  must(!scheduled || verdict.reason !== 'NotYet' || verdict.at !== undefined, `${about}: the next run has no time`);
}

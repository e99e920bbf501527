// Tightenings and loosenings at random, against a plain account of what rules allow: whatever is newly allowed is never called tighter.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { AcceptedRules } from '../../reconciler/model/accepted-rules.ts';
import { acceptedRules } from '../../reconciler/model/accepted-rules.ts';
import { WEEKDAYS } from '../../reconciler/model/wall-clock.ts';
import type { Freeze, Window } from '../../reconciler/model/window.ts';
import { loosens } from '../../reconciler/plan/loosening.ts';
import type { RolloutRules, WaveDemand } from '../../reconciler/model/rollout-rules.ts';
import { aCluster, aFleet, aPolicy } from '../support/policies.ts';

const hour = 3_600_000;
const day = 24 * hour;
const people = ['alice', 'bob', 'carol'];

/** Half-hours are hit by starts and ends; the year's end is in it. */
const instants = Array.from(
  { length: 21 * 8 },
  (_, index) => Date.UTC(2026, 11, 20) + index * 3 * hour + (index % 3) * hour,
);

function isOpen(windows: readonly Window[], at: number): boolean {
  if (windows.length === 0) return true;
  return windows.some((window) => {
    if ('cron' in window) throw new Error('not generated');
    const [hours = 0, minutes = 0] = window.start.split(':').map(Number);
    // It belongs to the day on which it opens: today's and yesterday's may hold the instant.
    return [0, 1].some((ago) => {
      const midnight = Math.floor(at / day) * day - ago * day;
      const opens = midnight + hours * hour + minutes * 60_000;
      const weekday = WEEKDAYS[(new Date(midnight).getUTCDay() + 6) % 7];
      const named = window.days === undefined || window.days.some((name) => name === weekday);
      return named && opens <= at && at < opens + window.durationMs;
    });
  });
}

function isFrozen(freezes: readonly Freeze[], at: number): boolean {
  return freezes.some((freeze) => {
    if (freeze.kind === 'cron') throw new Error('not generated');
    if (freeze.kind === 'once') return freeze.from <= at && at < freeze.until;
    const today = new Date(at).toISOString().slice(5, 10);
    return freeze.from <= freeze.to
      ? freeze.from <= today && today <= freeze.to
      : freeze.from <= today || today <= freeze.to;
  });
}

const subsets = (all: readonly string[]): string[][] =>
  all.reduce<string[][]>((found, one) => [...found, ...found.map((some) => [...some, one])], [[]]);

/** How the other clusters stand: still at it, or ended so many seconds ago. The cluster that the rules are of is called m. */
interface Others {
  readonly [name: string]: { readonly ended?: number; readonly failed?: boolean };
}
const stands: readonly Others[string][] = [{}, { ended: 1 }, { ended: 100 }, { ended: 100, failed: true }];
const others: readonly Others[] = stands.flatMap((a) =>
  stands.flatMap((b) => stands.map((z): Others => ({ a, b, z }))),
);

/** Whether one rollout lets the cluster begin its run, as the words of docs/rollouts.md have it. */
function letsBegin(rollout: RolloutRules | undefined, run: string, fleet: Others, old: boolean): boolean {
  if (!rollout) return true;
  const { suspended, before, beside, maxFailures, concurrency, approval, approved, unclear, skip } = rollout;
  const counts = (name: string): boolean => !skip.includes(`${run} ${name}`);
  const failures = (names: readonly string[]): number => names.filter((name) => fleet[name]?.failed).length;
  if (suspended || (approval && !approved.includes(run))) return false;
  // In the end its file is made good, and then it is waited for as one of whatever wave: that is what was demanded all along.
  if (!old && unclear.length > 0) return false;
  if (unclear.filter(counts).some((name) => fleet[name]?.ended === undefined)) return false;
  for (const wave of before) {
    const names = wave.clusters.filter(counts);
    if (failures(names) >= wave.maxFailures) return false;
    if (names.some((name) => (fleet[name]?.ended ?? -1) * 1_000 < wave.soakMs)) return false;
  }
  const own = beside.filter(counts);
  if (failures(own) >= maxFailures) return false;
  const first = own.filter((name) => name < 'm' && fleet[name]?.ended === undefined);
  return first.length < (concurrency ?? Infinity);
}

function addRollouts(rules: AcceptedRules, old: boolean, add: (ok: boolean, probe: string) => void): void {
  const rollouts = rules.rollouts ?? {};
  add(!Object.values(rollouts).some(({ scheduled }) => scheduled), 'a start by its own schedule');
  for (const name of ['monthly', 'urgent'])
    for (const run of ['r1', 'r2'])
      for (const fleet of others)
        add(letsBegin(rollouts[name], run, fleet, old), `${run} of ${name} while ${JSON.stringify(fleet)}`);
}

/** Everything that the rules let happen, as far as it is probed. `old`: they are those that others are compared with. */
function allowed(rules: AcceptedRules, old: boolean): Set<string> {
  const found = new Set<string>();
  const add = (ok: boolean, probe: string): void => void (ok && found.add(probe));
  addRollouts(rules, old, add);
  const stopped = rules.frozen || rules.suspended;
  for (const at of instants)
    add(
      !stopped && isOpen(rules.windows, at) && !isFrozen(rules.freezes, at),
      `a start at ${new Date(at).toISOString()}`,
    );
  for (const name of ['linux-image-6', 'linux-libc', 'nvidia', 'openssl'])
    add(
      !rules.hold.some((glob) => (glob.endsWith('*') ? name.startsWith(glob.slice(0, -1)) : name === glob)),
      `an update of ${name}`,
    );
  add(!rules.holdRuntime, 'an update of the runtime');
  const { mode, minApprovals, approvers, codeOwners, unknownAuthors } = rules.approval;
  const may = (name: string): boolean => approvers.includes(`@${name}`);
  add(mode === 'none', 'a run of a commit that is only wished');
  for (const agree of subsets(people))
    for (const object of subsets(people.filter((name) => !agree.includes(name)))) {
      const quorum = agree.filter(may).length >= minApprovals && !object.some(may);
      const probe = `a run that ${agree.join(' ')} agree to and ${object.join(' ')} object to`;
      add(mode !== 'review' || quorum, probe);
      add(mode !== 'review' || (quorum && codeOwners !== true), `${probe}, without the owners`);
      const another = unknownAuthors === 'ignore' || agree.filter(may).length > minApprovals;
      add(
        mode !== 'review' || (quorum && another && unknownAuthors !== 'hold'),
        `${probe}, written by nobody knows whom`,
      );
    }
  for (const total of [1, 2, 3, 7, 10, 60]) {
    const { kind, value } = rules.concurrency;
    const seats = Math.max(1, kind === 'count' ? value : Math.floor((total * value) / 100));
    for (let out = 1; out <= Math.min(seats, total); out++) add(true, `${out} of ${total} out`);
    for (const soaked of [0, 30_000, 60_000, 120_000]) {
      const first = rules.canary !== undefined && soaked < rules.canary.soakMs ? rules.canary.nodes : total;
      for (let begun = 1; begun <= Math.min(first, total); begun++)
        add(true, `${begun} of ${total} begun at ${soaked}`);
    }
  }
  add(rules.topologyKey !== 'zone', 'two zones out');
  add(rules.topologyKey !== 'rack', 'two racks out');
  for (let count = 0; count <= 5; count++) {
    add(count < rules.maxFailures, `going on after ${count} failures`);
    add(count < rules.maxRebootsPerDay, `a reboot after ${count}`);
  }
  add(!rules.gates.some((gate) => gate.kind === 'http' && gate.url.endsWith('a')), 'a start while gate a is closed');
  add(!rules.gates.some((gate) => gate.kind === 'http' && gate.url.endsWith('b')), 'a start while gate b is closed');
  for (const since of [0, 5, 50])
    add(
      !rules.gates.some((gate) => gate.kind === 'quiet' && since < gate.forMs),
      `a start ${since} ms after a failure`,
    );
  add(rules.allowSingleControlPlane, 'the only control plane down');
  add(rules.force, 'a bare pod deleted');
  add(rules.forceOnTimeout, 'a budget overridden');
  add(rules.deleteEmptyDirData, 'local data deleted');
  add(rules.uncordonHalfChanged, 'a half-changed node uncordoned');
  add(rules.boot !== '', `new nodes get ${rules.boot}`);
  for (const uid of ['here', 'elsewhere'])
    add(rules.uid === undefined || rules.uid === uid, `work in the cluster ${uid}`);
  for (const path of ['FREEZE', 'requests/pause.yaml'])
    for (const at of [1, 20])
      for (const node of ['n1', 'n2']) {
        const stop = rules.stops?.[path];
        const stopped = stop !== undefined && at < (stop.until ?? Infinity) && stop.what === node;
        add(!stopped, `a start of ${node} at ${at}, stopped by ${path}`);
      }
  for (const key of ['one', 'two']) add(Object.values(rules.signers ?? {}).includes(key), `a signature by ${key}`);
  return found;
}

const window: fc.Arbitrary<Window> = fc.record({
  days: fc.constantFrom(undefined, ['Sat' as const], ['Sat' as const, 'Sun' as const], ['Wed' as const]),
  start: fc.constantFrom('00:00', '22:00', '12:30'),
  durationMs: fc.constantFrom(2 * hour, 6 * hour, 20 * hour),
  timeZone: fc.constant('UTC'),
});
const freeze: fc.Arbitrary<Freeze> = fc.oneof(
  fc.record({
    kind: fc.constant('once' as const),
    from: fc.constantFrom(Date.UTC(2026, 11, 21), Date.UTC(2026, 11, 24)),
    until: fc.constantFrom(Date.UTC(2026, 11, 26), Date.UTC(2027, 0, 3)),
    reason: fc.constant(''),
  }),
  fc.record({
    kind: fc.constant('yearly' as const),
    from: fc.constantFrom('12-24', '12-30'),
    to: fc.constantFrom('12-26', '12-31', '01-02'),
    timeZone: fc.constant('UTC'),
    reason: fc.constant(''),
  }),
);
const gate: fc.Arbitrary<AcceptedRules['gates'][number]> = fc.oneof(
  fc.record({ kind: fc.constant('http' as const), url: fc.constantFrom('https://gate/a', 'https://gate/b') }),
  fc.record({ kind: fc.constant('quiet' as const), forMs: fc.constantFrom(1, 10, 100) }),
);

const names = fc.subarray(['a', 'b', 'z']);
const words = fc.subarray(['r1', 'r2']);
const wave = (name: string): fc.Arbitrary<WaveDemand> =>
  fc.record({
    name: fc.constant(name),
    clusters: names,
    soakMs: fc.constantFrom(0, 1_000, 50_000),
    maxFailures: fc.integer({ min: 1, max: 3 }),
  });
const rolloutFields: { readonly [Field in keyof Required<RolloutRules>]: fc.Arbitrary<RolloutRules[Field]> } = {
  file: fc.constant('rollouts/x.yaml'),
  files: fc.constant({}),
  suspended: fc.nat(5).map((one) => one === 0),
  scheduled: fc.boolean(),
  before: fc.oneof(
    fc.constant([]),
    fc.tuple(wave('dev')),
    fc.tuple(wave('staging')),
    fc.tuple(wave('dev'), wave('staging')),
  ),
  beside: names,
  maxFailures: fc.integer({ min: 1, max: 3 }),
  concurrency: fc.constantFrom(undefined, 1, 2),
  approval: fc.boolean(),
  unclear: fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: names }),
  approved: words,
  skip: fc.subarray(['r1 a', 'r1 b', 'r2 a', 'r2 z']),
};

/** No cluster stands twice, as where they come from files. */
function once(rollout: RolloutRules): RolloutRules {
  const taken = new Set<string>();
  const rest = (all: readonly string[]): string[] =>
    all.filter((name) => !taken.has(name) && taken.add(name).has(name));
  const before = rollout.before.map((one) => ({ ...one, clusters: rest(one.clusters) }));
  return { ...rollout, before, beside: rest(rollout.beside), unclear: before.length > 0 ? rest(rollout.unclear) : [] };
}
const rollout = fc.record(rolloutFields).map(written);
type Drawn = Omit<RolloutRules, 'concurrency'> & { readonly concurrency?: number | undefined };
function written({ concurrency, ...rest }: Drawn): RolloutRules {
  return once(concurrency === undefined ? rest : { ...rest, concurrency });
}

const base = acceptedRules(aCluster({ policy: aPolicy() }), aFleet);
type Complete = Required<AcceptedRules>;
const fields: { readonly [Field in keyof Complete]: fc.Arbitrary<Complete[Field]> } = {
  approval: fc.record({
    mode: fc.constantFrom('none', 'merge', 'review', 'review'),
    minApprovals: fc.integer({ min: 1, max: 3 }),
    approvers: fc.uniqueArray(fc.constantFrom(...people.map((name) => `@${name}`))),
    codeOwners: fc.boolean(),
    unknownAuthors: fc.constantFrom('ignore', 'oneMore', 'hold'),
    leadTimeMs: fc.constant(0),
  }),
  windows: fc.array(window, { maxLength: 3 }),
  freezes: fc.array(freeze, { maxLength: 2 }),
  frozen: fc.boolean(),
  suspended: fc.boolean(),
  gates: fc.array(gate, { maxLength: 2 }),
  hold: fc.uniqueArray(fc.constantFrom('linux-*', 'linux-image*', 'nvidia')),
  holdRuntime: fc.boolean(),
  concurrency: fc.oneof(
    fc.record({ kind: fc.constant('count' as const), value: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constant('percent' as const), value: fc.constantFrom(1, 10, 25, 100) }),
  ),
  topologyKey: fc.constantFrom('', 'zone', 'rack'),
  canary: fc.option(fc.record({ nodes: fc.integer({ min: 1, max: 3 }), soakMs: fc.constantFrom(0, 60_000, 90_000) }), {
    nil: undefined,
  }),
  maxFailures: fc.integer({ min: 1, max: 4 }),
  allowSingleControlPlane: fc.boolean(),
  force: fc.boolean(),
  forceOnTimeout: fc.boolean(),
  deleteEmptyDirData: fc.boolean(),
  maxRebootsPerDay: fc.integer({ min: 1, max: 4 }),
  uncordonHalfChanged: fc.boolean(),
  boot: fc.constantFrom('', 'this', 'that'),
  uid: fc.constantFrom('here', 'elsewhere'),
  rollouts: fc.dictionary(fc.constantFrom('monthly', 'urgent'), rollout),
  signers: fc.dictionary(fc.constantFrom('signers/a.asc', 'signers/b.asc'), fc.constantFrom('one', 'two')),
  stops: fc.dictionary(
    fc.constantFrom('FREEZE', 'requests/pause.yaml'),
    fc.oneof(
      fc.record({ what: fc.constantFrom('n1', 'n2') }),
      fc.record({ what: fc.constantFrom('n1', 'n2'), until: fc.constantFrom(10, 30) }),
    ),
  ),
};
const rules = fc.record(fields);
/** Most pairs differ in a few fields: else everything is looser in one of them. */
const pairs = fc
  .tuple(rules, rules, fc.subarray(Object.keys(fields), { minLength: 1, maxLength: 3 }))
  .map(([before, other, changed]) => {
    const wanted = Object.entries(other).filter(([name]) => changed.includes(name));
    return { before, after: { ...before, ...Object.fromEntries(wanted) } satisfies AcceptedRules };
  });

/** How often each happened: an account that never sees one of them is blind. */
interface Seen {
  tighter: number;
  looser: number;
  careful: number;
}

/** What is newly allowed must have been called looser. */
function agrees(said: readonly string[], fresh: readonly string[], seen: Seen): void {
  if (fresh.length > 0) {
    seen.looser++;
    expect(said, `newly allowed: ${fresh.slice(0, 3).join('; ')}`).not.toEqual([]);
  } else if (said.length === 0) seen.tighter++;
  else seen.careful++;
}

it('calls nothing tighter that allows something new', () => {
  const seen: Seen = { tighter: 0, looser: 0, careful: 0 };
  fc.assert(
    fc.property(pairs, ({ before, after }) => {
      const had = allowed(before, true);
      const fresh = [...allowed(after, false)].filter((probe) => !had.has(probe));
      agrees(loosens(before, after), fresh, seen);
    }),
    { numRuns: 3_000 },
  );
  // The account must not be blind, nor every change be called looser.
  expect(seen.looser).toBeGreaterThan(300);
  expect(seen.tighter).toBeGreaterThan(300);
});

/** One rollout of which a few fields are others, or that is gone. */
const rolloutPairs = fc
  .tuple(rollout, rollout, fc.subarray(Object.keys(rolloutFields), { maxLength: 3 }), fc.nat(20))
  .map(([before, other, changed, gone]) => {
    const wanted = Object.entries(other).filter(([name]) => changed.includes(name));
    const after = written({ ...before, ...Object.fromEntries(wanted) });
    return { before: { monthly: before }, after: gone === 0 ? {} : { monthly: after } };
  });

it('calls no rollout tighter that lets a cluster begin where it would have waited', () => {
  const seen: Seen = { tighter: 0, looser: 0, careful: 0 };
  if (!base) throw new Error('the policy is valid');
  fc.assert(
    fc.property(rolloutPairs, (pair) => {
      const [before, after] = [pair.before, pair.after].map((rollouts) => ({ ...base, rollouts }));
      if (!before || !after) return;
      const had = new Set<string>();
      addRollouts(before, true, (ok, probe) => void (ok && had.add(probe)));
      const fresh: string[] = [];
      addRollouts(after, false, (ok, probe) => void (ok && !had.has(probe) && fresh.push(probe)));
      agrees(loosens(before, after), fresh, seen);
    }),
    { numRuns: 5_000 },
  );
  expect(seen.looser).toBeGreaterThan(500);
  expect(seen.tighter).toBeGreaterThan(500);
});

it('knows every rule that there is', () => {
  expect(Object.keys(fields).toSorted()).toEqual(expect.arrayContaining(Object.keys(base ?? {}).toSorted()));
});

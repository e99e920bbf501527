// A written policy → the policy as it is meant: defaults filled, and what a schema cannot say about its fields.
import { DAY, HOUR, MINUTE } from '../model/duration.ts';
import type { DrainRules, Gate, NodeChoice, Policy, Quantity, RebootRules, Rollout, Updates } from '../model/policy.ts';
import { everything, parseSelector } from '../model/selector.ts';
import type { Selector } from '../model/selector.ts';
import { nextAllowed } from '../model/window.ts';
import type { Freeze, Window } from '../model/window.ts';
import { readDuration, readFreeze, readSchedule, readWindow, readZone } from './times.ts';
import type { Say } from './times.ts';
import type { FieldPath } from './yaml.ts';
import type { WrittenGate, WrittenPolicySpec } from './written.ts';

/** For whom a policy is read. */
export interface Reading {
  readonly name: string;
  /** Makes `H` in cron expressions differ between clusters. */
  readonly seed: string;
  /** A shared policy, or one whose base is broken: it need not be complete by itself. */
  readonly partial: boolean;
}

const second = 1000;
/** More often would be a burden on the package mirrors and tell nothing new. */
const leastScanMs = 10 * MINUTE;

/**
 * Reads a spec that the schema allows. Everything that is wrong goes to `say`; the policy is only to be used when nothing was said.
 */
export function readPolicy(spec: WrittenPolicySpec, reading: Reading, say: Say): Policy {
  const { seed } = reading;
  const zone = readZone(spec.schedule?.timeZone, 'UTC', [], () => undefined);
  const windows = (spec.windows ?? []).flatMap(
    (window, index) => readWindow(window, zone, seed, ['spec', 'windows', index], say) ?? [],
  );
  const freezes = (spec.freezes ?? []).flatMap(
    (freeze, index) => readFreeze(freeze, zone, seed, ['spec', 'freezes', index], say) ?? [],
  );
  const policy: Policy = {
    name: reading.name,
    suspend: spec.suspend ?? false,
    schedule: spec.schedule ? readSchedule(spec.schedule, reading, ['spec', 'schedule'], say) : undefined,
    onBoot: readOnBoot(spec.onBoot, say),
    windows,
    freezes,
    nodes: readNodes(spec.nodes, say),
    updates: readUpdates(spec.updates, say),
    reboot: readReboot(spec.reboot, say),
    drain: readDrain(spec.drain, say),
    rollout: readRollout(spec.rollout, say),
    scan: readScan(spec.scan, say),
    maxAge: readMaxAge(spec.maxAge, say),
    gates: (spec.gates ?? []).flatMap((gate, index) => readGate(gate, ['spec', 'gates', index], say) ?? []),
    approval: {
      mode: spec.approval?.mode ?? 'merge',
      minApprovals: spec.approval?.minApprovals ?? 1,
      approvers: spec.approval?.approvers ?? [],
      ...(spec.approval?.unknownAuthors === undefined ? {} : { unknownAuthors: spec.approval.unknownAuthors }),
      ...(spec.approval?.codeOwners === true ? { codeOwners: true } : {}),
      leadTimeMs: readDuration(spec.approval?.leadTime, 48 * HOUR, ['spec', 'approval', 'leadTime'], say, {
        most: 366 * DAY,
      }),
    },
    hooks: { before: spec.hooks?.before ?? [], after: spec.hooks?.after ?? [] },
    strategy: spec.strategy ?? 'InPlace',
    onFailure: spec.onFailure ?? 'quarantine',
  };
  if (!reading.partial && policy.approval.codeOwners === true && policy.approval.mode !== 'review') {
    say(
      ['spec', 'approval', 'codeOwners'],
      `codeOwners needs mode: review, and the mode is ${policy.approval.mode}: nobody would be asked`,
      'contradiction',
    );
  }
  if (policy.strategy === 'RebootOnly' && policy.reboot.when === 'never') {
    say(
      ['spec', 'strategy'],
      'strategy RebootOnly with reboot.when: never would do nothing; change one of them',
      'contradiction',
    );
  }
  if (policy.maxAge && policy.updates.minAgeMs >= policy.maxAge.afterMs) {
    say(
      ['spec', 'maxAge'],
      'updates.minAge is not shorter than maxAge, so every update would be too old before it may be installed; change one of them',
      'contradiction',
    );
  }
  if (!reading.partial) neverOpen(windows, freezes, say);
  return policy;
}

/** Freezes that come back every year or by cron can cover every opening of the windows; one that ends some day cannot. */
function neverOpen(windows: readonly Window[], freezes: readonly Freeze[], say: Say): void {
  if (windows.length === 0 && freezes.length === 0) return;
  const lasting = freezes.filter((freeze) => freeze.kind !== 'once');
  if (nextAllowed(windows, lasting, Date.UTC(2026, 0, 1)) !== undefined) return;
  say(
    ['spec', windows.length > 0 ? 'windows' : 'freezes'],
    lasting.length > 0
      ? 'no window ever opens outside the freezes, so nothing would ever be patched'
      : 'no window ever opens',
    'never-open',
  );
}

/** A label selector; undefined stays undefined, and one that cannot be read is said. */
export function readSelector(text: string | undefined, path: FieldPath, say: Say): Selector | undefined {
  if (text === undefined) return undefined;
  const result = parseSelector(text);
  if (result.ok) return result.selector;
  say(path, result.message, 'selector');
  return undefined;
}

function readOnBoot(written: WrittenPolicySpec['onBoot'], say: Say): Policy['onBoot'] {
  const options = typeof written === 'object' && written !== null ? written : { enabled: written ?? false };
  return {
    enabled: options.enabled ?? true,
    timeoutMs: readDuration(
      'timeout' in options ? options.timeout : undefined,
      20 * MINUTE,
      ['spec', 'onBoot', 'timeout'],
      say,
      { least: MINUTE, most: 7 * DAY },
    ),
    onFailure: ('onFailure' in options ? options.onFailure : undefined) ?? 'release',
  };
}

function readNodes(written: WrittenPolicySpec['nodes'], say: Say): NodeChoice {
  const exclude = readSelector(written?.exclude, ['spec', 'nodes', 'exclude'], say);
  if (exclude?.requirements.length === 0) {
    say(
      ['spec', 'nodes', 'exclude'],
      'an empty selector matches every node, so none would be left; remove it or write labels',
      'selector',
    );
  }
  return { selector: readSelector(written?.selector, ['spec', 'nodes', 'selector'], say) ?? everything, exclude };
}

function readUpdates(written: WrittenPolicySpec['updates'], say: Say): Updates {
  const include = written?.include ?? [];
  for (const list of ['exclude', 'hold'] as const) {
    for (const [index, name] of (written?.[list] ?? []).entries()) {
      if (include.includes(name))
        say(
          ['spec', 'updates', list, index],
          `"${name}" is in include and in ${list}; keep one of them`,
          'contradiction',
        );
    }
  }
  return {
    scope: written?.scope ?? 'security',
    hold: written?.hold ?? [],
    holdRuntime: written?.holdRuntime ?? true,
    include,
    exclude: written?.exclude ?? [],
    minAgeMs: readDuration(written?.minAge, 0, ['spec', 'updates', 'minAge'], say, { most: 366 * DAY }),
    lock: written?.lock ?? false,
    releasever: written?.releasever,
  };
}

function readReboot(written: WrittenPolicySpec['reboot'], say: Say): RebootRules {
  const path = ['spec', 'reboot'];
  return {
    when: written?.when ?? 'ifRequired',
    returnTimeoutMs: readDuration(written?.returnTimeout, 15 * MINUTE, [...path, 'returnTimeout'], say, {
      least: MINUTE,
      most: DAY,
    }),
    stableForMs: readDuration(written?.stableFor, 60 * second, [...path, 'stableFor'], say, { most: DAY }),
    maxPerDay: written?.maxPerDay ?? 2,
  };
}

function readDrain(written: WrittenPolicySpec['drain'], say: Say): DrainRules {
  const path = ['spec', 'drain'];
  return {
    when: written?.when ?? 'beforePatch',
    timeoutMs: readDuration(written?.timeout, 15 * MINUTE, [...path, 'timeout'], say, {
      least: 10 * second,
      most: 7 * DAY,
    }),
    onTimeout: written?.onTimeout ?? 'skip',
    gracePeriodMs:
      written?.gracePeriod === undefined
        ? undefined
        : readDuration(written.gracePeriod, 0, [...path, 'gracePeriod'], say, { most: DAY }),
    deleteEmptyDirData: written?.deleteEmptyDirData ?? false,
    force: written?.force ?? false,
    skipPods: readSelector(written?.skipPods, [...path, 'skipPods'], say),
  };
}

function readRollout(written: WrittenPolicySpec['rollout'], say: Say): Rollout {
  const path = ['spec', 'rollout'];
  const canary = written?.canary === undefined ? {} : written.canary;
  return {
    concurrency: readQuantity(written?.concurrency),
    topologyKey: written?.topologyKey,
    canary: canary
      ? {
          nodes: canary.nodes ?? 1,
          soakMs: readDuration(canary.soak, 30 * MINUTE, [...path, 'canary', 'soak'], say, { most: 30 * DAY }),
        }
      : undefined,
    soakMs: readDuration(written?.soak, 2 * MINUTE, [...path, 'soak'], say, { most: 30 * DAY }),
    maxFailures: written?.maxFailures ?? 1,
    controlPlane: written?.controlPlane ?? 'last',
    allowSingleControlPlane: written?.allowSingleControlPlane ?? false,
  };
}

function readQuantity(written: number | string | undefined): Quantity {
  return typeof written === 'string'
    ? { kind: 'percent', value: Number(written.replace('%', '')) }
    : { kind: 'count', value: written ?? 1 };
}

function readScan(written: WrittenPolicySpec['scan'], say: Say): Policy['scan'] {
  const path = ['spec', 'scan', 'every'];
  const everyMs = readDuration(written?.every, DAY, path, say, { most: 366 * DAY });
  if (everyMs > 0 && everyMs < leastScanMs)
    say(path, 'a scan reads the package repositories; at least 10m, or 0s for never', 'duration');
  return { everyMs };
}

function readMaxAge(written: WrittenPolicySpec['maxAge'], say: Say): Policy['maxAge'] {
  if (written === undefined || written === null) return undefined;
  const short = typeof written === 'string';
  const text = short ? written : written.after;
  const path = short ? ['spec', 'maxAge'] : ['spec', 'maxAge', 'after'];
  return {
    afterMs: readDuration(text, DAY, path, say, { least: HOUR }),
    openRun: short ? false : (written.openRun ?? false),
  };
}

function readGate(written: WrittenGate, path: FieldPath, say: Say): Gate | undefined {
  const { prometheus, http, podSelector, quiet, namespace } = written;
  const kinds = [prometheus, http, podSelector, quiet].filter((kind) => kind !== undefined).length;
  if (kinds !== 1) {
    say(
      path,
      'a gate is exactly one of prometheus, http, podSelector and quiet; write several gates as several entries',
      'gate',
    );
    return undefined;
  }
  if (namespace !== undefined && podSelector === undefined)
    say([...path, 'namespace'], 'namespace belongs to podSelector', 'gate');
  if (prometheus !== undefined) {
    checkUrl(prometheus.url, [...path, 'prometheus', 'url'], say);
    const { alerts } = prometheus;
    return {
      kind: 'prometheus',
      url: prometheus.url,
      alerts: alerts && { ignore: alerts.ignore ?? [], only: alerts.only ?? [] },
      query: prometheus.query,
    };
  }
  if (http !== undefined) {
    checkUrl(http.url, [...path, 'http', 'url'], say);
    return { kind: 'http', url: http.url };
  }
  if (quiet !== undefined)
    return {
      kind: 'quiet',
      forMs: readDuration(quiet.for, HOUR, [...path, 'quiet', 'for'], say, { least: MINUTE, most: 30 * DAY }),
    };
  const selector = readSelector(podSelector, [...path, 'podSelector'], say);
  return selector && { kind: 'pods', selector, namespace };
}

function checkUrl(text: string, path: FieldPath, say: Say): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    say(path, 'this is not an address; write http://host:port or https://host', 'url');
  } else if (url.username !== '' || url.password !== '') {
    say(path, 'the address holds a user name or password; secrets do not belong into Git', 'secret');
  }
}

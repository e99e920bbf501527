// The small objects: written fleet, cluster and request → what they mean, with defaults and rules.
import type { ClusterSettings, Fleet, ProposedRun, Request, RequestAction, Rewrite } from '../model/desired.ts';
import { DAY, HOUR } from '../model/duration.ts';
import { readSelector } from './policy.ts';
import { readDuration } from './times.ts';
import type { Say } from './times.ts';
import type { WrittenCluster, WrittenFleet, WrittenRequest, WrittenRewrite, WrittenRun } from './written.ts';

/** Settings of the repository when there is no `oakum.yaml`. */
export const defaultFleet: Fleet = {
  name: 'fleet',
  status: { retentionRuns: 50, intervalMs: 30_000 },
  publisher: undefined,
  suspend: false,
};

/** Settings of a cluster without `cluster.yaml`. */
export const defaultSettings: ClusterSettings = {
  labels: {},
  platform: 'self-managed',
  suspend: false,
  connection: undefined,
  uid: undefined,
};

/** Reads `oakum.yaml`. */
export function readFleet({ metadata, spec }: WrittenFleet, say: Say): Fleet {
  const { status } = defaultFleet;
  return {
    name: metadata.name,
    status: {
      retentionRuns: spec?.status?.retentionRuns ?? status.retentionRuns,
      intervalMs: readDuration(spec?.status?.interval, status.intervalMs, ['spec', 'status', 'interval'], say, {
        least: 5_000,
        most: DAY,
      }),
    },
    publisher: spec?.publisher,
    suspend: spec?.suspend ?? false,
  };
}

/** Reads `cluster.yaml`. */
export function readCluster({ spec }: WrittenCluster): ClusterSettings {
  return { ...defaultSettings, ...spec };
}

/** Actions that say something about a run, not about nodes. */
const aboutRuns: readonly RequestAction[] = ['resume', 'abort'];
/** Actions that would mean every node if nobody named one, which is never what a person wants. */
const needNodes: readonly RequestAction[] = ['maintenance', 'pause', 'skip'];

/** Reads a request. */
export function readRequest(
  { spec = {} }: WrittenRequest,
  file: { readonly name: string; readonly path: string; readonly oid: string },
  say: Say,
): Request {
  const { action = 'patch', nodes = [] } = spec;
  const selector = readSelector(spec.selector, ['spec', 'selector'], say);
  const notBefore = readTime(spec.notBefore, 'notBefore', say);
  const until = readTime(spec.until, 'until', say);
  if (action === 'maintenance' && spec.until === undefined) {
    say(['spec', 'until'], 'action maintenance needs until, the time at which the nodes come back', 'request');
  }
  if (action !== 'maintenance' && action !== 'pause' && spec.until !== undefined) {
    say(['spec', 'until'], `until belongs to actions maintenance and pause; this action is ${action}`, 'request');
  }
  if (until !== undefined && notBefore !== undefined && until <= notBefore) {
    say(['spec', 'until'], `until ("${spec.until}") is not after notBefore ("${spec.notBefore}")`, 'request');
  }
  if (spec.run !== undefined && ['patch', 'reboot', 'maintenance', 'pause'].includes(action)) {
    say(['spec', 'run'], `run belongs to resume, retry, abort, skip and reset; this action is ${action}`, 'request');
  }
  const named = spec.nodes !== undefined || spec.selector !== undefined;
  if (aboutRuns.includes(action) && named) {
    say(
      ['spec', spec.nodes === undefined ? 'selector' : 'nodes'],
      `action ${action} is about a whole run; remove this field`,
      'request',
    );
  }
  if (needNodes.includes(action) && !named) {
    say(['spec', 'nodes'], `action ${action} needs nodes or selector`, 'request');
  }
  return {
    name: file.name,
    file: file.path,
    oid: file.oid,
    action,
    reason: spec.reason ?? '',
    nodes,
    selector,
    notBefore,
    expiresAfterMs: readDuration(spec.expiresAfter, 24 * HOUR, ['spec', 'expiresAfter'], say, {
      least: 60_000,
      most: 366 * DAY,
    }),
    until,
    run: spec.run,
  };
}

/** Reads a proposed run. A proposal for one cluster means nothing in another one's folder. */
export function readRun(
  { spec }: WrittenRun,
  place: { readonly name: string; readonly owner: { readonly kind: string; readonly cluster?: string } },
  file: { readonly path: string; readonly oid: string },
  say: Say,
): ProposedRun {
  const { cluster } = place.owner;
  if (spec !== undefined && cluster !== undefined && spec.cluster !== cluster) {
    say(['spec', 'cluster'], `found "${spec.cluster}"; must be "${cluster}", the name of the cluster's folder`, 'name');
  }
  return {
    name: place.name,
    file: file.path,
    oid: file.oid,
    digest: spec?.digest ?? '',
    ceiling: {
      nodes: spec?.ceiling.nodes ?? 0,
      packages: spec?.ceiling.packages,
      reboots: spec?.ceiling.reboots ?? 0,
      force: spec?.ceiling.force ?? false,
    },
  };
}

/** Reads `accept-rewrite.yaml`. */
export function readRewrite(
  { spec }: WrittenRewrite,
  file: { readonly path: string; readonly oid: string },
  say: Say,
): Rewrite {
  const { from = [], to = '', reason = '' } = spec ?? {};
  if (from.includes(to)) say(['spec', 'to'], 'from and to name the same commit, which is no rewrite', 'contradiction');
  return { file: file.path, oid: file.oid, from, to, reason };
}

/** Milliseconds since the epoch of an RFC 3339 time whose form the schema has checked. */
export function readTime(text: string | undefined, field: string, say: Say): number | undefined {
  if (text === undefined) return undefined;
  const instant = Date.parse(text.toUpperCase());
  const day = text.slice(0, 10);
  const exists =
    !Number.isNaN(Date.parse(`${day}T00:00:00Z`)) && new Date(`${day}T00:00:00Z`).toISOString().startsWith(day);
  if (!Number.isNaN(instant) && exists) return instant;
  say(['spec', field], `found "${text}"; there is no such time`, 'date');
  return undefined;
}

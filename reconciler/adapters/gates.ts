// The Gates port: asks Prometheus, an HTTP address or the cluster's pods; whatever cannot be read is closed.
import { request } from 'undici';
import { gateKey, type GateReading, type GateReadings } from '../model/gate.ts';
import type { OutsideGate } from '../model/policy.ts';
import type { Clock, Gates } from '../ports.ts';
import { list } from './kubernetes-calls.ts';
import type { Transport } from './kubernetes-transport.ts';

export interface GateOptions {
  /** Addresses that gates may ask: origin and beginning of the path. They come from the deployment, never from Git. */
  readonly allow: readonly string[];
  /** The way to the cluster, for gates that look at pods. */
  readonly transport: Transport;
  readonly clock: Pick<Clock, 'now'>;
  /** Limit of one question in milliseconds; default 5,000. */
  readonly timeoutMs?: number;
}

/** How long a reading is used again, milliseconds. */
const freshMs = 15_000;
/** A longer answer is not read to its end. */
const mostBytes = 1_048_576;

interface Verdict {
  readonly open: boolean;
  readonly answer: string;
}

const open = (answer: string): Verdict => ({ open: true, answer });
const closed = (answer: string): Verdict => ({ open: false, answer });

/** Reads gates, each within its limit and all at once. Never throws: a gate that cannot be read is closed and says why. */
export function openGates(options: GateOptions): Gates {
  const known = new Map<string, GateReading>();
  return {
    read: async (gates) => {
      const now = options.clock.now();
      for (const [key, reading] of known) if (now - reading.at >= freshMs || now < reading.at) known.delete(key);
      await Promise.all(
        gates
          .filter((gate) => !known.has(gateKey(gate)))
          .map(async (gate) => {
            const verdict = await ask(gate, options).catch((error: unknown) =>
              closed(`cannot be read: ${error instanceof Error ? error.message : String(error)}`.slice(0, 300)),
            );
            known.set(gateKey(gate), { ...verdict, at: now });
          }),
      );
      const readings: GateReadings = new Map(known);
      return readings;
    },
  };
}

async function ask(gate: OutsideGate, options: GateOptions): Promise<Verdict> {
  if (gate.kind === 'pods') return askPods(gate, options);
  if (!isAllowed(gate.url, options.allow))
    return closed('the deployment does not allow this address (--gate-allow, chart value gates.allow)');
  if (gate.kind === 'prometheus') return askPrometheus(gate, options);
  const { status } = await get(new URL(gate.url), options);
  if (status >= 200 && status < 300) return open(`answered ${status}`);
  return closed(`answered ${status}${status >= 300 && status < 400 ? ' (redirects are not followed)' : ''}`);
}

/** Same origin, and the path begins with the allowed one at a border of segments. */
export function isAllowed(address: string, allow: readonly string[]): boolean {
  if (!URL.canParse(address)) return false;
  const url = new URL(address);
  return allow.some((prefix) => {
    if (!URL.canParse(prefix)) return false;
    const allowed = new URL(prefix);
    const folder = allowed.pathname.endsWith('/') ? allowed.pathname : `${allowed.pathname}/`;
    return url.origin === allowed.origin && (url.pathname === allowed.pathname || url.pathname.startsWith(folder));
  });
}

async function get(url: URL, { timeoutMs = 5_000 }: GateOptions): Promise<{ status: number; text: string }> {
  const { statusCode, body } = await request(url, {
    method: 'GET',
    headers: { accept: 'application/json, */*;q=0.1', 'user-agent': 'oakum' },
    signal: AbortSignal.timeout(timeoutMs),
  });
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    const bytes = Buffer.from(chunk as Uint8Array);
    size += bytes.length;
    if (size > mostBytes) {
      body.destroy();
      throw new Error(`the answer is longer than ${mostBytes} bytes`);
    }
    chunks.push(bytes);
  }
  return { status: statusCode, text: Buffer.concat(chunks).toString('utf8') };
}

type PrometheusGate = Extract<OutsideGate, { kind: 'prometheus' }>;

/** Alerts that fire close the gate; so does a query with a result. With neither, all alerts count. */
async function askPrometheus(gate: PrometheusGate, options: GateOptions): Promise<Verdict> {
  const told: string[] = [];
  if (gate.alerts !== undefined || gate.query === undefined) {
    const verdict = await askAlerts(gate, options);
    if (!verdict.open) return verdict;
    told.push(verdict.answer);
  }
  if (gate.query !== undefined) {
    const verdict = await askQuery(gate, gate.query, options);
    if (!verdict.open) return verdict;
    told.push(verdict.answer);
  }
  return open(told.join('; '));
}

/** `data` of an answer of Prometheus' HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/). */
async function prometheus(
  gate: PrometheusGate,
  path: string,
  options: GateOptions,
  query = '',
): Promise<Record<string, unknown>> {
  const url = new URL(gate.url);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/api/v1/${path}`;
  url.search = query;
  const { status, text } = await get(url, options);
  if (status !== 200) throw new Error(`Prometheus answered ${status}`);
  const answer = JSON.parse(text) as { status?: unknown; data?: unknown };
  if (answer.status !== 'success' || typeof answer.data !== 'object' || answer.data === null)
    throw new Error('this is not an answer of Prometheus');
  return answer.data as Record<string, unknown>;
}

async function askAlerts(gate: PrometheusGate, options: GateOptions): Promise<Verdict> {
  const { alerts } = await prometheus(gate, 'alerts', options);
  if (!Array.isArray(alerts)) throw new Error('this is not an answer of Prometheus');
  const { ignore = [], only = [] } = gate.alerts ?? {};
  const firing = (alerts as { state?: unknown; labels?: { alertname?: unknown } }[])
    .filter((alert) => alert.state === 'firing')
    .map(({ labels }) => (typeof labels?.alertname === 'string' ? labels.alertname : '(no name)'))
    .filter((name) => !ignore.includes(name) && (only.length === 0 || only.includes(name)));
  const names = [...new Set(firing)].sort();
  if (names.length === 0) return open('no alert that counts is firing');
  return closed(`firing: ${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`);
}

/** Any sample of a vector closes the gate, whatever its value (`up == 0` yields zeros); a scalar closes it unless it is 0. */
async function askQuery(gate: PrometheusGate, query: string, options: GateOptions): Promise<Verdict> {
  const { resultType, result } = await prometheus(
    gate,
    'query',
    options,
    new URLSearchParams({ query, timeout: '4s' }).toString(),
  );
  if (!Array.isArray(result)) throw new Error('this is not an answer of Prometheus');
  if (resultType === 'vector')
    return result.length === 0 ? open('the query has no result') : closed(`the query has ${result.length} results`);
  if (resultType === 'scalar') {
    const value = Number(result[1]);
    return value === 0 ? open('the query is 0') : closed(`the query is ${String(result[1])}`);
  }
  return closed(`the query gives a ${String(resultType)}; a vector or a scalar is wanted`);
}

async function askPods(gate: Extract<OutsideGate, { kind: 'pods' }>, { transport }: GateOptions): Promise<Verdict> {
  const path =
    gate.namespace === undefined ? '/api/v1/pods' : `/api/v1/namespaces/${encodeURIComponent(gate.namespace)}/pods`;
  const running: string[] = [];
  await list(
    transport,
    path,
    { labelSelector: gate.selector.text },
    (raw) => {
      const { phase } = (raw['status'] as { phase?: string } | undefined) ?? {};
      if (phase === 'Running') running.push(`${raw.metadata.namespace}/${raw.metadata.name}`);
    },
    () => (running.length = 0),
  );
  if (running.length === 0) return open('no such pod runs');
  running.sort();
  const more = running.length - 3;
  return closed(
    `${running.slice(0, 3).join(', ')}${more > 0 ? ` and ${more} more` : ''} ${running.length === 1 ? 'runs' : 'run'}`,
  );
}

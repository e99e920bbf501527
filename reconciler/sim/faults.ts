// Faults on demand: requests that are throttled, fail, hang, or lose their connection.
import type { SimRequest, SimResponse } from './route.ts';
import { failure } from './refusal.ts';

/** What goes wrong. `cut: 'after'` does the work and then loses the answer. */
export type Fault =
  | { kind: 'throttle' }
  | { kind: 'error'; status: number; message?: string }
  | { kind: 'latency'; ms: number }
  | { kind: 'cut'; when: 'before' | 'after' };

/** Which requests a fault is for, and how many of them (default: all). */
export interface FaultRule {
  fault: Fault;
  match?: (request: SimRequest) => boolean;
  times?: number;
}

/** The switchboard of faults. */
export interface Faults {
  /** Adds a fault; the answer takes it away again. */
  add(rule: FaultRule): () => void;
  clear(): void;
  /** The faults that this request meets; each of them counts as used. */
  meet(request: SimRequest): Fault[];
  /** Milliseconds that this request is to be held back; the latency faults that say so count as used. */
  delayOf(request: SimRequest): number;
}

/** A switchboard without faults. */
export function createFaults(): Faults {
  const rules = new Map<FaultRule, number>();
  const use = (request: SimRequest, wanted: (fault: Fault) => boolean): Fault[] => {
    const met: Fault[] = [];
    for (const [rule, left] of [...rules]) {
      if (!wanted(rule.fault) || rule.match?.(request) === false) continue;
      rules.set(rule, left - 1);
      if (left <= 1) rules.delete(rule);
      met.push(rule.fault);
    }
    return met;
  };
  return {
    add(rule) {
      rules.set(rule, rule.times ?? Infinity);
      return () => rules.delete(rule);
    },
    clear: () => {
      rules.clear();
    },
    meet: (request) => use(request, (fault) => fault.kind !== 'latency'),
    delayOf(request) {
      const slow = use(request, (fault) => fault.kind === 'latency');
      return slow.reduce((sum, fault) => sum + (fault.kind === 'latency' ? fault.ms : 0), 0);
    },
  };
}

/** The answer of a fault that answers by itself: API priority and fairness speaks plain text, everything else in Status objects. */
export function faultAnswer(faults: readonly Fault[]): SimResponse | undefined {
  for (const fault of faults) {
    if (fault.kind === 'throttle')
      return {
        status: 429,
        headers: { 'content-type': 'text/plain; charset=utf-8', 'retry-after': '1' },
        body: 'Too many requests, please try again later.\n',
      };
    if (fault.kind === 'error') {
      const reasons: Record<number, string> = {
        403: 'Forbidden',
        401: 'Unauthorized',
        503: 'ServiceUnavailable',
        504: 'Timeout',
      };
      const status = failure(
        fault.status,
        reasons[fault.status] ?? 'InternalError',
        fault.message ?? 'the simulated server was told to fail',
        {},
      );
      return { status: fault.status, headers: { 'content-type': 'application/json' }, body: status };
    }
  }
  return undefined;
}

// Lists of packages that did not fit into the result of a Job: read once from the log of its pod.
import { AdapterError } from '../model/failure.ts';
import type { JobView } from '../model/observed.ts';
import { call } from './kubernetes-calls.ts';
import type { PodIdentity } from './kubernetes-source.ts';
import type { Transport } from './kubernetes-transport.ts';

/** What a result that has left its list out needs of the log; `model/result-log.ts` has them. */
export interface LogViews {
  logLines(result: string | undefined): number | undefined;
  withLog(result: string, log: string): string | undefined;
}

/** A log that cannot be read is asked for at so many looks; then the result counts as it is. */
const mostTries = 3;
/** More than any list that is taken up. */
const mostBytes = 4 * 1024 * 1024;

interface Known {
  readonly tries: number;
  /** The completed result; undefined while, or because, there is none. */
  readonly result: string | undefined;
}

/** Reads logs of ended pods, and remembers what they gave until the Job is gone. */
export interface JobLogs {
  /** The pods, each with its whole result; and whether one is still missing that the next look may bring. */
  whole<Pod extends PodIdentity>(job: string, pods: readonly Pod[]): Promise<{ pods: readonly Pod[]; late: boolean }>;
  forget(present: ReadonlySet<string>): void;
}

/** Opens the reader. Nothing is asked before a result needs it. */
export function jobLogs(transport: Transport, namespace: string, views: LogViews): JobLogs {
  const known = new Map<string, Map<string, Known>>();

  const ask = async (pod: PodIdentity, lines: number): Promise<string> => {
    const query = `tailLines=${lines}&limitBytes=${mostBytes}`;
    const path = `/api/v1/namespaces/${namespace}/pods/${encodeURIComponent(pod.name)}/log?${query}`;
    const { body } = await call(transport, { method: 'GET', path });
    return typeof body === 'string' ? body : '';
  };

  const look = async (pod: PodIdentity, result: string, lines: number, tries: number): Promise<Known> => {
    try {
      return { tries: mostTries, result: views.withLog(result, await ask(pod, lines)) };
    } catch (error) {
      if (!(error instanceof AdapterError)) throw error;
      // The kubelet may be busy, or the way to it cut for a while. Missing rights and pods that are gone do not come back.
      return { tries: error.kind === 'transient' ? tries + 1 : mostTries, result: undefined };
    }
  };

  return {
    whole: async (job, pods) => {
      let late = false;
      const found = [];
      for (const pod of pods) {
        const lines = pod.ended ? views.logLines(pod.result) : undefined;
        if (lines === undefined || pod.result === undefined) {
          found.push(pod);
          continue;
        }
        const own = known.get(job) ?? new Map<string, Known>();
        known.set(job, own);
        let state = own.get(pod.uid) ?? { tries: 0, result: undefined };
        if (state.tries < mostTries) {
          state = await look(pod, pod.result, lines, state.tries);
          own.set(pod.uid, state);
        }
        late ||= state.tries < mostTries;
        found.push(state.result === undefined ? pod : { ...pod, result: state.result });
      }
      return { pods: found, late };
    },
    forget: (present) => {
      for (const job of known.keys()) if (!present.has(job)) known.delete(job);
    },
  };
}

/** A Job whose result is merely late must not look like one with a result that lacks something. */
export function notYet(view: JobView): JobView {
  return { ...view, state: 'running', result: undefined, exitCode: undefined, finishedAt: undefined, trouble: '' };
}

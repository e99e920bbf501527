// The part of a machine that runs pods: starts them, ends them, reports what became of them, and loses them in a reboot.
import { type Ending, endedPod, pace, READY_MS, runningPod, TERMINATION_MS } from './containers.ts';
import { PODS } from './kinds.ts';
import { type Pod, podEnded } from './object.ts';
import { removeObject } from './removal.ts';
import { emitEvent, timeOf, type World } from './world.ts';

/** What a container does that is meant to end. Times are milliseconds. */
export interface ProgramRun {
  durationMs: number;
  exitCode: number;
  /** Goes into the termination message. */
  message?: string;
  log?: string;
  /** A reboot of the node, counted from the container's end; a negative time takes the running container along. */
  reboot?: { afterMs: number; kernel?: string; osImage?: string; returns?: boolean };
  /** Called when the container has ended by itself, before anybody hears of it: the place to change what the program changed. */
  finished?: () => void;
  /** Called when it was killed before that. */
  killed?: () => void;
}

/** What the kubelet needs from the machine that it runs on. */
export interface Host {
  readonly name: string;
  /** The machine runs (its containers do too). */
  up(): boolean;
  /** The API server hears the kubelet. */
  heard(): boolean;
  /** Multiplies the times in which pods start, become ready, and end. */
  slowness(): number;
  /** New pods hang in ContainerCreating. */
  podsHang(): boolean;
  program(pod: Pod): ProgramRun;
  reboot(how: NonNullable<ProgramRun['reboot']>): void;
}

/** Runs the pods of one machine. */
export interface Kubelet {
  /** Looks at a pod that is on this machine. */
  sync(pod: Pod): void;
  /** All containers are gone at once. */
  crashed(): void;
  /** The machine is back, or is heard again: reports what is owed and looks at every pod. */
  resume(): void;
}

interface Task {
  restarts: number;
  startedAt: string;
  state: 'starting' | 'running' | 'lost' | 'ended';
  ending: Ending | undefined;
  leaving: boolean;
  run: ProgramRun | undefined;
  cancels: (() => void)[];
}

const START_MS = 200;
const READY_DEFAULT_MS = 100;
const TERMINATION_DEFAULT_MS = 100;
/** The first pause before a container that failed is run again. */
const RESTART_MS = 10_000;

/** The kubelet of one machine. */
export function createKubelet(world: World, host: Host): Kubelet {
  const { clock, store, settings } = world;
  const tasks = new Map<string, Task>();
  let owed: (() => void)[] = [];

  const report = (write: () => void): void => {
    clock.after(settings.kubeletMs, () => {
      if (host.heard()) write();
      else owed.push(write);
    });
  };
  const latest = (pod: Pod): Pod | undefined => {
    const now = store.get(PODS, pod.metadata.namespace, pod.metadata.name);
    return now?.metadata.uid === pod.metadata.uid ? now : undefined;
  };
  const later = (task: Task, ms: number, run: () => void): void => {
    task.cancels.push(clock.after(ms * host.slowness(), run));
  };
  const quiet = (task: Task): void => {
    for (const cancel of task.cancels) cancel();
    task.cancels = [];
  };

  const reportRunning = (pod: Pod, task: Task, ready: boolean): void => {
    report(() => {
      const now = latest(pod);
      if (now === undefined || podEnded(now) || task.state !== 'running') return;
      store.update(PODS, runningPod(now, ready, task.restarts, task.startedAt, timeOf(world)));
    });
  };
  const finish = (pod: Pod, task: Task, ending: Ending): void => {
    task.state = 'ended';
    task.ending = ending;
    report(() => {
      const now = latest(pod);
      if (now !== undefined && !podEnded(now)) store.update(PODS, endedPod(now, task.restarts, ending, timeOf(world)));
      if (task.leaving) leave(pod, task);
    });
  };

  const execute = (pod: Pod, task: Task): void => {
    task.state = 'running';
    task.startedAt = timeOf(world);
    reportRunning(pod, task, false);
    if ((pod.spec.restartPolicy ?? 'Always') === 'Always') {
      later(task, pace(pod, READY_MS, READY_DEFAULT_MS), () => {
        reportRunning(pod, task, true);
      });
      return;
    }
    const run = host.program(pod);
    task.run = run;
    const { reboot } = run;
    reportRunning(pod, task, true);
    const rebootsAt = reboot === undefined ? undefined : run.durationMs + reboot.afterMs;
    if (reboot !== undefined && rebootsAt !== undefined)
      clock.after(Math.max(0, rebootsAt), () => {
        if (host.up()) host.reboot(reboot);
      });
    task.cancels.push(
      clock.after(run.durationMs, () => {
        task.run = undefined;
        run.finished?.();
        const where = `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`;
        if (run.log !== undefined) world.logs.set(where, run.log);
        if (run.exitCode !== 0 && pod.spec.restartPolicy === 'OnFailure') {
          task.restarts++;
          later(task, RESTART_MS, () => {
            execute(pod, task);
          });
          return;
        }
        const reason = run.exitCode === 0 ? 'Completed' : 'Error';
        finish(pod, task, {
          exitCode: run.exitCode,
          reason,
          message: run.message,
          startedAt: task.startedAt,
          finishedAt: timeOf(world),
        });
      }),
    );
  };

  const leave = (pod: Pod, task: Task): void => {
    const now = latest(pod);
    if (now === undefined) return;
    tasks.delete(pod.metadata.uid);
    const ended = podEnded(now)
      ? now
      : store.update(PODS, endedPod(now, task.restarts, task.ending ?? killedEnding(task), timeOf(world)));
    removeObject(world, PODS, ended, { gracePeriodSeconds: 0, dryRun: false });
  };
  const killedEnding = (task: Task): Ending => ({
    exitCode: 143,
    reason: 'Error',
    startedAt: task.startedAt || timeOf(world),
    finishedAt: timeOf(world),
  });

  const begin = (pod: Pod): Task => {
    const task: Task = {
      restarts: 0,
      startedAt: '',
      state: 'starting',
      ending: undefined,
      leaving: false,
      run: undefined,
      cancels: [],
    };
    tasks.set(pod.metadata.uid, task);
    if (!host.podsHang())
      later(task, START_MS, () => {
        emitEvent(
          world,
          pod,
          'Normal',
          'Started',
          `Started container ${pod.spec.containers[0]?.name ?? ''}`,
          'kubelet',
        );
        execute(pod, task);
      });
    return task;
  };

  const sync = (pod: Pod): void => {
    const { uid, deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata;
    if (!host.up() || !host.heard()) return;
    let task = tasks.get(uid);
    if (deletionTimestamp !== undefined) {
      // An ended pod without finalizers never gets here; with them its deletion waits for their owners, not for the node.
      if (podEnded(pod) && deletionGracePeriodSeconds === 0) return;
      task ??= begin(pod);
      if (task.leaving) return;
      task.leaving = true;
      quiet(task);
      task.run?.killed?.();
      task.run = undefined;
      const wasRunning = task.state === 'running';
      const grace = (deletionGracePeriodSeconds ?? 30) * 1000;
      const needs = wasRunning ? pace(pod, TERMINATION_MS, TERMINATION_DEFAULT_MS) * host.slowness() : 0;
      const own = task;
      own.cancels.push(
        clock.after(Math.min(grace, needs), () => {
          if (own.state !== 'ended') own.ending = killedEnding(own);
          own.state = 'ended';
          report(() => {
            leave(pod, own);
          });
        }),
      );
      return;
    }
    if (task === undefined && !podEnded(pod)) begin(pod);
  };

  return {
    sync,
    crashed() {
      for (const task of tasks.values()) {
        quiet(task);
        task.run?.killed?.();
        task.run = undefined;
        if (task.state === 'running') task.state = 'lost';
      }
    },
    resume() {
      const debts = owed;
      owed = [];
      for (const write of debts) write();
      for (const pod of store.podsOn(host.name)) {
        const task = tasks.get(pod.metadata.uid);
        if (task !== undefined && (task.state === 'lost' || (task.state === 'starting' && task.cancels.length === 0))) {
          tasks.delete(pod.metadata.uid);
          if (pod.metadata.deletionTimestamp === undefined && task.state === 'lost') recover(pod, task);
        } else if (task?.leaving === true && task.cancels.length === 0) tasks.delete(pod.metadata.uid);
        const now = latest(pod);
        if (now !== undefined) sync(now);
      }
    },
  };

  function recover(pod: Pod, task: Task): void {
    tasks.set(pod.metadata.uid, task);
    if (pod.spec.restartPolicy === 'Never') {
      finish(pod, task, { exitCode: 255, reason: 'Unknown', startedAt: task.startedAt, finishedAt: timeOf(world) });
      return;
    }
    task.restarts++;
    execute(pod, task);
  }
}

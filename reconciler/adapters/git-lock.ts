// Keeps a second process out of the cache: two writers in one repository folder would destroy it.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { AdapterError } from '../model/failure.ts';
import { errorCode } from './git-failure.ts';

/** How often the owner shows that it lives, and after which silence an owner on another machine is taken for dead. */
const beatMs = 20_000;
const silentMs = 90_000;

/** A held lock. */
export interface CacheLock {
  release(): void;
}

interface Owner {
  readonly host: string;
  readonly pid: number;
  /** Start of the process in ticks since boot (proc(5), field 22): a process id alone may have been given to somebody else. */
  readonly started: string;
}

function startOf(pid: number): string {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

function readOwner(file: string): Owner | undefined {
  try {
    const value: unknown = JSON.parse(fs.readFileSync(file, 'utf8'));
    if (typeof value !== 'object' || value === null) return undefined;
    const { host, pid, started } = { host: '', pid: 0, started: '', ...value };
    return { host: String(host), pid: Number(pid), started: String(started) };
  } catch {
    return undefined;
  }
}

function lives(file: string, owner: Owner | undefined): boolean {
  let silence: number;
  try {
    silence = Date.now() - fs.statSync(file).mtimeMs;
  } catch {
    return false;
  }
  // A lock that cannot be read is being written, or was cut off by a crash.
  if (owner === undefined) return silence < 2000;
  if (owner.host !== os.hostname()) return silence < silentMs;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
  return startOf(owner.pid) === owner.started;
}

/** Takes the folder, or throws GitCacheBusy. */
export function lockCache(cacheDir: string): CacheLock {
  fs.mkdirSync(cacheDir, { recursive: true, mode: 0o700 });
  const file = path.join(cacheDir, 'lock');
  const me: Owner = { host: os.hostname(), pid: process.pid, started: startOf(process.pid) };
  for (let tries = 0; ; tries++) {
    try {
      fs.writeFileSync(file, JSON.stringify(me), { flag: 'wx' });
      break;
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
      const owner = readOwner(file);
      const mine = owner?.host === me.host && owner.pid === me.pid && owner.started === me.started;
      // A lock of this very process is left over from a worker that died; the thread that starts workers lets only one live.
      if (tries >= 3 || (!mine && lives(file, owner)))
        throw new AdapterError(
          'transient',
          'GitCacheBusy',
          `The Git cache ${cacheDir} is in use by process ${owner?.pid ?? 'unknown'} on ${owner?.host ?? 'this host'}. Give each Oakum a cache folder of its own.`,
        );
      fs.rmSync(file, { force: true });
    }
  }
  const beat = setInterval(() => {
    try {
      fs.utimesSync(file, new Date(), new Date());
    } catch {
      // The folder was deleted under us; the next operation notices and clones anew.
    }
  }, beatMs);
  beat.unref();
  return {
    release() {
      clearInterval(beat);
      fs.rmSync(file, { force: true });
    },
  };
}

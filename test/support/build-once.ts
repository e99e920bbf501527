// Folders that take long to build from mirrors: built beside, renamed when whole, and tried again when a mirror has a bad moment.
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A mirror that fails twice within half a minute is down. */
const pausesMs = [5_000, 20_000];

/**
 * Builds the folder `path` unless it is there, and gives its path. A folder that is there is whole: `build` fills one beside it, which is renamed at the
 * end. Another process may build it at the same time; the first one to end counts. What fails is tried three times, with what it said shown each time.
 */
export async function buildOnce(path: string, build: (part: string) => Promise<void>): Promise<string> {
  for (let failures = 0; !existsSync(path); failures++) {
    await mkdir(dirname(path), { recursive: true });
    const part = await mkdtemp(`${path}.part-`);
    try {
      await build(part);
      if (!existsSync(path)) await rename(part, path);
    } catch (error) {
      const pause = pausesMs[failures];
      if (pause === undefined) throw error;
      console.warn(`${path} is built again in ${String(pause / 1000)} s, because: ${String(error)}`);
      await sleep(pause);
    } finally {
      await rm(part, { recursive: true, force: true });
    }
  }
  return path;
}

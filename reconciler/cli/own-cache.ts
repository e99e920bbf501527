// A local copy of its own for a verb that only looks, so that it can run beside the service on the same machine.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GitFlags } from './settings.ts';

/** The flags with a folder of this call alone as cache, and the way to remove it afterwards. */
export function withOwnCache<Flags extends GitFlags>(
  given: Flags,
): { readonly flags: Flags; readonly forget: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'oakum-look-'));
  return { flags: { ...given, cacheDir: folder }, forget: () => rmSync(folder, { recursive: true, force: true }) };
}

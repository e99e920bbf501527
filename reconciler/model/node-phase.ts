// The stations of a node's way through a run.

/** Where a node is in a run, in the order of the way. */
export const nodePhases = [
  'Pending',
  'Preflight',
  'Downloading',
  'BeforeHooks',
  'Cordoning',
  'Draining',
  'Held',
  'Patching',
  'RebootPending',
  'Rebooting',
  'Rejoining',
  'Verifying',
  'AfterHooks',
  'Uncordoning',
  'Patched',
  'Skipped',
  'Failed',
  'Quarantined',
] as const;

export type NodePhase = (typeof nodePhases)[number];

/** The four ends: nothing is under way on the node any more. */
export function isEnd(phase: NodePhase): boolean {
  return phase === 'Patched' || phase === 'Skipped' || phase === 'Failed' || phase === 'Quarantined';
}

/** Under way: work of this run is going on, the node holds a seat in the budget. */
export function isUnderWay(phase: NodePhase): boolean {
  return phase !== 'Pending' && !isEnd(phase);
}

/** The Jobs that a run creates on a node; each is one mode of the patch script. */
export type Step = 'scan' | 'download' | 'patch' | 'reboot' | 'verify';

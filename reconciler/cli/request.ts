// `oakum request ACTION`: writes a valid PatchRequest for a commit; nothing happens before somebody commits it.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Argument, type Command, Option } from 'commander';
import { stringify } from 'yaml';
import { readSchemas } from '../adapters/assets.ts';
import { realClock } from '../adapters/clock.ts';
import { createDesire } from '../desired/desired.ts';
import { namePattern } from '../desired/layout.ts';
import type { RequestAction } from '../model/desired.ts';
import { stamp } from '../model/instant.ts';
import { apiVersion } from '../model/names.ts';
import { UsageError } from './settings.ts';

const actions: readonly RequestAction[] = [
  'patch',
  'reboot',
  'maintenance',
  'pause',
  'resume',
  'retry',
  'abort',
  'skip',
  'reset',
];

/** The flags of the verb, as they were given. */
export interface RequestFlags {
  readonly cluster: string;
  readonly name?: string;
  readonly nodes?: readonly string[];
  readonly selector?: string;
  readonly notBefore?: string;
  readonly expiresAfter?: string;
  readonly until?: string;
  readonly run?: string;
  readonly reason?: string;
  readonly dir?: string;
}

/** Adds the verb. Exit code 2 when what was asked for is no valid request; then nothing is written. */
export function registerRequest(program: Command): void {
  program
    .command('request')
    .description(
      'print a request file for a commit, or write it into a work tree; nothing happens before it is committed',
    )
    .addArgument(new Argument('<action>', 'what is asked').choices(actions))
    .requiredOption('--cluster <name>', 'the cluster that it is for')
    .option('--name <name>', 'name of the request (default: the action and the time)')
    .option('--nodes <names...>', 'nodes by name (default: all that the policy selects)')
    .option('--selector <labels>', 'nodes by label')
    .option('--not-before <time>', 'not before this time, like 2026-12-06T22:00:00Z')
    .option('--expires-after <duration>', 'how long it may wait (default: 24h)')
    .option('--until <time>', 'for maintenance and pause: until when')
    .option('--run <id>', 'for resume, retry, abort, skip and reset: which run (default: the one under way)')
    .option('--reason <text>', 'why; shown wherever the request is')
    .addOption(new Option('--dir <dir>', 'write the file into this work tree (default: print it)'))
    .action((action: RequestAction, flags: RequestFlags) => {
      const { path, text } = requestFile(action, flags, realClock.now());
      if (flags.dir === undefined) {
        process.stdout.write(text);
        return;
      }
      const target = join(flags.dir, path);
      mkdirSync(dirname(target), { recursive: true });
      try {
        // `wx`: a request acts once, by its name, so a file that is there is never overwritten.
        writeFileSync(target, text, { flag: 'wx' });
      } catch (error) {
        throw new UsageError(
          `${target} cannot be written: ${error instanceof Error ? error.message : 'unknown reason'}`,
        );
      }
      process.stdout.write(`wrote ${path}\n\nNext: commit and push it.\n`);
    });
}

/** The file and its path in the repository. Throws UsageError when it would not be valid. */
export function requestFile(
  action: RequestAction,
  flags: RequestFlags,
  now: number,
): { readonly path: string; readonly text: string } {
  const name = flags.name ?? `${action}-${stamp(now)}`;
  for (const [what, word] of [
    ['cluster', flags.cluster],
    ['name', name],
  ] as const)
    if (!namePattern.test(word))
      throw new UsageError(`--${what}: "${word}" is not a name; use lower-case letters, digits and dashes, at most 63`);
  const spec = {
    action,
    nodes: flags.nodes,
    selector: flags.selector,
    notBefore: flags.notBefore,
    expiresAfter: flags.expiresAfter,
    until: flags.until,
    run: flags.run,
    reason: flags.reason,
  };
  const given = Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined));
  const text = stringify({ apiVersion, kind: 'PatchRequest', metadata: { name }, spec: given });
  const folder = `clusters/${flags.cluster}`;
  const path = `${folder}/requests/${name}.yaml`;
  const problems = problemsOf(path, text);
  if (problems.length > 0) throw new UsageError(`this is not a valid request:\n  ${problems.join('\n  ')}`);
  return { path, text };
}

/** The same judges as `oakum validate`, on this file alone. */
function problemsOf(path: string, text: string): string[] {
  const file = { path, oid: 'request', kind: 'file', text } as const;
  const { problems } = createDesire(readSchemas())({
    commit: 'request',
    committedAt: 0,
    files: new Map([[path, file]]),
    changed: undefined,
  });
  return problems
    .filter((problem) => problem.file === path)
    .map(({ path: field, message }) => (field ? `${field}: ${message}` : message));
}

// Environment variables that stand in for flags, as people and templates of manifests write them.
import type { Command } from 'commander';
import { UsageError } from './settings.ts';

const on = ['true', '1', 'yes', 'on'];
const off = ['false', '0', 'no', 'off'];

/**
 * Takes out of `environment` what means that a flag is not given: empty values, and `false` for a switch. The library asks only whether a
 * variable is there, so that `OAKUM_TRUST_BRANCH=false` would switch the trust on. Throws UsageError for a switch that is neither on nor off.
 */
export function tidyEnvironment(program: Command, environment: NodeJS.ProcessEnv): void {
  for (const option of program.commands.flatMap(({ options }) => options)) {
    const { envVar } = option;
    const value = envVar === undefined ? undefined : environment[envVar];
    if (envVar === undefined || value === undefined) continue;
    const word = value.trim().toLowerCase();
    if (word === '' || (option.isBoolean() && off.includes(word))) Reflect.deleteProperty(environment, envVar);
    else if (option.isBoolean() && !on.includes(word))
      throw new UsageError(`${envVar} is "${value}"; allowed are true and false`);
  }
}

// Environment variables in place of flags: a switch that says false is off, and an empty variable is none.
import { Command } from 'commander';
import { expect, test } from 'vitest';
import { tidyEnvironment } from '../../reconciler/cli/environment.ts';
import { registerPlan } from '../../reconciler/cli/plan.ts';
import { registerRun } from '../../reconciler/cli/run.ts';

function program(): Command {
  const made = new Command();
  registerRun(made);
  registerPlan(made);
  return made;
}

const switches = [
  ...new Set(
    program()
      .commands.flatMap(({ options }) => options)
      .flatMap((option) => (option.envVar !== undefined && option.isBoolean() ? [option.envVar] : [])),
  ),
];

test('there are switches that loosen or tighten what is trusted', () => {
  expect(switches).toEqual(expect.arrayContaining(['OAKUM_TRUST_BRANCH', 'OAKUM_REQUIRE_SIGNED_COMMITS']));
});

test.each(switches)('%s is on or off, as it says', (name) => {
  for (const word of ['false', 'False', '0', 'no', 'off', '', ' ']) {
    const environment = { [name]: word };
    tidyEnvironment(program(), environment);
    expect(environment, word).toEqual({});
  }
  for (const word of ['true', 'TRUE', '1', 'yes', 'on']) {
    const environment = { [name]: word };
    tidyEnvironment(program(), environment);
    expect(environment, word).toEqual({ [name]: word });
  }
  expect(() => tidyEnvironment(program(), { [name]: 'maybe' })).toThrow(
    `${name} is "maybe"; allowed are true and false`,
  );
});

test('an empty variable is as one that is not set, and others stay as they are', () => {
  const environment = { OAKUM_FORGE: '', OAKUM_BRANCH: 'main', OAKUM_CLUSTER: 'no', PATH: '' };
  tidyEnvironment(program(), environment);
  expect(environment).toEqual({ OAKUM_BRANCH: 'main', OAKUM_CLUSTER: 'no', PATH: '' });
});

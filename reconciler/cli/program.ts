// The verbs together, and what a failure looks like to the person who called.
import { Command, CommanderError } from 'commander';
import { withoutSecrets } from '../adapters/log.ts';
import { registerAccept } from './accept.ts';
import { registerApprove } from './approve.ts';
import { registerDemo } from './demo.ts';
import { tidyEnvironment } from './environment.ts';
import { registerExplain } from './explain.ts';
import { registerInit } from './init.ts';
import { registerPlan } from './plan.ts';
import { registerRequest } from './request.ts';
import { registerRun } from './run.ts';
import { registerScript } from './script.ts';
import { UsageError } from './settings.ts';
import { registerStatus } from './status.ts';
import { registerValidate } from './validate.ts';
import { version } from './version.ts';
import { registerVerify } from './verify.ts';
import { registerWhy } from './why.ts';

/** Runs one verb; the answer is the exit code: 0 fine, 1 something failed, 2 the input is wrong. */
export async function runProgram(argv: readonly string[]): Promise<number> {
  const program = new Command('oakum')
    .description('Keeps the operating systems of Kubernetes nodes patched; Git is its only user interface.')
    .version(version)
    .showHelpAfterError('(oakum --help lists the verbs)')
    .exitOverride()
    .configureHelp({ showGlobalOptions: true });
  for (const register of [
    registerDemo,
    registerInit,
    registerValidate,
    registerPlan,
    registerRequest,
    registerApprove,
    registerRun,
    registerStatus,
    registerWhy,
    registerExplain,
    registerScript,
    registerAccept,
    registerVerify,
  ])
    register(program);
  // A reader that has seen enough (`oakum script | head`) is no fault.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  try {
    tidyEnvironment(program, process.env);
    await program.parseAsync([...argv]);
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const message = withoutSecrets(error instanceof Error ? error.message : String(error));
    if (error instanceof UsageError) {
      process.stderr.write(`oakum: ${message}\n`);
      return 2;
    }
    if (error instanceof Error && error.name === 'AdapterError') {
      process.stderr.write(`oakum: ${message}\n`);
      return 1;
    }
    process.stderr.write(
      `oakum: this is a bug, please report it with these lines (version ${version}):\n${error instanceof Error ? withoutSecrets(error.stack ?? message) : message}\n`,
    );
    return 1;
  }
}

#!/usr/bin/env node
// The front door: looks at the Node that runs it, then hands argv to one verb of cli/.

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(`oakum needs Node.js 22.19 or newer; this is ${process.versions.node} (https://nodejs.org).\n`);
  process.exitCode = 1;
} else {
  const { runProgram } = await import('./cli/program.ts');
  process.exitCode = await runProgram(process.argv);
}

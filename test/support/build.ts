// `npm run build`: compiles reconciler/ to dist/ and puts the parts of the patch script beside it.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

const root = fileURLToPath(new URL('../..', import.meta.url));
const from = join(root, 'reconciler', 'patch');
const to = join(root, 'dist', 'patch');

rmSync(join(root, 'dist'), { recursive: true, force: true });
console.log('compiling reconciler/ to dist/');
const compiled = spawnSync('tsc', ['-p', join(root, 'tsconfig.build.json')], { cwd: root, stdio: 'inherit' });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);
mkdirSync(to, { recursive: true });
for (const file of readdirSync(from))
  if (file.endsWith('.sh') || file.endsWith('.json')) copyFileSync(join(from, file), join(to, file));
chmodSync(join(root, 'dist', 'main.js'), 0o755);
console.log('done: dist/main.js');

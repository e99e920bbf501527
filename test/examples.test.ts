import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { describe as show, validateFolder } from '../reconciler/cli/validate.ts';

const folder = fileURLToPath(new URL('../examples/', import.meta.url));

test.each(readdirSync(folder))('the example %s is valid and says what to do', (name) => {
  const validation = validateFolder(`${folder}${name}`);
  expect(show(validation)).toMatch(/^No problems; /);
  expect(validation.desired.clusters.size).toBeGreaterThan(0);
  for (const cluster of validation.desired.clusters.values()) expect(cluster.policy?.schedule).toBeDefined();
});

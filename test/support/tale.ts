// Tales: scenarios whose transcripts are kept as golden files, and the cluster and files that most of them begin with.
import { describe, expect, it } from 'vitest';
import { kernelUpdate, ordinaryUpdates } from '../../reconciler/cli/imitated-cluster.ts';
import { Scenario } from './scenario.ts';

export const minute = 60_000;
export const hour = 60 * minute;
export const day = 24 * hour;

/** A story: its name begins with the promises that it shows (`A3 C1: ...`), when it was written for one. */
export interface Tale {
  readonly name: string;
  readonly tell: () => Promise<Pick<Scenario, 'transcript'>>;
}

/** The policy of cluster prod with this spec, as files for a commit. */
export const policy = (spec: string): Record<string, string> => ({
  'clusters/prod/policy.yaml': `apiVersion: oakum.dev/v1alpha1\nkind: PatchPolicy\nmetadata: { name: prod }\nspec: ${spec}\n`,
});

/** A request of cluster prod, as files for a commit. */
export const request = (name: string, spec = '{ reason: a story }'): Record<string, string> => ({
  [`clusters/prod/requests/${name}.yaml`]: `apiVersion: oakum.dev/v1alpha1\nkind: PatchRequest\nmetadata: { name: ${name} }\nspec: ${spec}\n`,
});

/** A policy without rests, so that a story is short. */
export const plain = '{ rollout: { soak: 0s, canary: null } }';

/** Three workers in three zones; the first one waits for a kernel, too. */
export function cluster(start?: number): Scenario {
  const scenario = new Scenario(start);
  for (const [number, zone] of ['a', 'b', 'c'].entries())
    scenario.world.add({ name: `worker-${number + 1}`, zone, rebootMs: 30_000, system: { jobMs: 5_000 } });
  scenario.world.system('worker-1').pending = [...ordinaryUpdates, kernelUpdate];
  return scenario;
}

/** The deployment allows two scans at one time. */
export function withScans(scenario: Scenario): void {
  scenario.settings = { ...scenario.settings, ceilings: { ...scenario.settings.ceilings, scansAtOnce: 2 } };
  scenario.restart();
}

/** Says of every node where it is and why. */
export function tellNodes(scenario: Scenario): void {
  for (const { node, reason, message } of scenario.last?.plan.nodes ?? [])
    scenario.say(`— ${node} ${reason}: ${message}`);
}

/** A person changes a Node with kubectl. */
export function patchNode(scenario: Scenario, name: string, body: object): void {
  scenario.world.sim.handle({
    method: 'PATCH',
    path: `/api/v1/nodes/${name}`,
    headers: { 'content-type': 'application/merge-patch+json' },
    body,
  });
}

/** Plays each tale and compares its transcript with the golden one. */
export function tellTales(tales: readonly Tale[]): void {
  describe('the story of', () => {
    it.each(tales)('$name', async ({ name, tell }) => {
      const scenario = await tell();
      const page = `# ${name}\n\nHours, minutes and seconds since the beginning; a dash marks what people do.\n\n\`\`\`text\n${scenario.transcript.join('\n')}\n\`\`\`\n`;
      await expect(page).toMatchFileSnapshot(`golden/${name.replaceAll(/[^a-z0-9]+/gi, '-')}.md`);
    });
  });
}

// Attack: text of a policy, a request or a node reaches the privileged Job as anything but a value of a known variable.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JobManifest } from '../../reconciler/model/action.ts';
import type { RunRecord } from '../../reconciler/model/ledger.ts';
import { renderJob } from '../../reconciler/plan/job.ts';
import { newRecord } from '../../reconciler/plan/records.ts';
import { desire, object } from '../desired/snapshot.ts';
import { aPolicy, aRequest, aCluster, someSettings } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const nasty = [
  '$(reboot)',
  '`reboot`',
  '; reboot',
  '&& reboot',
  '| sh',
  '-o APT::Update::Pre-Invoke::=reboot',
  '--installroot=/',
  '../../etc/passwd',
  'a\nb',
  'a b',
  "a'b",
  'a"b',
  '$HOME',
  '\0',
];

/** The Job with the values of its variables taken out: all that a policy must not change. */
function shape(job: JobManifest): unknown {
  const text = JSON.stringify({ ...job, metadata: { ...job.metadata, annotations: {} } });
  const spec = (
    JSON.parse(text) as { spec: { template: { metadata: object; spec: { containers: { env: object[] }[] } } } }
  ).spec;
  for (const container of spec.template.spec.containers) container.env = [];
  spec.template.metadata = {};
  return spec;
}

async function aRun(): Promise<{ run: RunRecord; world: TinyWorld }> {
  const world = new TinyWorld(undefined, aCluster({ requests: [aRequest('now')] }));
  world.cluster.addNode('w1');
  await world.pass();
  return { run: world.theRun(), world };
}

describe('injection into the Job', () => {
  it.each(nasty)('%j is no name of a package', (text) => {
    for (const list of ['include', 'exclude', 'hold']) {
      const spec = `spec:\n  updates: { ${list}: [${JSON.stringify(text)}] }\n`;
      const prod = desire({ 'clusters/prod/policy.yaml': object('PatchPolicy', 'prod', spec) }).clusters.get('prod');
      expect(prod?.policy).toBeUndefined();
      expect(prod?.problems.length).toBeGreaterThan(0);
    }
  });

  it('whatever gets past, only values of known variables differ', async () => {
    const { run, world } = await aRun();
    const view = world.cluster.machine('w1').view;
    const settings = someSettings();
    const plain = shape(renderJob(run, newRecord(view, undefined, 0), 'patch', settings));
    const names = fc.array(fc.string(), { maxLength: 3 });
    fc.assert(
      fc.property(
        names,
        names,
        names,
        fc.option(fc.string(), { nil: undefined }),
        (include, exclude, hold, releasever) => {
          const policy = aPolicy({ updates: { include, exclude, hold, releasever } });
          const job = renderJob(
            { ...run, spec: { ...run.spec, policy } },
            newRecord(view, undefined, 0),
            'patch',
            settings,
          );
          expect(shape(job)).toEqual(plain);
          const text = JSON.stringify(job.spec);
          for (const [, name] of text.matchAll(/"name":"([A-Z_]+)","value"/g)) expect(name).toMatch(/^OSP_[A-Z_]+$/);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('a policy has no field for an image, a command or a path of the host', () => {
    const schema = readFileSync(new URL('../../schemas/patch-policy.schema.json', import.meta.url), 'utf8');
    const fields = [...schema.matchAll(/^\s*"([A-Za-z]+)": \{$/gm)].map((match) => match[1] ?? '');
    expect(fields.length).toBeGreaterThan(40);
    for (const field of fields)
      expect(field).not.toMatch(/image|command|args|script|hostPath|env$|repository|^key$|signingKey/i);
  });

  it('a hook is a name: nothing of a path, a namespace or a container gets past', () => {
    for (const text of [...nasty, 'kube-system/x', 'A', '{image: x}', '../x']) {
      const spec = `spec:\n  hooks: { before: [${JSON.stringify(text)}] }\n`;
      const prod = desire({ 'clusters/prod/policy.yaml': object('PatchPolicy', 'prod', spec) }).clusters.get('prod');
      expect(prod?.policy).toBeUndefined();
    }
  });
});

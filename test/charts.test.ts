// The chart grants exactly the rights that the adapters use, and its values have a schema.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { rights } from '../reconciler/adapters/kubernetes-rights.ts';

const chart = fileURLToPath(new URL('../charts/oakum/', import.meta.url));
const read = (path: string): string => readFileSync(chart + path, 'utf8');

interface Rule {
  readonly apiGroups?: string[];
  readonly resources?: string[];
  readonly nonResourceURLs?: string[];
  readonly verbs: string[];
  readonly resourceNames?: string[];
}
interface RoleObject {
  readonly kind: string;
  readonly metadata: { readonly namespace?: string };
  readonly rules?: Rule[];
}

/** The template with every action replaced by a word, so that it is plain YAML. */
function plain(template: string): string {
  return template
    .split('\n')
    .filter((line) => !/^\s*\{\{-? *(include|toYaml|if|end|with|range)\b.*\}\}\s*$/.test(line))
    .join('\n')
    .replaceAll(/\{\{-?\s*\.Release\.Namespace\s*-?\}\}/g, 'oakum-system')
    .replaceAll(/\{\{[^}]*\}\}/g, 'oakum');
}

const asLines = (
  rules: readonly {
    apiGroup: string;
    resource: string;
    verbs: readonly string[];
    namespace?: string | undefined;
    names?: readonly string[] | undefined;
  }[],
): string[] =>
  rules
    .map(
      (rule) =>
        `${rule.namespace ?? '(cluster)'} ${rule.apiGroup || 'core'}/${rule.resource} [${[...rule.verbs].sort().join(' ')}] ${rule.names?.join(',') ?? '*'}`,
    )
    .sort();

describe('the chart', () => {
  it('grants exactly the rights that the adapters use', () => {
    const objects = parseAllDocuments(plain(read('templates/rbac.yaml'))).map(
      (document) => document.toJS() as RoleObject,
    );
    const granted = objects
      .filter((object) => object.kind === 'ClusterRole' || object.kind === 'Role')
      .flatMap((role) =>
        (role.rules ?? []).map((rule) => ({
          apiGroup: rule.apiGroups?.[0] ?? '',
          resource: (rule.nonResourceURLs ?? rule.resources ?? [])[0] ?? '',
          verbs: rule.verbs,
          namespace: role.metadata.namespace,
          names: rule.resourceNames,
        })),
      );
    expect(asLines(granted)).toEqual(asLines(rights));
    for (const rule of objects.flatMap((object) => object.rules ?? []))
      expect([(rule.apiGroups ?? ['']).length, (rule.nonResourceURLs ?? rule.resources ?? []).length]).toEqual([1, 1]);
  });

  it('never grants the creation of nodes, secrets or anything by wildcard', () => {
    expect(rights.filter((right) => right.resource === 'nodes' && right.verbs.includes('create'))).toEqual([]);
    expect(rights.filter((right) => right.resource === 'secrets')).toEqual([]);
    expect(read('templates/rbac.yaml')).not.toContain('*');
  });

  it('has values that its own schema accepts once repo and cluster are given, and refuses without', () => {
    const validate = new Ajv({ strict: false }).compile(JSON.parse(read('values.schema.json')) as object);
    const values = parse(read('values.yaml')) as { git: object };
    expect(
      validate({ ...values, cluster: 'prod', git: { ...values.git, repo: 'https://git.example.org/config.git' } }),
      JSON.stringify(validate.errors),
    ).toBe(true);
    expect(validate(values)).toBe(false);
  });
});

// The documents by which clients learn what is served.
import { apiVersionOf, type Resource } from './kinds.ts';
import { isRecord } from './object.ts';
import type { SimResponse } from './route.ts';

const json = (body: unknown): SimResponse => ({ status: 200, headers: { 'content-type': 'application/json' }, body });
const text = (body: string): SimResponse => ({
  status: 200,
  headers: { 'content-type': 'text/plain; charset=utf-8' },
  body,
});

/** The version that the simulation gives itself out for: that of the API which it was measured against. */
const VERSION = {
  major: '1',
  minor: '36',
  gitVersion: 'v1.36.2-sim',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '2026-01-01T00:00:00Z',
  goVersion: '',
  compiler: '',
  platform: 'linux/amd64',
};

function resourceList(resources: readonly Resource[], groupVersion: string): unknown {
  const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion,
    resources: resources.flatMap((one) => [
      {
        name: one.plural,
        singularName: one.kind.toLowerCase(),
        namespaced: one.namespaced,
        kind: one.kind,
        verbs,
        ...(one.shortNames.length > 0 ? { shortNames: one.shortNames } : {}),
      },
      ...(one.status
        ? [
            {
              name: `${one.plural}/status`,
              singularName: '',
              namespaced: one.namespaced,
              kind: one.kind,
              verbs: ['get', 'patch', 'update'],
            },
          ]
        : []),
      ...one.subresources.map((sub) =>
        sub === 'eviction'
          ? {
              name: `${one.plural}/eviction`,
              singularName: '',
              namespaced: true,
              group: 'policy',
              version: 'v1',
              kind: 'Eviction',
              verbs: ['create'],
            }
          : {
              name: `${one.plural}/${sub}`,
              singularName: '',
              namespaced: one.namespaced,
              kind: one.kind,
              verbs: ['get'],
            },
      ),
    ]),
  };
}

/** The answer to a discovery or health path, or undefined when it is none. */
export function discover(resources: readonly Resource[], path: string): SimResponse | undefined {
  const clean = path.replace(/\/+$/, '') || '/';
  if (['/readyz', '/readyz/etcd', '/livez', '/healthz'].includes(clean)) return text('ok');
  if (clean === '/version') return json(VERSION);
  if (clean === '/api') return json({ kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] });
  if (clean === '/openapi/v3') return json({ paths: {} });
  const groups = [...new Set(resources.map((one) => one.group).filter((group) => group !== ''))];
  if (clean === '/apis')
    return json({ kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map((group) => groupOf(resources, group)) });
  const [, root, group, version, ...rest] = clean.split('/');
  if (rest.length > 0) return undefined;
  if (root === 'api' && group === 'v1' && version === undefined)
    return json(
      resourceList(
        resources.filter((one) => one.group === ''),
        'v1',
      ),
    );
  if (root !== 'apis' || group === undefined || !groups.includes(group)) return undefined;
  if (version === undefined) {
    const about = groupOf(resources, group);
    return json(isRecord(about) ? { kind: 'APIGroup', apiVersion: 'v1', ...about } : about);
  }
  const served = resources.filter((one) => one.group === group && one.version === version);
  return served.length === 0 ? undefined : json(resourceList(served, `${group}/${version}`));
}

function groupOf(resources: readonly Resource[], group: string): unknown {
  const versions = [...new Set(resources.filter((one) => one.group === group).map(apiVersionOf))].map(
    (groupVersion) => ({
      groupVersion,
      version: groupVersion.split('/')[1],
    }),
  );
  return { name: group, versions, preferredVersion: versions[0] };
}

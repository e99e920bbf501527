// Files that come with the program: the schemas, the patch script and the pages about reasons, found beside the code in the checkout and in the package.
import { readdirSync, readFileSync } from 'node:fs';
import { AdapterError } from '../model/failure.ts';
import type { Reason } from '../model/reason.ts';

const schemaFiles = {
  Fleet: 'fleet',
  Cluster: 'cluster',
  PatchPolicy: 'patch-policy',
  PatchRequest: 'patch-request',
  PatchRun: 'patch-run',
  PatchApproval: 'patch-approval',
  AcceptRewrite: 'accept-rewrite',
  Rollout: 'rollout',
  ClusterStatus: 'cluster-status',
  FleetStatus: 'fleet-status',
} as const;

/** Kinds that have a schema. */
export type SchemaKind = keyof typeof schemaFiles;

/** Both `reconciler/adapters/` and `dist/adapters/` lie one floor below the folder that `schemas/` is beside. */
const root = new URL('../../', import.meta.url);
/** `reconciler/patch/` in the checkout, `dist/patch/` in the package. */
const patchFolder = new URL('../patch/', import.meta.url);

/** All schemas as parsed JSON. Throws AdapterError `missing` when the installation is not complete. */
export function readSchemas(): Readonly<Record<SchemaKind, object>> {
  const read = (kind: SchemaKind): object => {
    const schema: unknown = JSON.parse(readAsset(new URL(`schemas/${schemaFiles[kind]}.schema.json`, root)));
    if (typeof schema !== 'object' || schema === null) throw incomplete(`schemas/${schemaFiles[kind]}.schema.json`);
    return schema;
  };
  return {
    Fleet: read('Fleet'),
    Cluster: read('Cluster'),
    PatchPolicy: read('PatchPolicy'),
    PatchRequest: read('PatchRequest'),
    PatchRun: read('PatchRun'),
    PatchApproval: read('PatchApproval'),
    AcceptRewrite: read('AcceptRewrite'),
    Rollout: read('Rollout'),
    ClusterStatus: read('ClusterStatus'),
    FleetStatus: read('FleetStatus'),
  };
}

/** The schemas of the files that people write, by file name and word for word: for editors. Throws AdapterError `missing` when one is not there. */
export function readSchemaFiles(): ReadonlyMap<string, string> {
  const written = Object.entries(schemaFiles).filter(([kind]) => !kind.endsWith('Status'));
  return new Map(
    written.map(([, word]): [string, string] => {
      const name = `${word}.schema.json`;
      return [name, readAsset(new URL(`schemas/${name}`, root))];
    }),
  );
}

/** The script that runs on a node: the parts of `patch/` in the order of their names. Throws AdapterError `missing` when there are none. */
export function readPatchScript(): string {
  let names: string[];
  try {
    names = readdirSync(patchFolder)
      .filter((name) => name.endsWith('.sh'))
      .sort();
  } catch {
    throw incomplete('patch/');
  }
  if (names.length === 0) throw incomplete('patch/');
  return names.map((name) => readAsset(new URL(name, patchFolder)).replace(/\n*$/, '\n')).join('');
}

/** The page about a reason (Markdown); undefined where the program was installed without its documentation. */
export function readReasonPage(reason: Reason): string | undefined {
  try {
    return readFileSync(new URL(`docs/reasons/${reason}.md`, root), 'utf8');
  } catch {
    return undefined;
  }
}

function readAsset(file: URL): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw incomplete(file.pathname.split('/').slice(-2).join('/'));
  }
}

function incomplete(what: string): AdapterError {
  return new AdapterError('missing', 'AssetMissing', `${what} is missing beside the program; install Oakum again`);
}

// The documentation is true: links lead somewhere, generated parts are up to date, examples are valid, and marked commands run.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSchemas } from '../reconciler/adapters/assets.ts';
import { openMetrics } from '../reconciler/adapters/metrics.ts';
import { createDesire } from '../reconciler/desired/desired.ts';
import type { InputFile } from '../reconciler/desired/read-file.ts';
import type { Desired } from '../reconciler/model/desired.ts';
import * as names from '../reconciler/model/names.ts';
import { isReason } from '../reconciler/model/reason.ts';
import { unsupported } from '../reconciler/plan/gates.ts';
import { complianceTable } from '../reconciler/report/compliance.ts';
import { fieldsOf } from './support/fields-page.ts';
import { reasonRegions, regions, split } from './support/write-docs.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

function pagesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return ['node_modules', 'dist', '.git'].includes(entry.name) ? [] : pagesBelow(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

const pages = pagesBelow('');
const guides = pages.filter((page) => page === 'README.md' || page.startsWith('docs/'));
const text = (page: string): string => readFileSync(join(root, page), 'utf8');

/** Fenced blocks with this language line, in order. */
function blocks(page: string, language: string): string[] {
  return [...text(page).matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)]
    .filter((match) => match[1] === language)
    .map((match) => match[2] ?? '');
}

/** The anchors that a forge makes of headings. */
function anchors(page: string): Set<string> {
  const headings = [...text(page).matchAll(/^#+ (.+)$/gm)].map((match) => match[1] ?? '');
  return new Set(
    headings.map((line) =>
      line
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

const desire = createDesire(readSchemas());

/** What a repository of these files says. */
function desireOf(texts: Readonly<Record<string, string>>): Desired {
  const files = new Map(
    Object.entries(texts).map(([path, body]): [string, InputFile] => [
      path,
      { path, oid: path, kind: 'file', text: body },
    ]),
  );
  return desire({ commit: 'c', committedAt: 0, files, changed: undefined });
}

test.each(pages)('links of %s lead somewhere', (page) => {
  const prose = text(page)
    .replaceAll(/^```[\s\S]*?^```$/gm, '')
    .replaceAll(/`[^`\n]*`/g, '');
  const broken = [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1] ?? '')
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : join(dirname(page), path);
      if (!existsSync(join(root, file))) return true;
      return anchor !== undefined && !anchors(file).has(anchor);
    });
  expect(broken).toEqual([]);
});

test.each(regions)('$file has the newest $name (else run: node test/support/write-docs.ts)', ({ file, name, draw }) => {
  expect(split(text(file), name)[1].trim()).toBe(draw());
});

describe('a page for every reason', () => {
  const run = 'node test/support/write-docs.ts';
  const how =
    'In this order: `- **Where:**` (node, run, request or cluster; does it wait, was it skipped, did it fail), `- **Meanwhile:**` (what Oakum does, when it ' +
    'looks again), how to find the cause (commands), the commit to make (YAML, it is validated), a link to the page of the feature. docs/reasons/DrainTimeout.md is an example.';

  test('none is missing, none is left over', () => {
    const wanted = reasonRegions.map(({ file }) => file);
    const there = guides.filter((page) => page.startsWith('docs/reasons/'));
    const advice = [
      ...wanted
        .filter((page) => !there.includes(page))
        .map((page) => `${page} is missing: run \`${run}\`, which begins it, then write it. ${how}`),
      ...there
        .filter((page) => !isReason(page.replace('docs/reasons/', '').replace('.md', '')))
        .map((page) => `${page} is about a reason that is not in model/reason.ts: delete or rename it`),
    ];
    expect(advice).toEqual([]);
  });

  test.each(reasonRegions.filter(({ file }) => existsSync(join(root, file))))('$file', ({ file, name, draw }) => {
    const [before, head, after] = split(text(file), name);
    const advice = [
      ...(head.trim() === draw() ? [] : [`its head is not what model/reason.ts says: run \`${run}\``]),
      ...(before.startsWith(`# ${file.replace('docs/reasons/', '').replace('.md', '')}\n`)
        ? []
        : ['its title is not the reason']),
      ...(after.includes('\n- **Where:** ') &&
      after.includes('\n- **Meanwhile:** ') &&
      /\]\((\.\.\/)?[\w-]+\.md/.test(after)
        ? []
        : [`write it below the generated head. ${how}`]),
    ];
    expect(advice).toEqual([]);
  });

  test('what they quote has been said by a simulated cluster', () => {
    const folder = join(root, 'test/scenarios/golden');
    const said = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
    const quoted = guides.flatMap((page) =>
      blocks(page, 'text golden').flatMap((block) =>
        block
          .trim()
          .split('\n')
          .map((line) => ({ page, line })),
      ),
    );
    expect(quoted.length).toBeGreaterThan(30);
    // Quote the new words of the story (`…` stands for anything), or leave the quotation out.
    const unsaid = quoted.filter(({ line }) => {
      const parts = line.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
      return !said.some((story) => new RegExp(parts.join('.*')).test(story));
    });
    expect(unsaid).toEqual([]);
  });
});

test('every field of a policy is named in docs/policy.md', () => {
  const page = text('docs/policy.md');
  const fields = fieldsOf('patch-policy').map(({ path }) => path.slice('spec.'.length));
  expect(fields.length).toBeGreaterThan(60);
  expect(fields.filter((field) => !page.includes(`| \`${field}\` |`))).toEqual([]);
});

test('docs/policy.md names every field that this version does not carry out', () => {
  const section = /^## Not carried out by this version\n([\s\S]*?)^## /m.exec(text('docs/policy.md'))?.[1] ?? '';
  const greedy = `apiVersion: oakum.dev/v1alpha1
kind: PatchPolicy
metadata: { name: prod }
spec:
  strategy: Replace
  onBoot: true
  hooks: { before: [warm-cache] }
  gates: [{ podSelector: app=batch }]
  updates: { lock: true, minAge: 3d }
  maxAge: 30d
`;
  const policy = desireOf({ 'clusters/prod/policy.yaml': greedy }).clusters.get('prod')?.policy;
  const fields = policy ? unsupported(policy) : [];
  expect(fields.length).toBeGreaterThan(0);
  expect(fields.filter((field) => !section.includes(`\`${field}\``))).toEqual([]);
});

test('docs/decisions.md numbers its paragraphs in order: take the next number when you land', () => {
  const numbers = [...text('docs/decisions.md').matchAll(/^(\d+)\. \*\*/gm)].map((match) => Number(match[1]));
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});

test('docs/README.md lists every page', () => {
  const index = text('docs/README.md');
  const listed = guides.filter((page) => /^docs\/[^/]+\.md$/.test(page) && page !== 'docs/README.md');
  expect(listed.length).toBeGreaterThan(20);
  expect(listed.filter((page) => !index.includes(`](${page.slice('docs/'.length)})`))).toEqual([]);
});

test('docs/nodes.md names every label, annotation and taint', () => {
  const page = text('docs/nodes.md');
  const marks = Object.values<unknown>(names).filter(
    (name): name is string =>
      typeof name === 'string' && name.startsWith(`${names.domain}/`) && name !== names.apiVersion,
  );
  expect(marks.length).toBeGreaterThan(15);
  expect(marks.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});

test('docs/status.md names every column of compliance.csv', () => {
  const columns = complianceTable([]).trim().split(',');
  const section = /^## For auditors\n([\s\S]*?)^## /m.exec(text('docs/status.md'))?.[1] ?? '';
  expect(columns.filter((column) => !section.includes(`\`${column}\``))).toEqual([]);
});

test('docs/install.md names every value of the chart', () => {
  const page = text('docs/install.md');
  const schema = JSON.parse(readFileSync(join(root, 'charts/oakum/values.schema.json'), 'utf8')) as {
    properties: Record<string, { properties?: Record<string, unknown> }>;
  };
  const values = Object.entries(schema.properties).flatMap(([name, { properties }]) =>
    properties ? Object.keys(properties).map((inner) => `${name}.${inner}`) : [name],
  );
  expect(values.filter((value) => value !== 'global' && !page.includes(`\`${value}\``))).toEqual([]);
});

test('docs/status.md names the metrics that there are', async () => {
  const exported = [...(await openMetrics().text()).matchAll(/^# HELP (oakum_\w+) /gm)].map((match) => match[1] ?? '');
  const told = [...new Set([...text('docs/status.md').matchAll(/`(oakum_\w+)/g)].map((match) => match[1] ?? ''))];
  expect(told.sort()).toEqual(exported.sort());
});

/** The clusters of which rollouts in the guides speak. */
const aFleet = Object.fromEntries(
  Object.entries({
    dev: 'development',
    'staging-1': 'staging',
    'staging-2': 'staging',
    'prod-eu': 'production',
    'prod-us': 'production',
  }).map(([name, environment]) => [
    `clusters/${name}/cluster.yaml`,
    `apiVersion: oakum.dev/v1alpha1\nkind: Cluster\nmetadata: { name: ${name} }\nspec: { labels: { environment: ${environment} } }\n`,
  ]),
);

describe('YAML of the guides', () => {
  const examples = guides.flatMap((page) =>
    blocks(page, 'yaml').map((yaml) => ({ page, yaml, path: /^# (\S+)\n/.exec(yaml)?.[1] ?? '' })),
  );

  test('there is some, and each says which file it is', () => {
    expect(examples.length).toBeGreaterThan(8);
    expect(
      examples.filter(
        ({ path }) => !/^(oakum|accept-rewrite|clusters\/.+|policies\/.+|rollouts\/.+)\.yaml$/.test(path),
      ),
    ).toEqual([]);
  });

  test.each(examples)('$page: $path is valid', ({ page, yaml, path }) => {
    // Shared policies of the same page are there, and the cluster has a policy.
    const shared = examples.filter((other) => other.page === page && other.path.startsWith('policies/'));
    const files = {
      ...(path.startsWith('rollouts/') ? aFleet : {}),
      ...Object.fromEntries([...shared, { yaml, path }].map((one) => [one.path, one.yaml])),
    };
    const desired = desireOf(files);
    expect(desired.problems).toEqual([]);
    // Nobody copies an example that would only hold.
    for (const { policy } of desired.clusters.values()) expect(policy ? unsupported(policy) : []).toEqual([]);
  });
});

test('commands of the guides have verbs and options that there are', () => {
  const [, list] = split(text('docs/cli.md'), 'verbs');
  const sections = list.split(/^##+ /m).map((section): [string, string] => [section.split('\n')[0] ?? '', section]);
  const shared = sections.filter(([title]) => title.startsWith('Options of')).map(([, section]) => section);
  const known = new Map(sections.map(([title, section]) => [title, section + shared.join('')]));
  const used = guides.flatMap((page) => {
    const joined = text(page).replaceAll(/\\\n\s*/g, '');
    const blocks = [...joined.matchAll(/^(?: {4,}|)oakum ([a-z][a-z-]*)\b(.*)$/gm)];
    const inline = [...joined.matchAll(/`oakum ([a-z][a-z-]*)\b([^`\n]*)`/g)];
    return [...blocks, ...inline].map(([line, verb = '', rest = '']) => ({ page, line: line.trim(), verb, rest }));
  });
  expect(used.length).toBeGreaterThan(60);
  const wrong = used.filter(({ verb, rest }) => {
    const section = known.get(verb);
    if (section === undefined) return true;
    const flags = [...rest.replace(/ # .*$/, '').matchAll(/(?:^|\s)(--[a-z][a-z-]*)/g)].map((match) => match[1] ?? '');
    return flags.some((flag) => flag !== '--help' && !section.includes(`${flag} `) && !section.includes(`${flag}\``));
  });
  expect(wrong).toEqual([]);
});

describe('commands of the guides', () => {
  const scripts = guides
    .map((page) => ({ page, script: blocks(page, 'sh test').join('\n') }))
    .filter(({ script }) => script !== '');
  let folder = '';

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'oakum-docs-'));
    mkdirSync(join(folder, 'bin'));
    const shim = `#!/bin/sh\nexec "${process.execPath}" "${join(root, 'reconciler/main.ts')}" "$@"\n`;
    writeFileSync(join(folder, 'bin/oakum'), shim);
    chmodSync(join(folder, 'bin/oakum'), 0o755);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('there are some', () => {
    expect(scripts.map(({ page }) => page)).toContain('docs/first-policy.md');
  });

  test.each(scripts)('those of $page run', ({ page, script }) => {
    const home = mkdtempSync(join(folder, 'home-'));
    const repo = join(home, 'remote.git');
    const env = {
      PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`,
      HOME: home,
      REPO: repo,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_AUTHOR_NAME: 'reader',
      GIT_AUTHOR_EMAIL: 'reader@example.org',
      GIT_COMMITTER_NAME: 'reader',
      GIT_COMMITTER_EMAIL: 'reader@example.org',
    };
    const options = { cwd: home, env, encoding: 'utf8', timeout: 60_000 } as const;
    expect(spawnSync('git', ['init', '--quiet', '--bare', '--initial-branch=main', repo], options).status).toBe(0);
    const { status, stdout, stderr } = spawnSync('sh', ['-eu', '-c', script], options);
    expect({ page, status, stderr: status === 0 ? '' : stdout + stderr }).toEqual({ page, status: 0, stderr: '' });
    const pushed = spawnSync('git', ['-C', repo, 'log', '--format=%s', 'main'], options).stdout.trim();
    expect(pushed === '' ? 0 : pushed.split('\n').length).toBe((script.match(/git commit/g) ?? []).length);
  });
});

// Problems at their lines on GitHub: check runs with annotations, which only a GitHub App may write.
import { digest } from '../model/digest.ts';
import type { Problem } from '../model/failure.ts';
import type { Forge } from '../ports.ts';
import { everyPage, pageSize, projectOf, type GithubClient } from './forge-github-client.ts';
import { shorten } from './forge-text.ts';
import type { ForgeOptions } from './forge-options.ts';

/** GitHub takes so many annotations with one request (docs.github.com, "Create a check run"). */
const perRequest = 50;
/** More would bury the change under them; the summary says how many are left out. */
const mostAnnotations = 200;
const longestMessage = 4_000;
const longestTitle = 255;

/** What GitHub is told of one problem. Columns are of one line only, as GitHub wants them. */
interface Annotation {
  readonly path: string;
  readonly start_line: number;
  readonly end_line: number;
  readonly start_column: number;
  readonly end_column: number;
  readonly annotation_level: 'failure';
  readonly title?: string;
  readonly message: string;
}

/** Opens the part of the port that shows problems; undefined for a token, from which GitHub takes no check run. */
export function openGithubChecks(options: ForgeOptions, client: GithubClient): Pick<Forge, 'annotate'> {
  if (options.credentials.kind !== 'app') return {};
  const project = projectOf(options);
  return {
    async annotate(commit, { name, problems }, signal) {
      const slug = (await client.viewer(signal)).replace(/\[bot\]$/, '');
      await client.call(
        `show problems on ${commit}`,
        'Checks: read and write',
        signal,
        async (octokit, request, call) => {
          const shown = problems.slice(0, mostAnnotations).map(annotationOf);
          const mark = digest([problems]);
          const runs = await everyPage(call, async (page) => {
            const { data, headers } = await octokit.rest.checks.listForRef({
              ...project,
              ref: commit,
              check_name: name,
              filter: 'latest',
              per_page: pageSize,
              page,
              request,
            });
            return { data: data.check_runs, headers };
          });
          // Apps have check runs of their own, also under the same name.
          const now = runs.filter((one) => one.app?.slug === slug).sort((one, other) => other.id - one.id)[0];
          if (now === undefined && problems.length === 0) return;
          // One that was cut off is not complete, or lacks annotations.
          const whole = now?.status === 'completed' && now.output.annotations_count === shown.length;
          if (whole && now.external_id === mark) return;
          const output = { title: titleOf(problems), summary: summaryOf(problems) };
          const done = {
            status: 'completed',
            conclusion: problems.length === 0 ? 'success' : 'failure',
          } as const;
          const [first = [], ...others] = inParts(shown);
          // Annotations are only ever added to a check run. A new one of the same name takes the place of the old one, and theirs.
          const { data: run } = await octokit.rest.checks.create({
            ...project,
            name,
            head_sha: commit,
            external_id: mark,
            ...(others.length === 0 ? done : { status: 'in_progress' as const }),
            output: { ...output, annotations: first },
            request: { ...request, retries: 0 },
          });
          for (const [index, annotations] of others.entries())
            await octokit.rest.checks.update({
              ...project,
              check_run_id: run.id,
              ...(index === others.length - 1 ? done : {}),
              output: { ...output, annotations },
              // A second try would add them twice.
              request: { ...request, retries: 0 },
            });
        },
      );
    },
  };
}

function annotationOf(problem: Problem): Annotation {
  const line = Math.max(1, problem.line);
  const column = Math.max(1, problem.column);
  return {
    path: problem.file,
    start_line: line,
    end_line: line,
    start_column: column,
    end_column: column,
    annotation_level: 'failure',
    ...(problem.path === '' ? {} : { title: shorten(problem.path, longestTitle) }),
    message: shorten(problem.message, longestMessage),
  };
}

function inParts(all: Annotation[]): Annotation[][] {
  const parts: Annotation[][] = [];
  for (let at = 0; at < all.length; at += perRequest) parts.push(all.slice(at, at + perRequest));
  return parts;
}

function titleOf(problems: readonly Problem[]): string {
  return problems.length === 0 ? 'No problems' : problems.length === 1 ? '1 problem' : `${problems.length} problems`;
}

function summaryOf(problems: readonly Problem[]): string {
  if (problems.length === 0) return 'What was wrong before is right now.';
  const left = problems.length - mostAnnotations;
  const more = left > 0 ? ` ${left} more are not shown here: see \`oakum validate\`.` : '';
  return `Each is at its line. The clusters that use these files hold until they are right.${more}`;
}

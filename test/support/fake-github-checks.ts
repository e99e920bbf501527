// GitHub's check runs over a false forge: only programs write them, and annotations are only ever added.
import type { Account, FakeCheck, FakeForge } from './fake-forge.ts';
import { pageOf, type ForgeAnswer, type ForgeRequest } from './fake-forge-server.ts';

type Fields = Readonly<Record<string, unknown>>;

const time = (at: number): string => new Date(at).toISOString().replace('.000Z', 'Z');
const word = (value: unknown): string => (typeof value === 'string' ? value : '');
const number = (value: unknown): number => (typeof value === 'number' ? value : 0);
const fields = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});
const refusal = (status: number, message: string): ForgeAnswer => ({
  status,
  body: { message, documentation_url: 'https://docs.github.com/rest', status: String(status) },
});

/** docs.github.com, "Create a check run": at most so many annotations with one request. */
const perRequest = 50;

/** `check-run` of GitHub's description; `app` is the whole program that wrote it. */
function shown(one: FakeCheck, forge: FakeForge, root: string, app: unknown): Fields {
  const url = `${root}/repos/${forge.owner}/${forge.name}/check-runs/${one.id}`;
  return {
    id: one.id,
    node_id: Buffer.from(`CheckRun:${one.id}`).toString('base64'),
    head_sha: one.commit,
    external_id: one.mark,
    url,
    html_url: url,
    details_url: null,
    name: one.name,
    status: one.status,
    conclusion: one.conclusion ?? null,
    started_at: time(one.startedAt),
    completed_at: one.endedAt === undefined ? null : time(one.endedAt),
    output: {
      title: one.title,
      summary: one.summary,
      text: null,
      annotations_count: one.annotations.length,
      annotations_url: `${url}/annotations`,
    },
    check_suite: { id: 1 },
    app,
    pull_requests: [],
  };
}

/** Takes what a request says into a check run; what is wrong with it, or undefined. */
function take(one: FakeCheck, body: Fields, forge: FakeForge): string | undefined {
  const output = fields(body['output']);
  const annotations = Array.isArray(output['annotations']) ? (output['annotations'] as unknown[]).map(fields) : [];
  if (annotations.length > perRequest) return `annotations: at most ${perRequest}`;
  for (const given of annotations) {
    const [line, column] = [number(given['start_line']), number(given['start_column'])];
    const oneLine = given['end_line'] === line;
    if (line < 1 || (column > 0 && !oneLine) || number(given['end_column']) < column)
      return 'annotations: a wrong range';
    one.annotations.push({ path: word(given['path']), line, column, text: word(given['message']) });
  }
  one.title = word(output['title']) || one.title;
  one.summary = word(output['summary']) || one.summary;
  if (body['status'] !== undefined) one.status = word(body['status']);
  if (one.status === 'completed') {
    if (body['conclusion'] === undefined) return 'a conclusion is needed';
    one.conclusion = word(body['conclusion']);
    one.endedAt = forge.tick();
  }
  return undefined;
}

/** The newest check run of each name and program, as GitHub shows them. */
export function latestChecks(commit: string, forge: FakeForge): readonly FakeCheck[] {
  const newest = new Map<string, FakeCheck>();
  for (const one of forge.checks) if (one.commit === commit) newest.set(`${one.by.id} ${one.name}`, one);
  return [...newest.values()];
}

/** `GET commits/{ref}/check-runs`. `appOf` shows the program of an account. */
export function listChecks(
  commit: string,
  request: ForgeRequest,
  forge: FakeForge,
  appOf: (account: Account) => unknown,
): ForgeAnswer {
  const name = request.query.get('check_name');
  const found = latestChecks(commit, forge).filter((one) => name === null || one.name === name);
  const { items, headers } = pageOf(found, request, forge);
  const runs = items.map((one) => shown(one, forge, request.root, appOf(one.by)));
  return { status: 200, headers, body: { total_count: found.length, check_runs: runs } };
}

/** `POST check-runs`, and `PATCH check-runs/{id}` when there is an id. */
export async function writeCheck(
  id: string,
  request: ForgeRequest,
  viewer: Account,
  forge: FakeForge,
  appOf: (account: Account) => unknown,
): Promise<ForgeAnswer> {
  const { body, method, root } = request;
  if (!viewer.bot) return refusal(403, 'You must authenticate via a GitHub App.');
  const known = forge.checks.find((one) => String(one.id) === id);
  if (method === 'PATCH') {
    if (known === undefined || known.by !== viewer) return refusal(404, 'Not Found');
    const wrong = take(known, body, forge);
    return wrong === undefined
      ? { status: 200, body: shown(known, forge, root, appOf(known.by)) }
      : refusal(422, `Invalid request. ${wrong}`);
  }
  const commit = word(body['head_sha']);
  if ((await forge.tip(commit)) === undefined) return refusal(422, `No commit found for SHA: ${commit}`);
  const made: FakeCheck = {
    id: forge.id(),
    by: viewer,
    name: word(body['name']),
    commit,
    mark: word(body['external_id']),
    status: 'queued',
    conclusion: undefined,
    title: '',
    summary: '',
    startedAt: forge.tick(),
    endedAt: undefined,
    annotations: [],
  };
  const wrong = take(made, body, forge);
  if (wrong !== undefined) return refusal(422, `Invalid request. ${wrong}`);
  forge.checks.push(made);
  return { status: 201, body: shown(made, forge, root, appOf(viewer)) };
}

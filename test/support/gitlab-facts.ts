// What GitLab's own description of its REST API says about the endpoints that Oakum uses, in a form of our own; and where GitLab is otherwise.
//
// Source of all facts: `doc/api/openapi/openapi_v3.yaml` of https://gitlab.com/gitlab-org/gitlab, read in its mirror
// https://github.com/gitlabhq/gitlabhq at commit 045bf8777ea893e770b49d420febaeb7bf89e24a (the description of GitLab 19.5). Names of entities are
// those of the description without `APIEntities`. Left out is what is neither sent nor answered here; the description itself is not in this repository.

/** What a value is: a type of JSON, a time in ISO 8601, a list, one of some words, or an entity by its name. */
export type Fact =
  | 'string'
  | 'integer'
  | 'boolean'
  | 'instant'
  | { readonly list: Fact }
  | { readonly words: readonly string[] }
  | { readonly entity: string };
export type Facts = Readonly<Record<string, Fact>>;

/** One operation. */
export interface EndpointFacts {
  /** Parameters of the path that are integers; the others are any one segment. */
  readonly integers?: readonly string[];
  readonly query?: Facts;
  readonly body?: Facts;
  /** Fields that the body must have. */
  readonly required?: readonly string[];
  readonly status: number;
  readonly answer: Fact;
}

const entity = (name: string): Fact => ({ entity: name });
const list = (of: Fact): Fact => ({ list: of });
const words = (...all: readonly string[]): Fact => ({ words: all });

// Schemas under `components.schemas`.
const userBasic: Facts = {
  id: 'integer',
  username: 'string',
  name: 'string',
  state: 'string',
  locked: 'boolean',
  web_url: 'string',
};
const mergeRequestBasic: Facts = {
  id: 'integer',
  iid: 'integer',
  project_id: 'integer',
  title: 'string',
  description: 'string',
  state: 'string',
  created_at: 'instant',
  updated_at: 'instant',
  merge_user: entity('UserBasic'),
  merged_at: 'instant',
  target_branch: 'string',
  source_branch: 'string',
  author: entity('MergeRequestAuthor'),
  source_project_id: 'integer',
  target_project_id: 'integer',
  sha: 'string',
  merge_commit_sha: 'string',
  squash_commit_sha: 'string',
  web_url: 'string',
};
export const entities: Readonly<Record<string, Facts>> = {
  UserBasic: userBasic,
  UserPublic: userBasic,
  UserProfile: { ...userBasic, public_email: 'string', bot: 'boolean' },
  Member: { ...userBasic, membership_state: 'string' },
  MergeRequestAuthor: userBasic,
  MergeRequestBasic: mergeRequestBasic,
  MergeRequest: { ...mergeRequestBasic, diff_refs: entity('DiffRefs') },
  DiffRefs: { base_sha: 'string', head_sha: 'string', start_sha: 'string' },
  MergeRequestDiff: {
    id: 'integer',
    head_commit_sha: 'string',
    base_commit_sha: 'string',
    start_commit_sha: 'string',
    created_at: 'instant',
    state: 'string',
  },
  MergeRequestApprovals: { user_has_approved: 'boolean', approved: 'boolean', approved_by: entity('Approvals') },
  Approvals: { user: entity('UserBasic'), approved_at: 'instant' },
  MergeRequestReviewer: { user: entity('UserBasic'), state: 'string' },
  ApprovalSettings: { reset_approvals_on_push: 'boolean', merge_requests_disable_committers_approval: 'boolean' },
  Note: {
    id: 'integer',
    body: 'string',
    author: entity('UserBasic'),
    created_at: 'instant',
    system: 'boolean',
    noteable_iid: 'integer',
  },
  Commit: {
    id: 'string',
    parent_ids: list('string'),
    message: 'string',
    author_name: 'string',
    author_email: 'string',
    authored_date: 'instant',
    committer_name: 'string',
    committer_email: 'string',
    committed_date: 'instant',
  },
  CommitStatus: { id: 'integer', sha: 'string', status: 'string', name: 'string', description: 'string' },
  Branch: { name: 'string', commit: entity('Commit') },
};

const pages: Facts = { page: 'integer', per_page: 'integer' };
const upOrDown = words('asc', 'desc');
const request = { integers: ['merge_request_iid'], status: 200 } as const;

/** By `METHOD /path/{parameter}`, below `/api/v4`. */
export const endpoints: Readonly<Record<string, EndpointFacts>> = {
  // Tags "Users" and "Members".
  'GET /user': { status: 200, answer: entity('UserPublic') },
  'GET /users': { query: { search: 'string', per_page: 'integer' }, status: 200, answer: list(entity('UserBasic')) },
  'GET /users/{id}': { integers: ['id'], status: 200, answer: entity('UserProfile') },
  'GET /groups/{id}/members/all': { query: pages, status: 200, answer: list(entity('Member')) },
  // Tag "Merge requests".
  'GET /projects/{id}/merge_requests': {
    query: {
      ...pages,
      state: words('opened', 'closed', 'locked', 'merged', 'all'),
      order_by: words(
        ...[
          'created_at',
          'label_priority',
          'milestone_due',
          'popularity',
          'priority',
          'title',
          'updated_at',
          'merged_at',
        ],
      ),
      sort: upOrDown,
      source_branch: 'string',
      target_branch: 'string',
    },
    status: 200,
    answer: list(entity('MergeRequestBasic')),
  },
  'POST /projects/{id}/merge_requests': {
    body: { title: 'string', source_branch: 'string', target_branch: 'string', description: 'string' },
    required: ['title', 'source_branch', 'target_branch'],
    status: 201,
    answer: entity('MergeRequest'),
  },
  'GET /projects/{id}/merge_requests/{merge_request_iid}': { ...request, answer: entity('MergeRequest') },
  'PUT /projects/{id}/merge_requests/{merge_request_iid}': {
    ...request,
    body: { title: 'string', description: 'string', state_event: words('close', 'reopen') },
    answer: entity('MergeRequest'),
  },
  'GET /projects/{id}/merge_requests/{merge_request_iid}/reviewers': {
    ...request,
    answer: list(entity('MergeRequestReviewer')),
  },
  'GET /projects/{id}/merge_requests/{merge_request_iid}/commits': {
    ...request,
    query: pages,
    answer: list(entity('Commit')),
  },
  'GET /projects/{id}/merge_requests/{merge_request_iid}/versions': {
    ...request,
    query: pages,
    answer: list(entity('MergeRequestDiff')),
  },
  // Tags "Merge request approvals" and "Project approvals".
  'GET /projects/{id}/merge_requests/{merge_request_iid}/approvals': {
    ...request,
    answer: entity('MergeRequestApprovals'),
  },
  'GET /projects/{id}/approvals': { status: 200, answer: entity('ApprovalSettings') },
  // Tag "Notes".
  'GET /projects/{id}/merge_requests/{noteable_id}/notes': {
    integers: ['noteable_id'],
    query: { ...pages, sort: upOrDown },
    status: 200,
    answer: entity('Note'),
  },
  'POST /projects/{id}/merge_requests/{noteable_id}/notes': {
    integers: ['noteable_id'],
    body: { body: 'string' },
    required: ['body'],
    status: 201,
    answer: entity('Note'),
  },
  'PUT /projects/{id}/merge_requests/{noteable_id}/notes/{note_id}': {
    integers: ['noteable_id', 'note_id'],
    body: { body: 'string' },
    status: 200,
    answer: entity('Note'),
  },
  'DELETE /projects/{id}/merge_requests/{noteable_id}/notes/{note_id}': {
    integers: ['noteable_id', 'note_id'],
    status: 200,
    answer: entity('Note'),
  },
  // Tags "Branches", "Commits" and "Commit statuses".
  'GET /projects/{id}/repository/branches/{branch}': { status: 200, answer: entity('Branch') },
  'GET /projects/{id}/repository/commits': {
    query: { ...pages, ref_name: 'string', path: 'string' },
    status: 200,
    answer: list(entity('Commit')),
  },
  'GET /projects/{id}/repository/commits/{sha}/merge_requests': {
    query: pages,
    status: 200,
    answer: list(entity('MergeRequestBasic')),
  },
  'GET /projects/{id}/repository/commits/{sha}/statuses': {
    query: pages,
    status: 200,
    answer: list(entity('CommitStatus')),
  },
  'POST /projects/{id}/statuses/{sha}': {
    body: {
      state: words('pending', 'running', 'success', 'failed', 'canceled', 'skipped'),
      name: 'string',
      description: 'string',
    },
    required: ['state'],
    status: 200,
    answer: entity('CommitStatus'),
  },
};

const merges =
  'docs.gitlab.com/api/merge_requests shows null, and what is not nullable is not marked as such by the description';
const lists = 'the description names the entity and forgets that there are many; docs.gitlab.com shows a list:';
/** Where GitLab is known to do otherwise than it describes, one by one: what {@link openGitlabCheck} says of it, and who says that it is so. */
export const otherwise: Readonly<Record<string, string>> = {
  'GET /projects/{id}/merge_requests/{merge_request_iid}/reviewers: query "page" is not described':
    'lib/api/merge_requests.rb gives out this list by `paginate`, which reads both, and declares neither',
  'GET /projects/{id}/merge_requests/{merge_request_iid}/reviewers: query "per_page" is not described':
    'lib/api/merge_requests.rb gives out this list by `paginate`, which reads both, and declares neither',
  'GET /projects/{id}/merge_requests/{noteable_id}/notes: the answer is a list, not Note': `${lists} api/notes`,
  'MergeRequestApprovals.approved_by is a list, not Approvals': `${lists} api/merge_request_approvals`,
  'DELETE /projects/{id}/merge_requests/{noteable_id}/notes/{note_id}: status 204, not 200':
    'docs.gitlab.com/api/rest/troubleshooting, "Status codes": what was deleted is answered with 204 and no content',
  'POST /projects/{id}/statuses/{sha}: status 201, not 200':
    'docs.gitlab.com/api/rest/troubleshooting, "Status codes": what was made by POST is answered with 201',
  'MergeRequestBasic.merge_user is null, not UserBasic': merges,
  'MergeRequestBasic.merged_at is null, not instant': merges,
  'MergeRequestBasic.merge_commit_sha is null, not string': merges,
  'MergeRequestBasic.squash_commit_sha is null, not string': merges,
  'MergeRequest.merge_user is null, not UserBasic': merges,
  'MergeRequest.merged_at is null, not instant': merges,
  'MergeRequest.merge_commit_sha is null, not string': merges,
  'MergeRequest.squash_commit_sha is null, not string': merges,
};

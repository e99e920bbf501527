// Reasons about who approved what. A part of the closed list.

/** See {@link reasons} in reason.ts. */
export const approvalReasons = {
  AwaitingApproval: {
    about: 'The policy wants an approval for this run and there is none yet.',
    wayOut:
      'Review and merge the proposal. If the message says that the deployment demands more, set `approval.mode` to that.',
  },
  NotApproved: {
    about: 'The run was not approved in time.',
    wayOut: 'Approve the next one earlier, or commit a request.',
  },
  MergedWithoutApproval: {
    about:
      'What is on the branch was merged, or pushed, without the approvals that the rules demand. It is not what counts: nothing is done.',
    wayOut:
      'Commit it again through a pull request and have it approved before it is merged (a request under another name).',
  },
  ApprovalOutdated: {
    about: 'What was approved is not what would be done now: a file that takes part has changed since.',
    wayOut: 'Review and merge the renewed proposal, or commit the request again under another name.',
  },
  ApprovalUnverifiable: {
    about: 'Whether enough of the right people approved cannot be found out. Nothing starts on a doubt.',
    wayOut:
      'The message names what is missing: a forge to ask, a right of the token, names in `approval.approvers`, a setting of the forge, or a forge that answers.',
  },
  BeyondApproval: {
    about: 'The node, or a package on it, is more than was approved for this run.',
    wayOut: 'Wait for the next run, or commit a request for the node.',
  },
} as const;

// Reasons for the end of a run, of a request, or of the part of a node in it. A part of the closed list.

/** See {@link reasons} in reason.ts. */
export const endReasons = {
  Patched: {
    about: 'Updates were installed and verified.',
    wayOut: 'Nothing to do.',
  },
  UpToDate: {
    about: 'There was nothing to install and no reboot to do.',
    wayOut: 'Nothing to do.',
  },
  Completed: {
    about: 'Every node of the run was handled.',
    wayOut: 'Nothing to do.',
  },
  NothingToDo: {
    about: 'No node had anything to install or to reboot for; or there was nothing that a request could act on.',
    wayOut: 'Nothing to do. The message of a request says what it did not find.',
  },
  HeldOut: {
    about: 'The node is empty and held out for maintenance by hand, as a request asks.',
    wayOut: 'Wait for the time in the message, or take the file of the request away: the node is then uncordoned.',
  },
  MaintenanceOver: {
    about: 'The time of a maintenance by hand has passed, or its request was taken away; the node takes pods again.',
    wayOut: 'Nothing to do.',
  },
  SkippedByPerson: {
    about: 'A person took the node out of the run.',
    wayOut: 'Commit a request for the node to patch it.',
  },
  NodeGone: {
    about: 'The node does not exist any more, or another node has its name.',
    wayOut: 'Nothing; a new node is taken into the run by itself.',
  },
  Missed: {
    about: 'The time was noticed later than `startingDeadline` allows.',
    wayOut: 'Wait for the next slot, or commit a request.',
  },
  Expired: {
    about: 'The run or the request waited longer than it may.',
    wayOut: 'The message says what it waited for. Commit a new request.',
  },
  Aborted: {
    about: 'A person ended the run.',
    wayOut: 'Commit a new request to patch again.',
  },
  Superseded: {
    about: 'The run was proposed for a time that the schedule does not have any more.',
    wayOut: 'Nothing; the next time of the new schedule counts.',
  },
  AlreadyHandled: {
    about: 'A request of this name was handled before; each acts once.',
    wayOut: 'Commit the request under another name.',
  },
  RunFailed: {
    about: 'At least one node failed.',
    wayOut: 'Look at the failed nodes; then commit a request for them.',
  },
} as const;

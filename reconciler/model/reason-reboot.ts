// Reasons about the reboot of a node, and the proof after it. A part of the closed list.

/** See {@link reasons} in reason.ts. */
export const rebootReasons = {
  RebootPending: {
    about: 'Updates are installed, but they need a reboot that the policy does not allow.',
    wayOut: 'Reboot the node, commit a request with `action: reboot`, or set `reboot.when: ifRequired`.',
  },
  WaitingForReboot: {
    about: 'The node was told to reboot and has not come back with a new boot id yet.',
    wayOut: 'Wait; after `reboot.returnTimeout` the run stops.',
  },
  Stabilising: {
    about: 'The node is back with a new boot id and must stay Ready for a while.',
    wayOut: 'Wait.',
  },
  RebootUnsafe: {
    about:
      'A reboot was refused because the node might not come up (unfinished packages, a kernel without its initrd).',
    wayOut: 'Repair what the message names, then commit a request.',
  },
  RebootDidNotHappen: {
    about: 'The node was told to reboot and its boot id did not change.',
    wayOut:
      'Look at the node for what holds a shutdown back, then commit a request for it. It stays cordoned until then.',
  },
  RebootLoop: {
    about: 'The node was rebooted as often as is allowed in 24 hours.',
    wayOut:
      'Find out why it still asks for a reboot. A request for it is carried out when 24 hours have passed, or under a policy with a greater `reboot.maxPerDay`.',
  },
  NotRejoined: {
    about: 'The node did not come back in time after its reboot. The run stops.',
    wayOut:
      'Bring the node back by its console, then commit a request with `action: retry` for it, which proves it anew. If it will not come back, delete the Node and commit one with `action: resume`. Until then it takes a seat.',
  },
  VerifyFailed: {
    about: 'After the work, the node is not as it should be.',
    wayOut:
      'The message says what is missing. Repair it, then commit a request for the node; it stays cordoned until it is proven, or until you uncordon it.',
  },
} as const;

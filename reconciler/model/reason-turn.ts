// Reasons why it is not the turn of a node yet, or never. A part of the closed list.

/** See {@link reasons} in reason.ts. */
export const turnReasons = {
  NoMatchingNodes: {
    about: 'The policy or the request selects no node.',
    wayOut: 'Check `nodes.selector`, `nodes.exclude`, the label `oakum.dev/patch`, and the names in the request.',
  },
  Excluded: {
    about:
      'The node is left out by the policy, by the label `oakum.dev/patch: disabled`, or because it does not run Linux.',
    wayOut: 'Change the label or the policy if it should be patched.',
  },
  UnsupportedOS: {
    about: 'The operating system of the node is not one that can be patched in place.',
    wayOut: 'The message names the way for this system. Exclude the node with the label `oakum.dev/patch: disabled`.',
  },
  NotReady: {
    about: 'The node is not Ready, so it is not touched.',
    wayOut: 'Bring the node back first.',
  },
  NodePaused: {
    about: 'A request with action `pause` keeps the node from being started. The other nodes go on.',
    wayOut:
      'Take the file of the request away in a commit, or wait for its `until`; the message names the request. A run waits for its paused nodes as long as it is valid and no other run waits for it.',
  },
  ForeignMaintenance: {
    about: 'Another tool or person is at work on the node.',
    wayOut:
      'Wait until it is done; the message names the tool and its mark. If the work is over, take the mark away. After 24 hours the run ends without the node.',
  },
  NoRoomInBudget: {
    about: 'As many nodes are out as the policy allows at one time, or a ceiling of the deployment is reached.',
    wayOut:
      'Wait; the node goes when its turn comes. A node that is not Ready or quarantined takes a seat until somebody has seen to it; the message names it.',
  },
  OtherZone: {
    about: 'A node of another zone is under way; nodes of two zones are never out together.',
    wayOut: 'Wait; the node is next in its turn.',
  },
  Soaking: {
    about: 'The rest between two nodes, or after the canary, is not over.',
    wayOut: 'Wait.',
  },
  ControlPlaneWaits: {
    about: 'Control-plane nodes go one at a time, after (or before) all others.',
    wayOut: 'Wait; the node is next in its turn.',
  },
  SingleControlPlane: {
    about: 'The node is the only control-plane node; draining it takes the API server away.',
    wayOut: 'Set `rollout.allowSingleControlPlane: true` if that is acceptable.',
  },
  EtcdUnknown: {
    about:
      'It is not known whether the other members of etcd are healthy, so no control-plane node is taken down: etcd must keep its quorum.',
    wayOut:
      'Look at the etcd pods in kube-system (`kubectl -n kube-system get pods -l component=etcd -o wide`), or at the API server that the message names (`kubectl get --raw /readyz/etcd`).',
  },
} as const;

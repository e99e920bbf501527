// Reasons about the configuration, its history, and which Oakum acts. A part of the closed list.

/** See {@link reasons} in reason.ts. */
export const configReasons = {
  ConfigInvalid: {
    about: 'A file that this cluster uses has a problem. Nothing new starts and nothing older is used instead.',
    wayOut: 'Run `oakum validate` in the config repository, correct the file at the place it names, and commit.',
  },
  NoPolicy: {
    about: 'The cluster has no policy, so nothing is ever patched.',
    wayOut: 'Commit `clusters/<cluster>/policy.yaml`. `oakum init` shows the smallest one.',
  },
  UnsupportedFeature: {
    about: 'The policy uses a feature that this version does not carry out. Nothing starts rather than ignoring it.',
    wayOut: 'Take the field that the message names out of the policy.',
  },
  HistoryRewritten: {
    about: 'The branch was rewound or rewritten: its tip does not descend from the commit accepted last.',
    wayOut:
      'Put the branch back, or accept the new history: with a reviewed `accept-rewrite.yaml` or with `oakum accept-rewrite OLD NEW`.',
  },
  UnsignedCommit: {
    about:
      'The deployment demands signed commits (`--require-signed-commits`), and a commit since the one accepted last is not signed by a key of that one (or of the deployment).',
    wayOut:
      'The message names the commit. Take it back and commit it signed, or accept the tip with `oakum accept-rewrite OLD NEW`.',
  },
  HistoryUnknown: {
    about:
      'The history between the commit accepted last and the tip could not be fetched, so a rewrite cannot be ruled out.',
    wayOut: 'Make the Git server reachable with its full history. It recovers by itself.',
  },
  GitUnavailable: {
    about:
      'The config repository cannot be read, so the newest wishes are not known. Nodes under way finish; none starts.',
    wayOut: 'Read the message: it names the address and what the server said. It recovers by itself.',
  },
  LedgerLost: {
    about:
      'The cluster carries marks of Oakum but its ledger is gone, so it is not known what was handled. Nothing is replayed.',
    wayOut: 'Restore the ConfigMaps `oakum-ledger*`, or begin anew with `oakum new-ledger`.',
  },
  WrongCluster: {
    about:
      'The cluster behind the connection is not the one that the folder is about: its UID is not the one in `cluster.yaml`, or its ledger was begun under another name. Nothing is done there, and nothing is written but the Lease.',
    wayOut:
      'Correct the kubeconfig. If it is the right cluster (it was made anew, or its folder was renamed), commit its UID (`kubectl get namespace kube-system -o jsonpath={.metadata.uid}`) as `spec.uid` in `cluster.yaml`.',
  },
  LeaseHeldByOther: {
    about: 'Another Oakum holds the Lease of this cluster. Only one acts.',
    wayOut: 'Nothing, if that is meant (a replica). Else stop the other one.',
  },
  HandingOver: {
    about:
      'The node hosts the Oakum that acts. Another one waits for the Lease, and takes it before the node is cordoned.',
    wayOut: 'Wait; when nobody has taken the Lease after two minutes, the node goes as it would without a standby.',
  },
  UnsupportedPlatform: {
    about: 'The platform of the cluster manages its own node images; patching in place is refused.',
    wayOut: 'Update the node image through the platform.',
  },
} as const;

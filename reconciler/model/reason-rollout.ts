// Reasons about waves of clusters: what a cluster waits for while others go before it. A part of the closed list.

/** See {@link reasons} in reason.ts. */
export const rolloutReasons = {
  WaveBefore: {
    about:
      'The cluster is in a later wave of a rollout (or has no place yet in its own, because of `concurrency`), and clusters before it have not ended well yet.',
    wayOut:
      'Wait; the message names the clusters and where they are. To go on without one of them, add it to `skip` in the file of the rollout.',
  },
  WaveSoaking: {
    about: 'The waves before have ended well, and their `soak` has not passed yet.',
    wayOut: 'Wait until the time in the message, or shorten `soak` in the file of the rollout.',
  },
  WaveFailed: {
    about:
      'Clusters of an earlier wave, or of this one, have failed, as many as `maxFailures` of the wave says. Nothing further begins.',
    wayOut:
      'Remove the cause, then commit a request that patches the whole cluster that failed: when it ends well, the rollout goes on. Or add the cluster to `skip` in the file of the rollout. Or end the rollout by removing its file.',
  },
  WaveNotApproved: {
    about: 'The wave says `approval: true`, and nobody has given the go for this run.',
    wayOut:
      'Look at the waves before, then add the run and the wave to `approved` in the file of the rollout: the message has the line.',
  },
  WaveUnknown: {
    about:
      'How a cluster of an earlier wave fared is not known: its status is missing, cannot be read, or does not tell of this run. What is not known counts as not done.',
    wayOut:
      'See whether Oakum runs in that cluster and publishes to the same status branch. To go on without it, add it to `skip` in the file of the rollout.',
  },
} as const;

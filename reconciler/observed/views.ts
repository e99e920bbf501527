// All views together, as the adapter that reads the cluster wants them.
import { logLines, withLog } from '../model/result-log.ts';
import { budgetView } from './budgets.ts';
import { attachmentView, virtualMachineView } from './drain.ts';
import { hookView } from './hooks.ts';
import { complaint, jobFacts, jobPod, jobView } from './job.ts';
import { nodeView, onlyHeartbeat } from './node.ts';
import { etcdMember, podView, sliceAddresses } from './pods.ts';

/** Everything that turns objects of the API into what a plan may see. Handed to the adapter, which knows no meaning of its own. */
export const views = {
  nodeView,
  onlyHeartbeat,
  podView,
  etcdMember,
  sliceAddresses,
  budgetView,
  attachmentView,
  virtualMachineView,
  hookView,
  jobFacts,
  jobPod,
  jobView,
  complaint,
  logLines,
  withLog,
} as const;

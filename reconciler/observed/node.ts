// Node: what is kept of a Node of the API.
import { controlPlaneLabels, domain, kuredRebootAnnotation, osLabel } from '../model/names.ts';
import type { NodeView } from '../model/observed.ts';
import { condition, fields, instant, isTrue, items, text, texts } from './raw.ts';

/** The view of one Node. Of the annotations only ours and those that say who else is at work are kept: others can be large and are nobody's business here. */
export function nodeView(raw: unknown): NodeView {
  const metadata = fields(raw, 'metadata');
  const labels = texts(raw, 'metadata', 'labels');
  const info = fields(raw, 'status', 'nodeInfo');
  const ready = condition(raw, 'Ready');
  return {
    name: text(metadata, 'name'),
    uid: text(metadata, 'uid'),
    resourceVersion: text(metadata, 'resourceVersion'),
    labels,
    annotations: ours(texts(raw, 'metadata', 'annotations')),
    createdAt: instant(metadata, 'creationTimestamp') ?? 0,
    unschedulable: fields(raw, 'spec')['unschedulable'] === true,
    taints: items(raw, 'spec', 'taints').map((taint) => ({
      key: text(taint, 'key'),
      value: text(taint, 'value'),
      effect: text(taint, 'effect'),
    })),
    ready: isTrue(raw, 'Ready'),
    readyReason: text(ready, 'reason'),
    heartbeat: text(ready, 'lastHeartbeatTime'),
    bootId: text(info, 'bootID'),
    kernel: text(info, 'kernelVersion'),
    osImage: text(info, 'osImage'),
    kubeletVersion: text(info, 'kubeletVersion'),
    os: labels[osLabel] ?? text(info, 'operatingSystem'),
    controlPlane: controlPlaneLabels.some((label) => Object.hasOwn(labels, label)),
  };
}

function ours(annotations: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(annotations).filter(([key]) => key.startsWith(`${domain}/`) || key === kuredRebootAnnotation),
  );
}

/** True when only the kubelet's heartbeat differs: nothing that a plan could depend on has changed. */
export function onlyHeartbeat(before: NodeView, after: NodeView): boolean {
  const still = (view: NodeView): string => JSON.stringify({ ...view, heartbeat: '', resourceVersion: '' });
  return still(before) === still(after);
}

// Which nodes a run is about, and in which order they go.
import type { NodeHistory, RunRecord } from '../model/ledger.ts';
import { osLabel, patchLabel } from '../model/names.ts';
import type { NodeView } from '../model/observed.ts';
import type { NodeChoice } from '../model/policy.ts';
import { matches, parseSelector } from '../model/selector.ts';

/** Why the policy leaves a node out, as a sentence; undefined when it takes part. */
export function exclusion(node: NodeView, choice: NodeChoice): string | undefined {
  if (node.os !== 'linux')
    return `it runs ${node.os || 'an unknown system'} (label ${osLabel}); only Linux nodes are patched`;
  if (node.labels[patchLabel] === 'disabled') return `its label ${patchLabel} is "disabled"`;
  if (!matches(choice.selector, node.labels))
    return `it does not match the policy's nodes.selector "${choice.selector.text}"`;
  if (choice.exclude && matches(choice.exclude, node.labels))
    return `it matches the policy's nodes.exclude "${choice.exclude.text}"`;
  return undefined;
}

/** Nodes that the run is about, in no particular order. */
export function selectedNodes(run: RunRecord, nodes: readonly NodeView[]): NodeView[] {
  const only = new Set(run.spec.onlyNodes);
  const selector = run.spec.onlySelector === undefined ? undefined : parseSelector(run.spec.onlySelector);
  return nodes.filter((node) => {
    if (exclusion(node, run.spec.policy.nodes) !== undefined) return false;
    if (only.size > 0 && !only.has(node.name)) return false;
    if (selector !== undefined && !(selector.ok && matches(selector.selector, node.labels))) return false;
    return true;
  });
}

/**
 * The order in which nodes of a run go: control plane last (or first), the controller's own host after the others of its kind,
 * longest overdue first, then by name. Stable: it depends on facts only.
 */
export function byTurn(
  history: Readonly<Record<string, NodeHistory>>,
  controlPlane: 'first' | 'last',
  ownNode: string | undefined,
): (a: NodeView, b: NodeView) => number {
  const rank = (node: NodeView): readonly number[] => {
    const known = history[node.name];
    const checked = known?.uid === node.uid ? (known.lastChecked ?? known.lastPatched ?? 0) : 0;
    return [node.controlPlane === (controlPlane === 'first') ? 0 : 1, node.name === ownNode ? 1 : 0, checked];
  };
  return (a, b) => {
    const [ra, rb] = [rank(a), rank(b)];
    for (let at = 0; at < ra.length; at++) {
      const difference = (ra[at] ?? 0) - (rb[at] ?? 0);
      if (difference !== 0) return difference;
    }
    return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
  };
}

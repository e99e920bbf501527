// Budgets: what is kept of a PodDisruptionBudget.
import type { BudgetView } from '../model/observed.ts';
import { count, fields, items, text, texts } from './raw.ts';

/** The view of one PodDisruptionBudget (policy/v1). An empty selector of policy/v1 selects every pod of the namespace. */
export function budgetView(raw: unknown): BudgetView {
  const metadata = fields(raw, 'metadata');
  const status = fields(raw, 'status');
  return {
    namespace: text(metadata, 'namespace'),
    name: text(metadata, 'name'),
    matchLabels: texts(raw, 'spec', 'selector', 'matchLabels'),
    matchExpressions: items(raw, 'spec', 'selector', 'matchExpressions').map((expression) => ({
      key: text(expression, 'key'),
      operator: text(expression, 'operator'),
      values: values(expression['values']),
    })),
    disruptionsAllowed: count(status, 'disruptionsAllowed'),
    currentHealthy: count(status, 'currentHealthy'),
    desiredHealthy: count(status, 'desiredHealthy'),
    expectedPods: count(status, 'expectedPods'),
  };
}

function values(raw: unknown): string[] {
  return Array.isArray(raw) ? raw.filter((value) => typeof value === 'string') : [];
}

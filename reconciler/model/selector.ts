// Label selectors as Kubernetes writes them: parse once, match often.

/** One requirement of a selector; all of a selector's requirements must hold. */
export type Requirement =
  | { readonly key: string; readonly operator: 'In' | 'NotIn'; readonly values: readonly string[] }
  | { readonly key: string; readonly operator: 'Exists' | 'DoesNotExist' };

/** A parsed label selector. An empty list matches everything. */
export interface Selector {
  /** As written, for messages. */
  readonly text: string;
  readonly requirements: readonly Requirement[];
}

/** Matches everything. */
export const everything: Selector = { text: '', requirements: [] };

const namePattern = /^(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const valuePattern = /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

/**
 * Parses a selector in the syntax of `kubectl -l` (equality and set based), e.g. `pool=web,tier in (a, b),!spot`.
 * Source: Kubernetes documentation, "Labels and Selectors".
 */
export function parseSelector(
  text: string,
): { readonly ok: true; readonly selector: Selector } | { readonly ok: false; readonly message: string } {
  const requirements: Requirement[] = [];
  for (const part of splitOutsideParentheses(text)) {
    const piece = part.trim();
    if (piece === '') {
      if (text.trim() === '') break;
      return { ok: false, message: `"${text}" has an empty part; write requirements separated by single commas` };
    }
    const requirement = parseRequirement(piece);
    if (typeof requirement === 'string') return { ok: false, message: requirement };
    requirements.push(requirement);
  }
  return { ok: true, selector: { text: text.trim(), requirements } };
}

function splitOutsideParentheses(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '(') depth++;
    else if (char === ')') depth--;
    else if (char === ',' && depth === 0) {
      parts.push(text.slice(from, at));
      from = at + 1;
    }
  }
  parts.push(text.slice(from));
  return parts;
}

function parseRequirement(piece: string): Requirement | string {
  const set = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(piece);
  if (set) {
    const [, key = '', operator, list = ''] = set;
    return checked(
      key,
      operator === 'in' ? 'In' : 'NotIn',
      list.split(',').map((value) => value.trim()),
      piece,
    );
  }
  const equality = /^([^=!\s]+)\s*(==|=|!=)\s*([^=!\s]*)$/.exec(piece);
  if (equality) {
    const [, key = '', operator, value = ''] = equality;
    return checked(key, operator === '!=' ? 'NotIn' : 'In', [value], piece);
  }
  const negated = /^!\s*(\S+)$/.exec(piece);
  const key = negated?.[1] ?? piece;
  if (!namePattern.test(key))
    return `"${piece}" is not a selector requirement; write key=value, key!=value, key in (a,b), key or !key`;
  return { key, operator: negated ? 'DoesNotExist' : 'Exists' };
}

function checked(key: string, operator: 'In' | 'NotIn', values: string[], piece: string): Requirement | string {
  if (!namePattern.test(key)) return `"${key}" in "${piece}" is not a label key`;
  const wrong = values.find((value) => !valuePattern.test(value));
  if (wrong !== undefined) return `"${wrong}" in "${piece}" is not a label value`;
  return { key, operator, values };
}

/** True when the labels meet every requirement. As in Kubernetes, `!=` and `notin` also match objects without the key. */
export function matches(selector: Selector, labels: Readonly<Record<string, string>>): boolean {
  return selector.requirements.every((requirement) => {
    const value = Object.hasOwn(labels, requirement.key) ? labels[requirement.key] : undefined;
    switch (requirement.operator) {
      case 'In':
        return value !== undefined && requirement.values.includes(value);
      case 'NotIn':
        return value === undefined || !requirement.values.includes(value);
      case 'Exists':
        return value !== undefined;
      case 'DoesNotExist':
        return value === undefined;
    }
  });
}

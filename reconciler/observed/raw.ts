// Careful readers of untyped JSON: what is missing or of another type reads as empty, never as an error.

/** Any JSON object. */
export type Raw = Readonly<Record<string, unknown>>;

const nothing: Raw = {};

/** The object at a path of fields; empty when there is none. */
export function fields(value: unknown, ...path: readonly string[]): Raw {
  let found: unknown = value;
  for (const key of path) found = isRecord(found) ? found[key] : undefined;
  return isRecord(found) ? found : nothing;
}

/** The list in a field; empty when there is none. */
export function items(value: unknown, ...path: readonly string[]): readonly Raw[] {
  const last = path.at(-1);
  const found = last === undefined ? value : fields(value, ...path.slice(0, -1))[last];
  return Array.isArray(found) ? found.filter(isRecord) : [];
}

/** Text in a field; empty when there is none. */
export function text(value: Raw, key: string): string {
  const found = value[key];
  return typeof found === 'string' ? found : '';
}

/** A number in a field; `otherwise` when there is none. */
export function count(value: Raw, key: string, otherwise = 0): number {
  const found = value[key];
  return typeof found === 'number' ? found : otherwise;
}

/** An RFC 3339 time in a field, in milliseconds since the epoch; undefined when there is none. */
export function instant(value: Raw, key: string): number | undefined {
  const parsed = Date.parse(text(value, key));
  return Number.isNaN(parsed) ? undefined : parsed;
}

/** A map of texts, such as labels; entries of another type are left out. */
export function texts(value: unknown, ...path: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [key, entry] of Object.entries(fields(value, ...path))) if (typeof entry === 'string') found[key] = entry;
  return found;
}

/** The condition of a type in `status.conditions`; empty when there is none. */
export function condition(value: unknown, type: string): Raw {
  return items(value, 'status', 'conditions').find((entry) => entry['type'] === type) ?? nothing;
}

/** True when the condition's status is `True`. */
export function isTrue(value: unknown, type: string): boolean {
  return condition(value, type)['status'] === 'True';
}

function isRecord(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// YAML with positions: one document, YAML 1.2, nothing clever (no aliases, tags, duplicate keys), and where each field stands.
import { isAlias, isMap, isScalar, isSeq, parseDocument, visit } from 'yaml';
import type { Document, ParsedNode } from 'yaml';

/** A dotted path's parts: `['spec', 'windows', 0, 'start']`. */
export type FieldPath = readonly (string | number)[];

/** A place in a text; both count from 1, columns in UTF-16 units as editors do. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A fault found while reading the text itself. */
export interface TextFault {
  readonly position: Position;
  readonly message: string;
  readonly rule: string;
}

/** What reading gives: a plain value, or why it is none. */
export type ReadYaml =
  { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly faults: readonly TextFault[] };

/** Largest file that is read, in bytes of UTF-8. */
export const largestFile = 256 * 1024;

/** Deepest nesting; the deepest schema needs eight. */
const deepest = 32;

/** Faults of one text that are told; after a broken quote everything below is noise. */
const mostFaults = 20;

const options = {
  version: '1.2',
  schema: 'core',
  uniqueKeys: true,
  stringKeys: true,
  merge: false,
  prettyErrors: false,
  logLevel: 'error',
} as const;

/** Reads a text as one YAML document and gives its plain value. Never throws. */
export function readYaml(text: string): ReadYaml {
  const start = { line: 1, column: 1 };
  if (text.length > largestFile || new TextEncoder().encode(text).length > largestFile) {
    return fault(start, `the file is larger than ${largestFile / 1024} KiB; configuration is smaller`, 'file-size');
  }
  const tooDeep = nestingFault(text);
  if (tooDeep !== undefined) return { ok: false, faults: [tooDeep] };
  let document: Document.Parsed<ParsedNode>;
  try {
    document = parseDocument<ParsedNode>(text, options);
  } catch {
    return fault(start, 'the file is not YAML that can be read', 'yaml');
  }
  const faults = [...document.errors, ...document.warnings].slice(0, mostFaults).map((error) => ({
    position: positionOf(text, error.pos[0]),
    message: sentenceOf(error.code, error.message),
    rule: error.code === 'DUPLICATE_KEY' ? 'duplicate-key' : 'yaml',
  }));
  if (faults.length > 0) return { ok: false, faults };
  // Only a text with these characters can hold aliases or tags, so that others are spared the walk.
  if (/[*&!]/.test(text)) {
    const clever = cleverNodes(document, text);
    if (clever.length > 0) return { ok: false, faults: clever };
  }
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
    return fault(start, 'the file is empty; write a map with apiVersion, kind, metadata and spec', 'empty');
  }
  try {
    return { ok: true, value: document.toJS({ maxAliasCount: 0 }) };
  } catch {
    return fault(start, 'the file is not YAML that can be read', 'yaml');
  }
}

/**
 * Where a field stands: the value's position, or the key's with `key`. A field that is not there gives its nearest parent that is.
 * Reads the text again, because positions are wanted only for files with problems.
 */
export function locate(text: string, path: FieldPath, key = false): Position {
  let offset = 0;
  try {
    let node: unknown = contentsOf(text);
    offset = startOf(node) ?? 0;
    for (const [index, part] of path.entries()) {
      const pair = isMap(node)
        ? node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part))
        : undefined;
      const next: unknown = isSeq(node) && typeof part === 'number' ? node.items[part] : pair?.value;
      const keyAt = startOf(pair?.key);
      const last = index === path.length - 1;
      // A parent is told at its name, where a person looks for what is missing in it; the field itself at its value.
      const wanted = isMap(next) && pair !== undefined ? keyAt : startOf(next);
      const at = last && key ? keyAt : (wanted ?? keyAt);
      if (at === undefined) break;
      offset = at;
      node = next;
    }
  } catch {
    offset = 0;
  }
  return positionOf(text, offset);
}

/** The text located last: many problems of one file cost one reading, not one each. */
let latest: { readonly text: string; readonly contents: unknown } | undefined;

function contentsOf(text: string): unknown {
  if (latest?.text !== text) latest = { text, contents: parseDocument<ParsedNode>(text, options).contents };
  return latest.contents;
}

function startOf(node: unknown): number | undefined {
  if (!isScalar(node) && !isMap(node) && !isSeq(node)) return undefined;
  return node.range?.[0];
}

function positionOf(text: string, offset: number): Position {
  const upTo = text.slice(0, Math.max(0, offset));
  const lines = upTo.split('\n');
  return { line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 };
}

function fault(position: Position, message: string, rule: string): ReadYaml {
  return { ok: false, faults: [{ position, message, rule }] };
}

function sentenceOf(code: string, message: string): string {
  switch (code) {
    case 'DUPLICATE_KEY':
      return 'this field is written twice; keep one of them';
    case 'MULTIPLE_DOCS':
      return 'the file has several documents; write one object in a file, without "---" between two';
    case 'TAG_RESOLVE_FAILED':
      return 'tags ("!name") are not read; write the plain value';
    case 'BAD_ALIAS':
    case 'ALIAS_PROPS':
      return 'aliases ("*name") are not read; write the value out, or share it with spec.extends';
    case 'NON_STRING_KEY':
      return 'a field name must be a word; put it into quotes if it is meant as one';
    case 'TAB_AS_INDENT':
      return 'a tab stands where spaces must; YAML is indented with spaces';
    default:
      // The library repeats what stands in the file, whatever it is.
      return `not YAML: ${message.replaceAll(/[\s\p{C}]+/gu, ' ').slice(0, 200)}`;
  }
}

/** Aliases, anchors and tags: they would let a small file mean a large one, or something else than it shows. */
function cleverNodes(document: Document.Parsed<ParsedNode>, text: string): TextFault[] {
  const faults: TextFault[] = [];
  const say = (offset: number, message: string): symbol | undefined => {
    faults.push({ position: positionOf(text, offset), message, rule: 'yaml' });
    return faults.length >= mostFaults ? visit.BREAK : undefined;
  };
  visit(document, (_, node) => {
    if (isAlias(node)) return say(node.range?.[0] ?? 0, sentenceOf('BAD_ALIAS', ''));
    if (!isScalar(node) && !isMap(node) && !isSeq(node)) return undefined;
    if (node.anchor !== undefined) {
      return say(node.range?.[0] ?? 0, `the anchor "&${node.anchor.slice(0, 60)}" is not read; remove it`);
    }
    return node.tag === undefined ? undefined : say(node.range?.[0] ?? 0, sentenceOf('TAG_RESOLVE_FAILED', ''));
  });
  return faults;
}

/**
 * Nesting beyond the limit is refused before parsing, on an upper bound that is cheap to know: indentation for blocks, open brackets
 * for flows. The parser is recursive and would run out of stack.
 */
function nestingFault(text: string): TextFault | undefined {
  let offset = 0;
  for (const line of text.split('\n')) {
    const indent = /^ */.exec(line)?.[0].length ?? 0;
    const marks = /^[-?: \t]*/.exec(line)?.[0].match(/[-?:][ \t]/g)?.length ?? 0;
    if (marks > deepest || indent > 8 * deepest) return deep(text, offset);
    offset += line.length + 1;
  }
  return flowDepth(text) > deepest ? deep(text, 0) : undefined;
}

/** The deepest that brackets are open anywhere, not looking at quotes. */
function flowDepth(text: string): number {
  let depth = 0;
  let most = 0;
  for (const char of text) {
    if (char === '[' || char === '{') most = Math.max(most, ++depth);
    else if (char === ']' || char === '}') depth = Math.max(0, depth - 1);
  }
  return most;
}

function deep(text: string, offset: number): TextFault {
  return {
    position: positionOf(text, offset),
    message: `fields are nested more than ${deepest} deep; nothing here needs that`,
    rule: 'nesting',
  };
}

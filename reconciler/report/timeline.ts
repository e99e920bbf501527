// The timeline of the fleet as a small SVG: one strip for each cluster, one bar for each run, one mark for each coming run.
import { runEnded, type RunState } from '../model/ledger.ts';
import type { StatusDocument } from '../model/status.ts';

const width = 900;
const left = 170;
const rowHeight = 26;
const top = 34;
/** More strips than this make a picture that nobody reads. */
const mostRows = 60;

/** A colour for each kind of end; the same in bright and dark pages. */
const colours: Readonly<Record<RunState, string>> = {
  Proposed: '#8c959f',
  AwaitingApproval: '#8c959f',
  Scheduled: '#8c959f',
  Running: '#0969da',
  Paused: '#bf8700',
  Succeeded: '#1a7f37',
  NothingToDo: '#57ab5a',
  Failed: '#cf222e',
  Aborted: '#bf8700',
  NotApproved: '#bf8700',
  Missed: '#cf222e',
  Expired: '#bf8700',
  Superseded: '#8c959f',
};

/** `fleet.svg`. Depends on facts only: it spans from the first run to the last end or coming run, never to "now". */
export function fleetTimeline(docs: readonly StatusDocument[]): string {
  const shown = docs.slice(0, mostRows);
  const times = shown
    .flatMap((doc) => [
      ...doc.runs.flatMap((run) => [run.created, run.ended ?? run.since]),
      ...(doc.policy?.next.slice(0, 2) ?? []),
    ])
    .map((time) => Date.parse(time))
    .filter((time) => Number.isFinite(time));
  const first = times.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const last = times.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const height = top + Math.max(1, shown.length) * rowHeight + 10;
  const x = (time: string): number =>
    last > first ? Math.round(left + ((Date.parse(time) - first) / (last - first)) * (width - left - 16)) : left;
  const body =
    times.length === 0
      ? [`<text x="12" y="${top + 16}">no run yet</text>`]
      : [
          `<text x="${left}" y="20">${day(first)}</text>`,
          `<text x="${width - 16}" y="20" text-anchor="end">${day(last)}</text>`,
          ...shown.flatMap((doc, index) => strip(doc, top + index * rowHeight, x)),
        ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="Runs over time">`,
    '<style>text{font:12px sans-serif;fill:#768390}</style>',
    ...body,
    '</svg>',
    '',
  ].join('\n');
}

function strip(doc: StatusDocument, y: number, x: (time: string) => number): string[] {
  const name = doc.cluster.length > 22 ? `${doc.cluster.slice(0, 21)}…` : doc.cluster;
  const runs = [...doc.runs].reverse().map((run) => {
    const from = x(run.created);
    const to = runEnded(run.state) ? x(run.ended ?? run.since) : width - 16;
    return `<rect x="${from}" y="${y + 4}" width="${Math.max(4, to - from)}" height="14" rx="3" fill="${colours[run.state]}"><title>${escape(`${run.id} ${run.state}: ${run.counts.patched} patched, ${run.counts.failed} failed`)}</title></rect>`;
  });
  const coming = (doc.policy?.next.slice(0, 2) ?? []).map(
    (time) =>
      `<circle cx="${x(time)}" cy="${y + 11}" r="4" fill="none" stroke="#8c959f"><title>${escape(`next ${time}`)}</title></circle>`,
  );
  return [
    `<text x="12" y="${y + 16}">${escape(name)}</text>`,
    `<line x1="${left}" x2="${width - 16}" y1="${y + 11}" y2="${y + 11}" stroke="#d0d7de"/>`,
    ...runs,
    ...coming,
  ];
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

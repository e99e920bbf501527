// What the demo shows: a table that fills on a terminal, plain lines everywhere else.
import { styleText } from 'node:util';
import logUpdate from 'log-update';
import type { PassResult } from '../pass.ts';
import { runEnded, type NodeRecord } from '../model/ledger.ts';
import { isUnderWay } from '../model/node-phase.ts';

/** Says lines, shows the state after a pass, prints texts. */
export interface Screen {
  say(line: string): void;
  show(result: PassResult): void;
  print(text: string): void;
  /** Leaves the last table where it is. */
  done(): void;
}

/** A screen on standard output. With `table`, and on a terminal, the nodes are a table that is drawn again in place. */
export function createScreen(table: boolean): Screen {
  const live = table && process.stdout.isTTY;
  const told = new Map<string, string>();
  let drawn = false;
  const write = (line: string): void => {
    if (drawn) logUpdate.clear();
    process.stdout.write(`${line}\n`);
  };
  return {
    say: (line) => write(styleText('bold', `• ${line}`)),
    print: (text) => write(text.trimEnd().replaceAll(/^/gm, '    ')),
    show: (result) => {
      if (live) {
        logUpdate(draw(result));
        drawn = true;
      } else if (table) plainLines(result, told).forEach(write);
    },
    done: () => {
      if (drawn) logUpdate.done();
      drawn = false;
    },
  };
}

function recordsOf(result: PassResult): ReadonlyMap<string, NodeRecord> {
  const runs = Object.values(result.plan.ledger.runs).sort((a, b) => a.createdAt - b.createdAt);
  return new Map(Object.entries(runs.at(-1)?.nodes ?? {}));
}

const colours = {
  Patched: 'green',
  Failed: 'red',
  Quarantined: 'red',
  Skipped: 'cyan',
  Pending: 'gray',
  Idle: 'gray',
} as const;

function draw(result: PassResult): string {
  const records = recordsOf(result);
  const width = Math.max(40, (process.stdout.columns ?? 100) - 1);
  const rows = result.plan.nodes.map((verdict) => {
    const record = records.get(verdict.node);
    const phase = record?.phase ?? verdict.phase;
    const colour = phase in colours ? colours[phase as keyof typeof colours] : 'yellow';
    const zone = record?.zone ?? '';
    const text =
      record === undefined || (record.phase === 'Pending' && verdict.reason !== 'Due')
        ? `${verdict.reason}: ${verdict.message}`
        : record.message;
    const line = `  ${verdict.node.padEnd(10)} ${zone.padEnd(7)} ${phase.padEnd(13)} `;
    return line.replace(phase, styleText(colour, phase)) + text.slice(0, Math.max(10, width - line.length));
  });
  const run = Object.values(result.plan.ledger.runs).at(-1);
  const head = run ? `run ${run.id}: ${run.state}${runEnded(run.state) ? ` (${run.message})` : ''}` : 'no run yet';
  return [styleText('bold', head), ...rows].join('\n');
}

/** What changed since the last pass, a line for each node and phase. */
function plainLines(result: PassResult, told: Map<string, string>): string[] {
  const lines: string[] = [];
  for (const record of recordsOf(result).values()) {
    if (record.phase === 'Pending') continue;
    const line = isUnderWay(record.phase) ? record.phase : `${record.phase}: ${record.message}`;
    if (told.get(record.node) === line) continue;
    told.set(record.node, line);
    lines.push(`  ${record.node}  ${line}`);
  }
  for (const run of Object.values(result.plan.ledger.runs)) {
    const line = runEnded(run.state) ? `${run.state}: ${run.message}` : run.state;
    if (told.get(run.id) === line) continue;
    told.set(run.id, line);
    lines.push(`  run ${run.id}  ${line}`);
  }
  return lines;
}

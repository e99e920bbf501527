// What the people of the demo do: one asks past the review and gets nothing, one approves the proposed run with a signature.
import { realClock } from '../adapters/clock.ts';
import type { LedgerDocument, RunRecord } from '../model/ledger.ts';
import { AdapterError } from '../model/failure.ts';
import { runEnded } from '../model/ledger.ts';
import { approve } from './approve.ts';
import { factTime } from '../report/moment.ts';

/** What the scenes are played on. */
export interface Stage {
  /** What the service remembers after its last pass. */
  readonly ledger: () => LedgerDocument | undefined;
  readonly say: (line: string) => void;
  readonly print: (text: string) => void;
  /** Somebody pushes the request to the config branch, unsigned and past the review. */
  readonly pushRequest: () => Promise<void>;
  /** Message of the commit at a branch of the repository; undefined: there is no such branch. */
  readonly messageOf: (branch: string) => Promise<string | undefined>;
  /** The reviewer's clone, and the environment of their git. */
  readonly reviewer: { readonly dir: string; readonly env: Readonly<Record<string, string>> };
  readonly signal: AbortSignal;
  /** A scene in which nothing at all moves for so long has failed (default: 90 s). How long one takes depends on the machine, which may be busy. */
  readonly patienceMs?: number;
}

const cluster = 'demo';
const standardPatienceMs = 90_000;
/** Lines of what the reviewer is shown. */
const shownLines = 16;

/** Plays the scenes, until the approved run has ended. Throws when anything starts that nobody approved, or when a scene does not come. */
export async function playScenes(stage: Stage): Promise<RunRecord> {
  const proposed = await until(stage, 'a proposed run', () => runsOf(stage).find(({ proposal }) => proposal));
  const branch = `oakum/run/${cluster}/${proposed.id}`;
  const message = await until(stage, 'the branch of the proposal', () => stage.messageOf(branch));
  stage.say(`Oakum proposes its run on a branch, ${branch}, with the plan in the commit message:`);
  stage.print(firstLines(message));

  stage.say('somebody cannot wait, and pushes a request past the review: clusters/demo/requests/openssl-fix.yaml');
  await stage.pushRequest();
  const refused = await until(stage, 'an answer to the request', () => {
    const request = stage.ledger()?.requests['openssl-fix'];
    return request?.reason === 'MergedWithoutApproval' ? request : undefined;
  });
  stage.say(`nothing starts: ${refused.reason}: ${refused.message.split(' (')[0] ?? ''} came without its approval`);

  stage.say(`Bob, whose key is in signers/, reviews the proposal:  oakum approve ${proposed.id}`);
  const { dir, env } = stage.reviewer;
  const said = await approve(
    proposed.id,
    { dir, remote: 'origin', branch: 'main', cluster, yes: true },
    { now: () => realClock.now(), print: () => undefined, confirm: undefined, env },
  );
  stage.say(said);
  const approved = await until(stage, 'the approved run', () =>
    runsOf(stage).find(({ id, approval }) => id === proposed.id && approval !== undefined),
  );
  if (approved.startedAt === undefined)
    stage.say(`the run is ${approved.message}; it begins at its time, ${factTime(approved.notBefore ?? 0)}`);
  return until(stage, 'the end of the run', () => {
    const run = runsOf(stage).find(({ id }) => id === proposed.id);
    return run && runEnded(run.state) ? run : undefined;
  });
}

function runsOf({ ledger }: Pick<Stage, 'ledger'>): RunRecord[] {
  return Object.values(ledger()?.runs ?? {});
}

/** How far all runs have come; another text whenever a run or a node took a step. */
function progressOf(stage: Stage): string {
  return JSON.stringify(
    Object.entries(stage.ledger()?.runs ?? {}).map(([id, { state, nodes }]) => [
      id,
      state,
      Object.values(nodes).map(({ phase, attempt, tries }) => [phase, attempt, tries]),
    ]),
  );
}

/** Waits for something; whatever begins in the meantime must have been approved. */
async function until<T>(stage: Stage, what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  let before = progressOf(stage);
  const patienceMs = stage.patienceMs ?? standardPatienceMs;
  let end = realClock.now() + patienceMs;
  for (;;) {
    const unapproved = runsOf(stage).find(
      ({ startedAt, approval }) => startedAt !== undefined && approval === undefined,
    );
    if (unapproved) throw new Error(`the run ${unapproved.id} has begun, and nobody has approved it`);
    const found = await look();
    if (found !== undefined) return found;
    if (stage.signal.aborted) throw new Error('the demo was stopped');
    const progress = progressOf(stage);
    if (progress !== before) end = realClock.now() + patienceMs;
    before = progress;
    if (realClock.now() > end) {
      const seconds = patienceMs / 1000;
      const message = `the demo waited for ${what}, and nothing moved for ${seconds} s; is the machine busy? "oakum demo --log" shows what the service does`;
      throw new AdapterError('transient', 'DemoStuck', message);
    }
    await realClock.sleep(100, stage.signal);
  }
}

function firstLines(text: string): string {
  const lines = text.trimEnd().split('\n');
  return lines.length > shownLines ? [...lines.slice(0, shownLines), '…'].join('\n') : lines.join('\n');
}

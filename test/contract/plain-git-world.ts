// Oakum without a forge in contract tests: a real repository behind `git http-backend`, people with keys of their own, and signatures as the reviews.
import { openPlainGit } from '../../reconciler/adapters/forge-git.ts';
import { acceptedSigners } from '../../reconciler/cli/accepted-signers.ts';
import { startGitServer, type GitServer } from '../support/git-server.ts';
import type { SigningPlace } from '../support/signing.ts';
import { ApprovalWorld, type ForgeOfWorld } from './approval-world.ts';
import { openClone, type SigningClone } from './signing-clone.ts';

const minute = 60_000;
/** A Monday. */
const start = Date.UTC(2026, 10, 2, 9);
export const policyFile = 'clusters/prod/policy.yaml';

/** A policy under review, by whom its author is not; `more` is of the spec. */
export function policy(more = ''): string {
  return `apiVersion: oakum.dev/v1alpha1
kind: PatchPolicy
metadata: { name: prod }
spec:
  approval: { mode: review, approvers: ["@ann@example.org", "@bob@example.org"] }
${more}`;
}

/** The policy loosened. */
export const loose = policy('  drain: { force: true }\n');

/** The keys of the deployment by path; undefined: those of the commit accepted last count. */
type Keys = ReadonlyMap<string, string> | undefined;

/** Plain Git as the forge of a world. */
export function plainGitOf(remote: GitServer, now: () => number, deployed: () => Keys): ForgeOfWorld {
  const { url, folder } = remote;
  const quiet = (): void => undefined;
  return {
    url,
    folder,
    open: ({ git, accepted, own, meaning }) =>
      openPlainGit({
        git,
        url,
        branch: 'main',
        signers: acceptedSigners(git, accepted, deployed()),
        own,
        meaning,
        clock: { now },
        log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      }),
  };
}

/** Lines of `allowed_signers` with a new key for each. */
export function keysOf(place: SigningPlace, ...names: readonly string[]): string {
  return names.map((name) => `${name}@example.org ${place.sshKey(name, ['ed25519'])}\n`).join('');
}

export interface PlainGitWorld {
  readonly clone: SigningClone;
  readonly oakum: ApprovalWorld;
  /** A pass a minute later; what holds then, a line each. */
  settle(): Promise<string>;
  /** Whether the accepted rules are the loosened ones. */
  forced(): boolean | undefined;
  close(): Promise<void>;
}

/** A cluster whose policy and signers have been accepted. */
export async function openPlainGitWorld(
  place: SigningPlace,
  signers: string,
  deployed: () => Keys = () => undefined,
): Promise<PlainGitWorld> {
  const remote = await startGitServer();
  // People commit before Oakum looks for the first time.
  const opened: ApprovalWorld[] = [];
  const now = (): number => opened[0]?.now ?? start;
  const clone = openClone(place, remote, now);
  clone.commit('root', { [policyFile]: policy(), 'signers/allowed_signers': signers }, { signed: false });
  clone.push();
  const world = new ApprovalWorld(plainGitOf(remote, now, deployed), start);
  opened.push(world);
  world.cluster.addNode('n1');
  await world.pass();
  return {
    clone,
    oakum: world,
    settle: async () => {
      const { plan } = await world.pass(minute);
      return plan.holds.map(({ reason, message }) => `${reason}: ${message}`).join('\n');
    },
    forced: () => world.ledger()?.rules?.rules.force,
    close: async () => {
      await world.close();
      await remote.stop();
    },
  };
}

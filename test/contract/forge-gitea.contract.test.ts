// The suite of forges on Gitea's adapter and a false Gitea, whose answers have the shapes of a real one's.
import { describe, expect, it } from 'vitest';
import { openGitea } from '../../reconciler/adapters/forge-gitea.ts';
import { giteaFace } from '../support/fake-gitea.ts';
import { compareShapes, type PassedAnswer } from '../support/gitea-shapes.ts';
import { startFakeWorld } from './fake-world.ts';
import { describeForge, type WorldAbilities } from './forge-suite.ts';

/** Gitea does not tell accounts of programs from others, answers without ETags, and refuses to let an author approve. */
const abilities: WorldAbilities = {
  fault: () => undefined,
  smallPages: () => undefined,
  reviewOfNothing: () => Promise.resolve(),
  rename: () => Promise.reject(new Error('only a world has people')),
  reviewsNameCommit: true,
  selfApproval: false,
  dismissal: true,
};

const answers: PassedAnswer[] = [];

describeForge('Gitea', abilities, () =>
  startFakeWorld({
    face: async (request, forge) => {
      const answer = await giteaFace(request, forge);
      const { method, path } = request;
      if (method === 'GET' && answer.status === 200) answers.push({ method, path, answer: answer.body });
      return answer;
    },
    prefix: '/api/v1',
    open: ({ api, project, forge, log, timeouts }) =>
      openGitea({
        api,
        project,
        branch: 'main',
        credentials: { kind: 'token', token: { value: forge.oakum.token } },
        log,
        clock: { now: () => Date.now() },
        timeouts,
      }),
  }),
);

// Runs after the suite, in the order of this file.
describe('the answers of the false Gitea', () => {
  it('have fields and types that a real one has', () => {
    expect(answers.length).toBeGreaterThan(100);
    expect(compareShapes(answers, 'false')).toEqual([]);
  });
});

// The suite of forges on Gitea's adapter and a false Gitea.
import { openGitea } from '../../reconciler/adapters/forge-gitea.ts';
import { giteaFace } from '../support/fake-gitea.ts';
import { fakeAbilities, startFakeWorld } from './fake-world.ts';
import { describeForge, type WorldAbilities } from './forge-suite.ts';

/** Gitea does not tell accounts of programs from others, answers without ETags, and refuses to let an author approve. */
const { bot: _bot, asked: _asked, ...others } = fakeAbilities;
const abilities: WorldAbilities = { ...others, selfApproval: false };

describeForge('Gitea', abilities, () =>
  startFakeWorld({
    face: giteaFace,
    prefix: '/api/v1',
    open: ({ api, project, forge, log }) =>
      openGitea({
        api,
        project,
        branch: 'main',
        credentials: { kind: 'token', token: { value: forge.oakum.token } },
        log,
        clock: { now: () => Date.now() },
        timeouts: { requestMs: 600, callMs: 2_500, retryMs: 5 },
      }),
  }),
);

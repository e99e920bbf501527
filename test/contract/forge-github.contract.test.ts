// The suite of forges on GitHub's adapter, with a token and as an App.
import { generateKeyPairSync } from 'node:crypto';
import { openGithub } from '../../reconciler/adapters/forge-github.ts';
import { githubFace } from '../support/fake-github.ts';
import { fakeAbilities, startFakeWorld } from './fake-world.ts';
import { describeForge } from './forge-suite.ts';

/** Nobody can approve the own pull request on GitHub. */
const abilities = { ...fakeAbilities, selfApproval: false };
const timeouts = { requestMs: 600, callMs: 2_500, retryMs: 5 };
const clock = { now: () => Date.now() };
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();

describeForge('GitHub with a token', abilities, () =>
  startFakeWorld({
    face: githubFace,
    prefix: '/api/v3',
    open: ({ api, project, forge, log }) =>
      openGithub(
        {
          api,
          project,
          branch: 'main',
          credentials: { kind: 'token', token: { value: forge.oakum.token } },
          log,
          clock,
          timeouts,
        },
        { spread: false },
      ),
  }),
);

describeForge('GitHub as an App', abilities, () =>
  startFakeWorld({
    face: githubFace,
    prefix: '',
    app: true,
    secrets: [pem.split('\n')[3] ?? ''],
    open: ({ api, project, log }) =>
      openGithub(
        {
          api,
          project,
          branch: 'main',
          credentials: { kind: 'app', appId: '7', privateKey: { value: pem } },
          log,
          clock,
          timeouts,
        },
        { spread: false },
      ),
  }),
);

// The suite of forges on a real Gitea.
import { describeForge } from '../contract/forge-suite.ts';
import { giteaAbilities, startGiteaWorld } from './gitea-world.ts';

describeForge('a real Gitea', giteaAbilities, startGiteaWorld);

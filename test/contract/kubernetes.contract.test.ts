// The cluster's contract against the simulation; test/e2e/adapter.test.ts has the same against a real control plane.
import { clusterContract } from './kubernetes-suite.ts';
import { inProcess, overHttp } from './kubernetes-worlds.ts';

clusterContract('the simulation in process', inProcess);
clusterContract('the simulation over HTTP', overHttp);

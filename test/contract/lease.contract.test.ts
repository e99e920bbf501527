// The lease's contract against the simulation; test/e2e/adapter.test.ts has the same against a real control plane.
import { leaseContract } from './lease-suite.ts';
import { inProcess, overHttp } from './kubernetes-worlds.ts';

leaseContract('the simulation in process', inProcess);
leaseContract('the simulation over HTTP', overHttp, 2);

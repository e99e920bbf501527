// The ledger's contract against the simulation; test/e2e/adapter.test.ts has the same against a real control plane.
import { ledgerContract } from './ledger-suite.ts';
import { inProcess, overHttp } from './kubernetes-worlds.ts';

ledgerContract('the simulation in process', inProcess);
ledgerContract('the simulation over HTTP', overHttp);

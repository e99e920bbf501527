import { afterAll, beforeAll, describe, it } from 'vitest';
import { realClock } from '../../reconciler/sim/clock.ts';
import { serveSim, type SimServer } from '../../reconciler/sim/server.ts';
import { createSim, type Sim } from '../../reconciler/sim/sim.ts';
import { API_CASES, type ApiAnswer, type ApiUnderTest, type ApiWatch, type Json } from './api-cases.ts';

const TOKEN = 'only-for-this-test';

async function answerOf(response: Response): Promise<ApiAnswer> {
  const text = await response.text();
  const json = response.headers.get('content-type')?.startsWith('application/json') === true;
  return {
    status: response.status,
    headers: Object.fromEntries(response.headers),
    body: json ? (JSON.parse(text) as unknown) : text,
  };
}

async function watchOf(url: string): Promise<ApiWatch> {
  const abort = new AbortController();
  const response = await fetch(url, { signal: abort.signal, headers: { authorization: `Bearer ${TOKEN}` } });
  const events: Json[] = [];
  let wake: () => void = () => undefined;
  const pump = async (): Promise<void> => {
    let rest = '';
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      events.push(...lines.map((line) => JSON.parse(line) as Json));
      wake();
    }
  };
  pump().catch(() => undefined);
  return {
    async next(timeoutMs) {
      if (events.length === 0)
        await new Promise<void>((resolve) => {
          wake = resolve;
          setTimeout(resolve, timeoutMs);
        });
      return events.shift();
    },
    close: () => {
      abort.abort();
    },
  };
}

describe('the simulated API server answers as a real one does', () => {
  let sim: Sim;
  let server: SimServer;
  let api: ApiUnderTest;
  beforeAll(async () => {
    sim = createSim({ clock: realClock() });
    server = await serveSim(sim, { token: TOKEN });
    sim.create('/api/v1/namespaces', { metadata: { name: 'cases' } });
    api = {
      namespace: 'cases',
      async request(method, path, body, headers = {}) {
        const sent = body === undefined ? {} : { body: JSON.stringify(body) };
        const all = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', ...headers };
        return answerOf(await fetch(server.url + path, { method, headers: all, ...sent }));
      },
      watch: (path) => watchOf(server.url + path),
      async expire() {
        sim.compact();
      },
      async throttleOnce() {
        sim.faults.add({ fault: { kind: 'throttle' }, times: 1 });
      },
    };
  });
  afterAll(() => server.close());

  for (const one of API_CASES) it(one.name, () => one.run(api));
});

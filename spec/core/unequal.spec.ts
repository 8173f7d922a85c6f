/** Two ends with limits of their own, on every protocol: whoever keeps less than the other is sent less, and all of it. */
import { type Limits, memoryPair, type Protocol, type Provider } from 'rxmux';
import { trackPair } from '../support/leaks.js';
import { protocols } from '../support/protocols.js';

const open: Provider[] = [];
afterEach(() => {
  for (const provider of open.splice(0)) provider.abort();
});

function pair(protocol: Protocol, near: Partial<Limits>, far: Partial<Limits>): [Provider, Provider] {
  const [a, b] = memoryPair();
  const ends: [Provider, Provider] = [
    protocol(a, { role: 'client', limits: near }),
    protocol(b, { role: 'server', limits: far }),
  ];
  trackPair(ends);
  open.push(...ends);
  return ends;
}

const size = 200_000;

/** Both ways at once. */
async function transfer(client: Provider, server: Provider): Promise<number[]> {
  server.accept$.subscribe({
    next: (stream) => void stream.send(stream.data$).catch(() => {}),
    error: () => {},
  });
  const streams = [1, 2, 3].map(() => client.newStream());
  return Promise.all(
    streams.map(async (stream) => {
      void stream.send(new Uint8Array(size)).catch(() => {});
      let bytes = 0;
      for await (const chunk of stream) bytes += chunk.byteLength;
      return bytes;
    }),
  );
}

describe.each(Object.entries(protocols))('over %s', (_name, make) => {
  it.each<[Partial<Limits>, Partial<Limits>]>([
    [{ receiveBudgetBytes: 65_536 }, { receiveBudgetBytes: 1000 }],
    [{ receiveBudgetBytes: 60_000 }, { receiveBudgetBytes: 20_000 }],
    [{ receiveBudgetBytes: 20_000 }, { receiveBudgetBytes: 1_000_000 }],
    [{ receiveBudgetBytes: 1000 }, {}],
    [{ receiveBudgetBytes: 50 }, {}],
    [{ windowBytes: 65_536 }, { windowBytes: 8192 }],
    [{ windowBytes: 9000, receiveBudgetBytes: 10_000 }, { windowBytes: 200_000 }],
  ])('%p and %p', async (near, far) => {
    for (const [a, b] of [
      [near, far],
      [far, near],
    ]) {
      expect(await transfer(...pair(make(), a as Partial<Limits>, b as Partial<Limits>))).toEqual([
        size,
        size,
        size,
      ]);
    }
  });
});

import type { Provider } from 'rxmux';
import {
  type Connected,
  connected,
  disconnect,
  figure,
  heldBytes,
  KiB,
  linked,
  MiB,
  transports,
  turn,
} from './pairs.js';

afterEach(disconnect);

/** `RXMUX_MANY=1000000` is the run before a release. */
const total = Number(process.env.RXMUX_MANY ?? 20_000);
const timeoutMs = 30_000 + total;

function echo(provider: Provider): void {
  provider.accept$.subscribe({
    next: (stream) => {
      void stream.send(stream.data$);
    },
    error: () => {},
  });
}

const word = new TextEncoder().encode('a little');

/** One stream, opened, used and closed. */
async function use(client: Provider): Promise<void> {
  const stream = client.newStream();
  void stream.send(word);
  let received = 0;
  for (let chunk = await stream.read(); chunk !== null; chunk = await stream.read())
    received += chunk.byteLength;
  if (received !== word.byteLength) throw new Error(`${received} bytes came back`);
}

describe.each(transports)('many streams over %s', (transport) => {
  it('10,000 are open at once, each echoes a little, and nothing is left of them', async () => {
    const count = 10_000;
    const limits = { maxStreams: count, backlog: count, receiveBudgetBytes: 8 * MiB };
    const { client, server } = await connected(transport, limits);
    echo(server);
    await Promise.all(Array.from({ length: 1000 }, () => use(client)));
    const before = await heldBytes();
    const streams = Array.from({ length: count }, () => client.newStream());
    await Promise.all(
      streams.map(async (stream) => {
        await stream.write(word);
        // A read of the kernel may end within it.
        let received = 0;
        while (received < word.byteLength) received += (await stream.read())?.byteLength ?? Number.NaN;
        expect(received).toBe(word.byteLength);
      }),
    );
    expect([client.streams.size, server.streams.size]).toEqual([count, count]);
    const open = await heldBytes();
    figure(
      `an open stream that has echoed, over ${transport}: ${Math.round((open - before) / count)} bytes, both ends`,
    );
    await Promise.all(
      streams.map(async (stream) => {
        void stream.end();
        expect(await stream.read()).toBeNull();
        await stream.closed;
      }),
    );
    streams.length = 0;
    await turn();
    expect([client.streams.size, server.streams.size]).toEqual([0, 0]);
    const began = performance.now();
    let left = (await heldBytes()) - before;
    // The timekeeper lets go of what it watched when it next looks.
    while (left >= MiB && performance.now() - began < 5000) left = (await heldBytes()) - before;
    const ms = Math.round(performance.now() - began);
    figure(`left of 10,000 streams over ${transport}: ${Math.round(left / KiB)} KiB after ${ms} ms`);
    expect(left).toBeLessThan(MiB);
  }, 30_000);

  it('an idle stream is small', async () => {
    const count = 5000;
    const pair = await connected(transport, { maxStreams: 2 * count, backlog: 2 * count });
    for (let warm = 0; warm < 200; warm++) await linked(pair);
    const before = await heldBytes();
    const streams: unknown[] = [];
    for (let index = 0; index < count; index++) streams.push(await linked(pair));
    const bytes = ((await heldBytes()) - before) / count;
    expect(streams).toHaveLength(count);
    figure(`an idle stream over ${transport}: ${Math.round(bytes)} bytes, both ends, answered`);
    // Two ends, of which the opener has made a promise of its reply; the goal is 1 KiB and a half for each.
    expect(bytes).toBeLessThan(4 * KiB);
  }, 30_000);

  it.each([
    ['in sequence', 1],
    ['200 at a time', 200],
  ])(
    `${total} are opened and closed, %s, and the heap stays flat`,
    async (how, parallel) => {
      const pair: Connected = await connected(transport);
      echo(pair.server);
      const run = async (count: number): Promise<void> => {
        let left = count;
        const worker = async (): Promise<void> => {
          while (left-- > 0) await use(pair.client);
        };
        await Promise.all(Array.from({ length: parallel }, worker));
      };
      await run(total / 10);
      const before = await heldBytes();
      const began = performance.now();
      const held: number[] = [];
      for (let tenth = 0; tenth < 10; tenth++) {
        await run(total / 10);
        if (tenth % 3 === 0) held.push((await heldBytes()) - before);
      }
      const seconds = (performance.now() - began) / 1000;
      await turn();
      expect([pair.client.streams.size, pair.server.streams.size]).toEqual([0, 0]);
      const settled = performance.now();
      let growth = (await heldBytes()) - before;
      while (growth >= MiB && performance.now() - settled < 5000) growth = (await heldBytes()) - before;
      figure(
        `${total} streams over ${transport}, ${how}: ${seconds.toFixed(1)} s, ${(growth / total).toFixed(2)} bytes ` +
          `of heap a stream (${held.map((bytes) => Math.round(bytes / KiB)).join(', ')} KiB on the way)`,
      );
      expect(growth).toBeLessThan(MiB);
    },
    timeoutMs,
  );
});

import type { Provider, Stream } from 'rxmux';
import { defaultLimits } from '../../lib/core/limits.js';
import { collect } from '../conformance/bytes.js';
import { until, within } from '../conformance/wait.js';
import {
  type Connected,
  connected,
  disconnect,
  figure,
  heldBytes,
  KiB,
  linked,
  MiB,
  median,
  still,
  transports,
  turn,
} from './pairs.js';

afterEach(disconnect);

const { windowBytes, maxFrameBytes, streamQueueBytes } = defaultLimits;

function* zeros(totalBytes: number, chunkBytes: number): Generator<Uint8Array> {
  const chunk = new Uint8Array(chunkBytes);
  for (let left = totalBytes; left > 0; left -= chunkBytes) yield chunk;
}

describe.each(transports)('a stream that nobody reads, over %s', (transport) => {
  it('holds no more than its window of the 1 GiB that it is offered', async () => {
    const pair = await connected(transport);
    const [near, far] = await linked(pair);
    const before = await heldBytes();
    void near.send(zeros(1024 * MiB, 16 * KiB));
    let most = 0;
    let memory = 0;
    await still(() => {
      most = Math.max(most, far.stats.queuedIn);
      return near.stats.bytesOut;
    });
    for (let look = 0; look < 3; look++) {
      memory = Math.max(memory, (await heldBytes()) - before);
      most = Math.max(most, far.stats.queuedIn);
    }
    expect(most).toBe(windowBytes);
    expect(near.stats.queuedOut).toBeLessThanOrEqual(streamQueueBytes);
    expect(near.stats.blockedOn).toBe('window');
    figure(
      `unread over ${transport}: ${most} bytes queued, ${Math.round(memory / KiB)} KiB of memory, both ends`,
    );
    // Beside the receiver's window and frame this counts the sender, which is in this process too.
    expect(memory).toBeLessThanOrEqual(windowBytes + maxFrameBytes + streamQueueBytes + MiB);
  }, 20_000);

  it.each([
    ['1 byte', [1]],
    ['100 bytes', [100]],
    ['2049 bytes', [2049]],
  ])(
    'costs little more than its bytes when they come by %s',
    async (_what, sizes) => {
      // A socket reads into slabs of up to 1 MiB: one may be new.
      expect(await cost(sizes)).toBeLessThanOrEqual(windowBytes + 2 * MiB);
    },
    20_000,
  );

  it('costs little more than its bytes when they come by 2049 bytes and 1 in turn', async () => {
    expect(await cost([2049, 1])).toBeLessThanOrEqual(windowBytes + MiB);
  }, 20_000);

  /** The memory of a window full of chunks of these sizes, each in a frame of its own. */
  async function cost(sizes: readonly number[]): Promise<number> {
    const [near, far] = await linked(await connected(transport));
    const before = await heldBytes();
    let sent = 0;
    for (let count = 0; sent < windowBytes - 2049; count++) {
      const bytes = sizes[count % sizes.length] as number;
      void near.write(new Uint8Array(bytes));
      await undefined;
      await undefined;
      sent += bytes;
      if (count % 500 === 0) await turn();
    }
    await until(() => far.stats.bytesIn === sent, 'all has arrived');
    expect(far.stats.queuedIn).toBe(sent);
    const memory = (await heldBytes()) - before;
    figure(`${sent} bytes by ${sizes} over ${transport}: ${Math.round(memory / KiB)} KiB of memory`);
    return memory;
  }
});

/** How many bytes per millisecond several streams move at once. */
async function speed({ client, server }: Connected, streams: number, totalBytes: number): Promise<number> {
  const began = performance.now();
  const senders = Array.from({ length: streams }, () => client.newStream());
  const sending = senders.map((near) => near.send(zeros(totalBytes / streams, 16 * KiB)));
  const receiving: Promise<void>[] = [];
  for (let index = 0; index < streams; index++) {
    receiving.push(received((await server.accept()) as Stream, totalBytes / streams));
  }
  await Promise.all([...sending, ...receiving]);
  return totalBytes / (performance.now() - began);
}

async function received(stream: Stream, expected: number): Promise<void> {
  let bytes = 0;
  await new Promise<void>((resolve, reject) => {
    stream.data$.subscribe({
      next: (chunk) => {
        bytes += chunk.byteLength;
      },
      error: reject,
      complete: resolve,
    });
  });
  expect(bytes).toBe(expected);
  await stream.end();
}

/** Fills `count` streams to the brim, and leaves them. */
async function unread(pair: Connected, count: number): Promise<Stream[]> {
  const left: Stream[] = [];
  for (let index = 0; index < count; index++) {
    const [near, far] = await linked(pair);
    void near.send(zeros(1024 * MiB, 16 * KiB));
    await until(() => far.stats.queuedIn === windowBytes, 'the window is full');
    left.push(far);
  }
  return left;
}

/**
 * The speed beside unread streams as a part of that without, one right after the other: the median over some rounds. A
 * machine with other work to do needs more of them: it is given up to `most` until the goal is reached.
 */
async function slowdown(beside: Connected, alone: Connected, goal: number, most: number): Promise<number> {
  const ratios: number[] = [];
  const bytes = 16 * MiB;
  for (const pair of [beside, alone]) await speed(pair, 4, bytes);
  for (let round = 1; ; round++) {
    // Who goes first changes, for the sake of whoever pays for the garbage of the other.
    const first = await speed(round % 2 === 0 ? beside : alone, 4, bytes);
    const second = await speed(round % 2 === 0 ? alone : beside, 4, bytes);
    ratios.push(round % 2 === 0 ? first / second : second / first);
    const ratio = median(ratios);
    if (round >= 8 && (ratio >= goal || round >= most)) return ratio;
  }
}

describe.each(transports)('streams beside unread ones, over %s', (transport) => {
  it.each([
    [1, {}],
    [2, {}],
    [16, { receiveBudgetBytes: 16 * MiB }],
  ] as [number, { receiveBudgetBytes?: number }][])(
    'keep 90 %% of their speed beside %d',
    async (count, limits) => {
      const beside = await connected(transport, limits);
      const alone = await connected(transport, limits);
      const left = await unread(beside, count);
      const ratio = await slowdown(beside, alone, 0.9, 80);
      figure(`speed beside ${count} unread over ${transport}: ${(100 * ratio).toFixed(0)} %`);
      expect(ratio).toBeGreaterThanOrEqual(0.9);
      for (const stream of left) expect(stream.stats.queuedIn).toBe(windowBytes);
    },
    30_000,
  );

  it.each([3, 4, 12])('go on beside %d, which have taken most of the budget, or all of it', async (count) => {
    const pair = await connected(transport);
    await unread(pair, count);
    await within(speed(pair, 4, 16 * MiB), 2000, () => describeStall(pair, count));
  });

  it.each([16, 64, 256])(
    'go on beside %d, that take whatever they are given',
    async (count) => {
      const pair = await connected(transport, { maxStreams: 1000 });
      await greedy(pair, count);
      await within(speed(pair, 4, MiB), 10_000, () => describeStall(pair, count));
      expect(queued(pair.server)).toBeLessThanOrEqual(all);
    },
    30_000,
  );

  it('wait when the unread ones have taken all that there is, and go on when one of them is stopped', async () => {
    const pair = await connected(transport, { maxStreams: 1000 });
    const left = await greedy(pair, 400);
    const near = pair.client.newStream();
    void near.send(zeros(MiB, 16 * KiB));
    const far = (await pair.server.accept()) as Stream;
    const reading = collect(far);
    expect(await still(() => far.stats.bytesIn)).toBe(0);
    expect(near.stats.blockedOn).toBe('window');
    expect(queued(pair.server)).toBe(all);
    left[0]?.stop();
    const bytes = await within(reading, 2000, () => describeStall(pair, left.length));
    expect(bytes.byteLength).toBe(MiB);
  }, 30_000);
});

/** What a connection may hold unread. */
const all = defaultLimits.receiveBudgetBytes + defaultLimits.growthBudgetBytes;

/** So many streams that nobody reads, each with all that it may send. */
async function greedy(pair: Connected, count: number): Promise<Stream[]> {
  const left: Stream[] = [];
  for (let index = 0; index < count; index++) {
    const [near, far] = await linked(pair);
    void near.send(zeros(1024 * MiB, 16 * KiB));
    left.push(far);
  }
  await still(() => queued(pair.server));
  return left;
}

function describeStall({ server }: Connected, count: number): string {
  return `beside ${count} unread streams, with ${queued(server)} bytes unread`;
}

function queued(provider: Provider): number {
  return [...provider.streams.values()].reduce((sum, stream) => sum + stream.stats.queuedIn, 0);
}

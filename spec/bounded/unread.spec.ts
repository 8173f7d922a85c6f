import type { Provider, Stream } from 'rxmux';
import { defaultLimits } from '../../lib/core/limits.js';
import { collect } from '../conformance/bytes.js';
import { until, within } from '../conformance/wait.js';
import { speed, unread, zeros } from './load.js';
import {
  type Connected,
  connected,
  disconnect,
  figure,
  heldBytes,
  KiB,
  linked,
  MiB,
  still,
  transports,
  turn,
} from './pairs.js';

afterEach(disconnect);

const { windowBytes, maxFrameBytes, streamQueueBytes } = defaultLimits;

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

describe.each(transports)('streams beside unread ones, over %s', (transport) => {
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

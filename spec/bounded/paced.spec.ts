import { filter, lastValueFrom, map, scan } from 'rxjs';
import { pullMap, type Stream } from 'rxmux';
import { defaultLimits } from '../../lib/core/limits.js';
import { collect, expectPattern, pattern } from '../conformance/bytes.js';
import { connected, disconnect, KiB, linked, MiB, still, transports, turn } from './pairs.js';

afterEach(disconnect);

/** Chunks of one buffer, counted as they are asked for. */
class Counted {
  produced = 0;
  readonly #chunk: Uint8Array;
  readonly #total: number;

  constructor(chunkBytes: number, total: number) {
    this.#chunk = new Uint8Array(chunkBytes);
    this.#total = total;
  }

  *chunks(): Generator<Uint8Array> {
    while (this.produced < this.#total) {
      const length = Math.min(this.#chunk.byteLength, this.#total - this.produced);
      this.produced += length;
      yield this.#chunk.subarray(0, length);
    }
  }
}

describe.each(transports)('over %s', (transport) => {
  it('200 KB sent before anybody accepts or subscribes arrive whole', async () => {
    const { client, server } = await connected(transport);
    const bytes = pattern(200_000);
    const stream = client.newStream();
    const sending = stream.send(bytes);
    await sending;
    await turn();
    const taken = (await server.accept()) as Stream;
    await turn();
    expectPattern(await collect(taken), bytes.byteLength);
  });

  /**
   * The allowance is the window, to the byte. A chunk of more than half of it may be in hand besides, since the reader
   * returns credit by halves.
   */
  describe.each([
    ['that divide the window', 16 * KiB, 0],
    ['that do not divide it', 10_007, 0],
    ['of more than half of it', 200_001, 200_001],
  ])('chunks %s', (_what, chunkBytes, inHand) => {
    it.each([
      ['fixed', 256 * KiB],
      ['by default', defaultLimits.maxWindowBytes],
    ])(
      'keep the producer one window ahead of a slow reader: %s',
      async (what, windowBytes) => {
        const limits = what === 'fixed' ? { windowBytes } : {};
        const total = what === 'fixed' ? 64 * MiB : 256 * MiB;
        const [near, far] = await linked(await connected(transport, limits));
        const source = new Counted(chunkBytes, total);
        let consumed = 0;
        let most = 0;
        let steps = 0;
        const slow = async (chunk: Uint8Array): Promise<number> => {
          // The fast steps let a window grow, the slow ones let it fill.
          if (++steps % 50 === 0) await turn();
          most = Math.max(most, source.produced - consumed);
          consumed += chunk.byteLength;
          return chunk.byteLength;
        };
        const reading = lastValueFrom(
          far.data$.pipe(
            filter((chunk) => chunk.byteLength > 0),
            map((chunk) => chunk),
            pullMap(slow),
            scan((sum, length) => sum + length, 0),
          ),
        );
        await near.send(source.chunks());
        expect(await reading).toBe(total);
        expect(most).toBeGreaterThan(128 * KiB);
        expect(most).toBeLessThanOrEqual(windowBytes + inHand);
      },
      30_000,
    );
  });

  it('an asynchronous step that never ends holds the producer one window ahead', async () => {
    const [near, far] = await linked(await connected(transport));
    const source = new Counted(16 * KiB, 64 * MiB);
    void near.send(source.chunks());
    far.data$.pipe(pullMap(() => new Promise<void>(() => {}))).subscribe({ error: () => {} });
    // The first chunk is delivered before the window had any reason to grow.
    expect(await still(() => source.produced)).toBe(256 * KiB);
    expect(far.stats.blockedOn).toBe('reader');
  });
});

describe.each(transports)('a proxy of two lines over %s', (transport) => {
  const windowBytes = 64 * KiB;

  async function proxied(): Promise<{ near: Stream; far: Stream; down: Stream; up: Stream }> {
    const limits = { windowBytes };
    const [near, down] = await linked(await connected(transport, limits));
    const [up, far] = await linked(await connected(transport, limits));
    return { near, far, down, up };
  }

  it.each([
    ['send', 8 * KiB],
    ['subscribe', 8 * KiB],
    ['send', 5003],
    ['subscribe', 5003],
  ])('stays within the sum of its windows: by %s, chunks of %d', async (way, chunkBytes) => {
    const { near, far, down, up } = await proxied();
    if (way === 'send') void up.send(down.data$);
    else down.data$.subscribe(up);
    void down.send(up.data$);

    const source = new Counted(chunkBytes, 16 * MiB);
    void near.send(source.chunks());
    expect(await still(() => source.produced)).toBeGreaterThan(2 * windowBytes - 2 * 16 * KiB);
    expect(source.produced).toBeLessThanOrEqual(2 * windowBytes);

    let consumed = 0;
    let most = 0;
    let steps = 0;
    const reading = lastValueFrom(
      far.data$.pipe(
        pullMap(async (chunk) => {
          if (++steps % 20 === 0) await turn();
          most = Math.max(most, source.produced - consumed);
          consumed += chunk.byteLength;
        }),
      ),
    );
    await reading;
    expect(consumed).toBe(16 * MiB);
    expect(most).toBeLessThanOrEqual(2 * windowBytes);
    // And back: the end travels, and so does an answer.
    await far.send('done');
    expect(Buffer.from(await collect(near)).toString()).toBe('done');
  });
});

import { setImmediate as turn } from 'node:timers/promises';
import type { Provider, Stream, StreamError } from 'rxmux/node';
import type { SpdyOptions } from 'rxmux/spdy';
import { describeWithPeer } from '../support/interop.js';
import {
  buildPeer,
  echoes,
  filled,
  type GoPeer,
  hashOf,
  meet,
  serve,
  spdystream,
  sumOf,
  supply,
  textOf,
} from './spdystream.js';

const MiB = 1024 * 1024;
const many = { limits: { maxStreams: 1024, backlog: 1024 } };

let program: string;
let remove: () => Promise<void>;

describeWithPeer('SPDY/3.1 and Go’s spdystream', spdystream, () => {
  beforeAll(async () => {
    ({ program, remove } = await buildPeer());
  }, 180_000);

  afterAll(async () => {
    await remove?.();
  });

  describe.each(['client', 'server'] as const)('we are the %s', (ours) => {
    let go: GoPeer;
    let provider: Provider;

    const begin = async (options: SpdyOptions = {}): Promise<void> => {
      go = await meet(program, ours, options);
      provider = go.provider;
      serve(provider);
    };

    afterEach(async () => {
      await go.end();
    });

    const opened = (play: string, size: number = 0): Stream =>
      provider.newStream({ play, size: String(size) });

    /** The connection is as good as new. */
    const works = async (): Promise<void> => {
      expect(await echoes(opened('echo'), filled(1000))).toBe(true);
      expect(await go.run('open', 'play=headers')).toContain('"play"');
    };

    it('Reset: a stream that is reset at once fails, in both directions', async () => {
      await begin();
      const stream = opened('reset');
      const error = await failure(stream.reply);
      expect(error).toMatchObject({ remote: true, reset: 'cancel', wireCode: 5 });
      await expect(stream.write('x')).rejects.toBe(error);
      expect(await go.run('open', 'play=reset')).toBe('failed: Stream reset');
      await works();
    });

    it('Header: eleven streams in sequence, each with two headers of its own', async () => {
      await begin();
      for (let number = 0; number <= 10; number++) {
        const numbers = { 'x-number': String(number), 'x-square': String(number * number) };
        const stream = provider.newStream({ play: 'echo', ...numbers });
        const reply = await stream.reply;
        expect([reply.get('X-Number'), reply.get('x-square')]).toEqual(Object.values(numbers));
        await stream.end();
        expect(await stream.read()).toBeNull();
        const seen = await go.run('open', 'play=headers', `x-number=${number}`, 'x-two=a', 'x-two=b');
        expect(JSON.parse(seen)).toMatchObject({ 'x-number': String(number), 'x-two': ['a', 'b'] });
      }
    });

    it('ReadWrite: 253 messages of 1 to 253 bytes come back, and then the end', async () => {
      await begin();
      const stream = opened('echo');
      const reading = hashOf(stream);
      let at = 0;
      for (let length = 1; length <= 253; length++) {
        await stream.write(filled(length, at));
        at += length;
      }
      await stream.end();
      expect(await reading).toEqual({ bytes: at, sum: sumOf(at) });
    });

    it('1,000 streams at a time echo, opened by us', async () => {
      await begin();
      const answers = Array.from({ length: 1000 }, (_, index) =>
        echoes(opened('echo'), filled(10_000, index)),
      );
      expect((await Promise.all(answers)).filter((good) => good)).toHaveLength(1000);
    }, 60_000);

    it('1,000 streams at a time echo, opened by Go', async () => {
      await begin(many);
      expect(await go.run('echo', 1000, 1000, 10_000)).toBe('1000');
    }, 60_000);

    it('both sides open streams at the same time', async () => {
      await begin();
      const theirs = go.run('echo', 200, 50, 5000);
      const own = Array.from({ length: 200 }, (_, index) => echoes(opened('echo'), filled(5000, index)));
      expect((await Promise.all(own)).every((good) => good)).toBe(true);
      expect(await theirs).toBe('200');
    }, 60_000);

    it('10,000 streams in sequence, opened by us', async () => {
      await begin();
      for (let index = 0; index < 10_000; index++) {
        const stream = opened('echo');
        void stream.send('x');
        if ((await textOf(stream)) !== 'x') throw new Error(`stream ${index}`);
      }
      expect(provider.streams.size).toBe(0);
    }, 120_000);

    it('10,000 streams in sequence, opened by Go', async () => {
      await begin();
      expect(await go.run('echo', 10_000, 1, 100)).toBe('10000');
    }, 120_000);

    it('either side may be the first to half-close', async () => {
      await begin();
      const late = opened('half');
      expect(await textOf(late)).toBe('first');
      expect(late.state).toBe('half-closed-remote');
      await late.send(filled(MiB));
      await late.closed;
      const early = opened('sum');
      await early.end();
      expect(await textOf(early)).toMatch(/^0 /);
      await early.closed;
    });

    it('64 MiB go to Go whole, though it never gives any credit', async () => {
      await begin();
      const stream = opened('sum');
      void stream.send(supply(64 * MiB));
      expect(await textOf(stream)).toBe(`${64 * MiB} ${sumOf(64 * MiB)}`);
    }, 90_000);

    it('64 MiB come from Go whole, on streams of either side', async () => {
      await begin();
      expect(await hashOf(opened('send', 64 * MiB))).toEqual({ bytes: 64 * MiB, sum: sumOf(64 * MiB) });
      expect(await go.run('sum', 64 * MiB)).toBe(`${64 * MiB} ${sumOf(64 * MiB)}`);
    }, 90_000);

    it('a single DATA frame of 5 MiB comes through, on streams of either side', async () => {
      await begin();
      const size = 5 * MiB;
      const longest: number[] = [];
      provider.frames$.subscribe(({ name, length }) => {
        if (name === 'DATA') longest.push(length);
      });
      expect(await hashOf(opened('frame', size))).toEqual({ bytes: size, sum: sumOf(size) });
      expect(Math.max(...longest)).toBe(size);
      expect(await go.run('frame', size)).toBe(`${size} ${sumOf(size)}`);
    }, 30_000);

    it('a reset in mid transfer ends one stream, whoever resets', async () => {
      await begin();
      const ours = opened('send', 64 * MiB);
      await ours.read();
      ours.reset('cancel');
      const sending = opened('sum');
      const sent = sending.send(supply(64 * MiB));
      while (sending.stats.bytesOut < MiB) await turn();
      sending.reset('internal-error');
      await expect(sent).rejects.toMatchObject({ code: 'reset', remote: false });
      const theirs = opened('cut', MiB);
      await expect(hashOf(theirs)).rejects.toMatchObject({ code: 'reset', remote: true, reset: 'cancel' });
      await works();
    }, 30_000);

    it('a refusal is one, in both directions', async () => {
      await begin();
      expect(await failure(opened('refuse').reply)).toMatchObject({
        code: 'refused',
        retryable: true,
        wireCode: 3,
      });
      expect(await go.run('open', 'play=refuse')).toBe('failed: Stream reset');
      await works();
    });

    it('stop() discards what Go sends, until our half is done', async () => {
      await begin();
      const stream = opened('send', 3 * MiB);
      await stream.read();
      stream.stop();
      await turn();
      expect(stream.state).toBe('open');
      await works();
      await stream.end();
      await stream.closed;
      await works();
    });

    it('trailers come and go where the application asks for them', async () => {
      await begin();
      const stream = opened('trailers');
      expect(await textOf(stream)).toBe('body');
      expect((await stream.trailers)?.getAll('x-status')).toEqual(['done', 'well']);
      await stream.end();
      const asked = opened('headers');
      await asked.end({ 'x-status': ['fine', 'too'] });
      expect(await textOf(asked)).toBe('fine,too');
    });

    it('a slow reader bounds our memory, and loses nothing', async () => {
      await begin();
      const size = 32 * MiB;
      const stream = opened('send', size);
      const held = await settled(() => stream.stats.queuedIn);
      expect(held).toBeGreaterThanOrEqual(MiB);
      expect(held).toBeLessThan(1.5 * MiB);
      expect(await hashOf(stream)).toEqual({ bytes: size, sum: sumOf(size) });
    }, 60_000);

    it('a slow reader below the budget holds nobody else up', async () => {
      await begin();
      const slow = opened('send', 700_000);
      await settled(() => slow.stats.queuedIn);
      expect(slow.stats.queuedIn).toBe(700_000);
      await works();
      expect((await hashOf(opened('send', 16 * MiB))).bytes).toBe(16 * MiB);
      expect((await hashOf(slow)).sum).toBe(sumOf(700_000));
      await slow.end();
    }, 30_000);

    it('a Go application that does not read holds our sender, not our memory', async () => {
      await begin();
      const stream = opened('stall');
      let taken = 0;
      const source = function* (): Generator<Uint8Array> {
        for (;;) {
          taken += 64 * 1024;
          yield new Uint8Array(64 * 1024);
        }
      };
      const sending = stream.send(source());
      await settled(() => taken);
      expect(taken - stream.stats.bytesOut).toBeLessThanOrEqual(MiB / 4);
      stream.reset();
      await expect(sending).rejects.toMatchObject({ code: 'reset' });
    }, 30_000);

    it('pings are answered, in both directions', async () => {
      await begin();
      for (let count = 0; count < 5; count++) {
        expect(await provider.ping()).toBeLessThan(4000);
        expect(await go.run('ping')).toBe('pong');
      }
    });

    it('close() lets streams finish, and says GOAWAY after them', async () => {
      await begin();
      const names: string[] = [];
      provider.frames$.subscribe(({ direction, name }) => {
        if (direction === 'out') names.push(name);
      });
      const stream = opened('echo');
      await stream.reply;
      const closing = provider.close();
      expect(await echoes(stream, filled(MiB))).toBe(true);
      await closing;
      expect(names.indexOf('GOAWAY')).toBe(names.length - 1);
    });

    it('Go’s close lets our streams finish', async () => {
      await begin();
      // Go ends its half first: as the last one it forgets the stream, and closes, before its FIN is written.
      const stream = opened('half');
      expect(await textOf(stream)).toBe('first');
      const closing = go.run('close');
      await stream.send(filled(MiB));
      await stream.closed;
      expect(await closing).toBe('closed');
      await provider.closed;
    }, 15_000);
  });
});

async function failure(promise: Promise<unknown>): Promise<StreamError> {
  try {
    await promise;
  } catch (error) {
    return error as StreamError;
  }
  throw new Error('it did not fail');
}

/** A figure once it has grown and stands still. */
async function settled(figure: () => number): Promise<number> {
  let last = -1;
  for (let still = 0; still < 30; ) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    const now = figure();
    still = now === last && now > 0 ? still + 1 : 0;
    last = now;
  }
  return last;
}

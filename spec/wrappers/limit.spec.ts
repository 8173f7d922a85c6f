import { of } from 'rxjs';
import { intercept, limit, type ProviderOperator, type Stream, StreamError, span } from 'rxmux';
import { Pace } from '../../lib/wrappers/pace.js';
import { each, fate, turn, until } from '../conformance/wait.js';
import { ManualClock } from '../support/manual-clock.js';
import { echo, finish, next, textOf, two } from './ends.js';

async function failureOf(promise: Promise<unknown>): Promise<StreamError> {
  const error = await promise.catch((reason: unknown) => reason);
  if (!StreamError.is(error)) throw new Error(`no StreamError: ${String(error)}`);
  return error;
}

describe('limit', () => {
  it('fails the stream above the number of streams here, and refuses it there, as retryable', async () => {
    const { client, server } = two();
    const few = client.pipe(limit({ streams: 2 }));
    const open = [few.newStream(), few.newStream()];
    const third = few.newStream({ name: 'x' });
    expect(await failureOf(third.reply)).toMatchObject({ code: 'limit', retryable: true });
    expect(await failureOf(third.write('x'))).toMatchObject({ code: 'limit' });
    expect(third.state).toBe('reset');
    open[0]?.reset();
    await until(() => few.streams.size === 1, 'one is over');
    expect(few.newStream().state).toBe('opening');
    const other = two();
    const guarded = other.server.pipe(limit({ streams: 1 }));
    const taken: Stream[] = [];
    const first = other.client.newStream();
    const refused = failureOf(other.client.newStream().reply);
    guarded.accept$.subscribe({ next: (stream) => taken.push(stream), error: () => {} });
    expect(await refused).toMatchObject({ code: 'refused', remote: true, retryable: true });
    expect(taken.map(({ id }) => id)).toEqual([first.id]);
    await finish(other.client, other.server);
    await finish(client, server);
  });

  it('resets a stream that exceeds its bytes, either way, and no other', async () => {
    const { client, server } = two();
    echo(server);
    const capped = client.pipe(limit({ perStream: { bytes: 1000 } }));
    const within = capped.newStream();
    void within.send('x'.repeat(1000));
    expect((await textOf(within)).length).toBe(1000);
    const beyond = capped.newStream();
    void beyond.send('x'.repeat(1001));
    const there = two();
    there.server.accept$.subscribe({ next: (stream) => void stream.send('x'.repeat(1001)), error: () => {} });
    const tooMuch = there.client.pipe(limit({ perStream: { bytes: 1000 } })).newStream();
    const taken = failureOf(textOf(tooMuch));
    for (const error of [await failureOf(beyond.closed), await failureOf(tooMuch.closed), await taken]) {
      expect([error.code, error.reset, (error.cause as StreamError).code]).toEqual([
        'reset',
        'overflow',
        'limit',
      ]);
    }
    await finish(there.client, there.server);
    await finish(client, server);
  });

  it.each(
    (['perStream', 'perConnection'] as const).flatMap((scope) =>
      (['data$', 'read', 'for await', 'readable'] as const).map((how) => [scope, how] as const),
    ),
  )('%s: tells the reader of a stream that was closed before it was read: %s', async (scope, how) => {
    const { client, server } = two();
    const capped = server.pipe(limit({ [scope]: { bytes: 1000 } }));
    const stream = client.newStream();
    void stream.send(Array.from({ length: 10 }, () => new Uint8Array(300))).catch(() => {});
    const there = await next(capped);
    await there.end();
    await there.closed;
    let received = 0;
    const count = (chunk: Uint8Array): void => {
      received += chunk.byteLength;
    };
    const ways = {
      data$: () => there.data$.forEach(count),
      read: async () => {
        for (let chunk = await there.read(); chunk !== null; chunk = await there.read()) count(chunk);
      },
      'for await': async () => {
        for await (const chunk of there) count(chunk);
      },
      readable: async () => {
        for await (const chunk of there.readable) count(chunk);
      },
    };
    expect(await failureOf(ways[how]())).toMatchObject({ code: 'limit' });
    expect(received).toBeLessThanOrEqual(1000);
    expect(await failureOf(there.read())).toMatchObject({ code: 'limit' });
    expect(await failureOf(there.data$.forEach(count))).toMatchObject({ code: 'limit' });
    await finish(client, server);
  });

  it('aborts a connection that exceeds its bytes', async () => {
    const { client, server } = two();
    echo(server);
    const capped = client.pipe(limit({ perConnection: { bytes: 5000 } }));
    const first = capped.newStream();
    void first.send('x'.repeat(3000));
    expect((await textOf(first)).length).toBe(3000);
    void capped.newStream().send('x'.repeat(3000));
    const error = (await capped.closed.catch((reason: unknown) => reason)) as StreamError;
    expect([error.code, (error.cause as StreamError).code]).toEqual(['closed', 'limit']);
    await finish(client, server);
  });

  it.each(['pulled', 'pushed', 'as one string', 'written'] as const)(
    'keeps what is sent to a rate: %s',
    async (how) => {
      const { client, server } = two();
      const clock = new ManualClock();
      const slow = client.pipe(limit({ perStream: { rate: 10_000 }, clock }));
      const stream = slow.newStream();
      const there = await next(server);
      let received = 0;
      there.data$.subscribe({ next: (chunk) => (received += chunk.byteLength), error: () => {} });
      await stream.reply;
      const pieces = Array.from({ length: 4 }, () => new Uint8Array(10_000));
      if (how === 'pulled') void stream.send(pieces);
      if (how === 'as one string') void stream.send('x'.repeat(40_000));
      if (how === 'pushed') {
        const source = slow.newStream();
        const far = await next(server);
        void far.send(pieces);
        void stream.send(source.data$);
      }
      if (how === 'written') {
        void (async () => {
          for (const piece of pieces) await stream.write(piece);
        })();
      }
      await until(() => received > 0, 'the first comes at once');
      const first = received;
      expect(first).toBeLessThanOrEqual(20_000);
      for (let seconds = 0; seconds < 8; seconds++) {
        const before = received;
        clock.pass(1000);
        if (before < 40_000)
          await until(() => received > before || received === 40_000, 'a second brings some', 1000).catch(
            () => {},
          );
        expect(received - before).toBeLessThanOrEqual(30_000);
      }
      expect(received).toBe(40_000);
      await finish(client, server);
      expect(clock.pending).toBe(0);
    },
  );

  it('keeps what is read to a rate, and the sender waits', async () => {
    const { client, server } = two({ windowBytes: 16_384, maxWindowBytes: 16_384 });
    const clock = new ManualClock();
    const slow = server.pipe(limit({ perConnection: { rate: 1000 }, clock }));
    const stream = client.newStream();
    void stream.send(new Uint8Array(100_000));
    const there = await next(slow);
    let received = 0;
    there.data$.subscribe({ next: (chunk) => (received += chunk.byteLength), error: () => {} });
    await until(() => received > 0, 'the first comes at once');
    await until(() => stream.stats.blockedOn === 'window', 'the sender waits');
    const before = received;
    clock.pass(500_000);
    await until(() => received > before, 'more comes in time');
    await finish(client, server);
    expect(clock.pending).toBe(0);
  });

  it.each(['here', 'there'] as const)(
    'leaves no debt of what a stream had not sent when it was reset %s',
    async (where) => {
      const { client, server } = two();
      const clock = new ManualClock();
      const slow = client.pipe(limit({ perConnection: { rate: 1000, bytes: 2_000_000 }, clock }));
      const lost = slow.newStream();
      const there = await next(server);
      void lost.write(new Uint8Array(1_900_000)).catch(() => {});
      if (where === 'here') lost.reset();
      else {
        there.reset();
        await lost.closed.catch(() => {});
      }
      await lost.write(new Uint8Array(1_900_000)).catch(() => {});
      const sent = lost.stats.bytesOut;
      expect(sent).toBeLessThan(1_000_000);
      const stream = slow.newStream();
      const writing = fate(stream.write(new Uint8Array(1000)));
      await until(() => clock.pending === 1, 'it waits');
      clock.pass(sent + 900);
      await turn();
      expect(writing.state).toBe('pending');
      clock.pass(100);
      await turn();
      expect(writing.state).toBe('resolved');
      void stream.write(new Uint8Array(900_000)).catch(() => {});
      expect(stream.state).not.toBe('reset');
      await finish(client, server);
    },
  );

  it('owes nothing to a stream that exceeded its own bytes', async () => {
    const { client, server } = two();
    server.accept$.subscribe({ next: (stream) => each(stream.data$), error: () => {} });
    const capped = client.pipe(limit({ perStream: { bytes: 1000 }, perConnection: { bytes: 10_000 } }));
    await failureOf(capped.newStream().write(new Uint8Array(100_000)));
    for (let sent = 0; sent < 10_000; sent += 1000) await capped.newStream().send(new Uint8Array(1000));
    await failureOf(capped.newStream().send(new Uint8Array(1)));
    expect((await failureOf(capped.closed)).cause).toMatchObject({ code: 'limit' });
    await finish(client, server);
  });

  it.each(['written', 'pulled'] as const)(
    'leaves no debt of what was %s and not sent when the peer stopped the stream',
    async (how) => {
      const { client, server } = two({ windowBytes: 16_384, maxWindowBytes: 16_384 });
      const clock = new ManualClock();
      const slow = client.pipe(limit({ perConnection: { rate: 1000, bytes: 2_000_000 }, clock }));
      const lost = slow.newStream();
      const there = await next(server);
      const bytes = new Uint8Array(1_900_000);
      const options = { end: false };
      const sending = how === 'written' ? lost.write(bytes) : lost.send([bytes], options);
      there.stop();
      await failureOf(sending);
      await until(() => lost.state === 'half-closed-local', 'the sending half is over');
      await failureOf(lost.write(bytes));
      const sent = lost.stats.bytesOut;
      expect(sent).toBeLessThan(20_000);
      const stream = slow.newStream();
      const writing = fate(stream.write(new Uint8Array(1000)));
      await until(() => clock.pending === 1, 'it waits');
      clock.pass(sent + 1000);
      await turn();
      expect(writing.state).toBe('resolved');
      void stream.write(bytes).catch(() => {});
      expect(stream.state).not.toBe('reset');
      await finish(client, server);
    },
  );

  it.each(['end', 'complete', 'send'] as const)(
    'charges nothing for what is written behind the end of a stream: %s',
    async (how) => {
      const { client, server } = two({ windowBytes: 16_384, maxWindowBytes: 16_384 });
      const capped = client.pipe(limit({ perConnection: { bytes: 50_000 } }));
      const stream = capped.newStream();
      // The end waits behind bytes that wait for the window.
      const bytes = new Uint8Array(40_000);
      if (how === 'send') void stream.send(of(bytes));
      else {
        void stream.write(bytes);
        if (how === 'end') void stream.end();
        else stream.complete();
      }
      const there = await next(server);
      for (let again = 0; again < 2; again++) {
        await until(() => stream.stats.bytesOut > 0, 'it is on its way');
        expect(await failureOf(stream.write(bytes))).toMatchObject({ code: 'ended' });
        expect(await failureOf(stream.send([bytes]))).toMatchObject({ code: 'ended' });
        stream.next(bytes);
      }
      expect((await textOf(there)).length).toBe(40_000);
      expect(await failureOf(stream.write(bytes))).toMatchObject({ code: 'ended' });
      await capped.newStream().write(new Uint8Array(10_000));
      await finish(client, server);
    },
  );

  it('makes nobody wait for its rate on a stream that is over', async () => {
    const { client, server } = two();
    const clock = new ManualClock();
    const slow = server.pipe(limit({ perStream: { rate: 100 }, clock }));
    const stream = client.newStream();
    void stream.send(new Uint8Array(30_000), { end: false });
    const there = await next(slow);
    expect((await there.read())?.byteLength).toBeGreaterThan(1000);
    const giving = new AbortController();
    const given = there.read({ signal: giving.signal });
    expect(await failureOf(there.read())).toMatchObject({ code: 'locked' });
    giving.abort(new Error('too slow'));
    await expect(given).rejects.toThrow('too slow');
    const reading = fate(there.read());
    const writing = fate(there.write(new Uint8Array(1000)));
    let pulled = 0;
    const chunk = new Uint8Array(1000);
    void there.send(
      (function* () {
        for (;;) {
          pulled++;
          yield chunk;
        }
      })(),
    );
    await turn();
    expect([reading.state, writing.state]).toEqual(['pending', 'pending']);
    const before = pulled;
    stream.reset();
    await until(() => reading.state === 'rejected' && writing.state !== 'pending', 'both are told');
    await turn();
    expect([pulled, clock.pending]).toEqual([before, 0]);
    await finish(client, server);
  });

  it.each(['stop', 'unsubscribe'] as const)('leaves no timer behind after %s', async (how) => {
    const { client, server } = two();
    const clock = new ManualClock();
    const slow = server.pipe(limit({ perStream: { rate: 100 }, clock }));
    const stream = client.newStream();
    void stream.send(new Uint8Array(30_000), { end: false }).catch(() => {});
    const there = await next(slow);
    let received = 0;
    const subscription = there.data$.subscribe({
      next: (piece) => (received += piece.byteLength),
      error: () => {},
    });
    await until(() => received > 0, 'the first comes at once');
    expect(clock.pending).toBe(1);
    if (how === 'stop') there.stop();
    else subscription.unsubscribe();
    expect(clock.pending).toBe(0);
    await finish(client, server);
  });

  it('keeps to its rate what waits when the stream is closed', async () => {
    const { client, server } = two();
    const clock = new ManualClock();
    const slow = server.pipe(limit({ perStream: { rate: 10_000 }, clock }));
    const stream = client.newStream();
    void stream.send(new Uint8Array(100_000));
    const there = await next(slow);
    await there.end();
    await there.closed;
    let received = 0;
    let isComplete = false;
    there.data$.subscribe({
      next: (piece) => (received += piece.byteLength),
      complete: () => (isComplete = true),
    });
    await until(() => received > 0, 'the first comes at once');
    await turn();
    expect(received).toBeLessThan(50_000);
    while (clock.pending > 0) {
      clock.pass(10_000);
      await turn();
    }
    expect([received, isComplete]).toEqual([100_000, true]);
    await finish(client, server);
  });

  it('gives out at once what waits when the connection is over', async () => {
    const { client, server } = two();
    const clock = new ManualClock();
    const slow = server.pipe(limit({ perStream: { rate: 100 }, clock }));
    const streams = [client.newStream(), client.newStream()];
    for (const stream of streams) void stream.send(new Uint8Array(50_000));
    const [read, observed] = [await next(slow), await next(slow)];
    for (const there of [read, observed]) await Promise.all([there.end(), there.closed]);
    await Promise.all([client.close(), server.closed]);
    let bytes = 0;
    for await (const chunk of read) bytes += chunk.byteLength;
    await observed.data$.forEach((chunk) => {
      bytes += chunk.byteLength;
    });
    expect([bytes, clock.pending]).toEqual([100_000, 0]);
  });

  it('resets a stream on which nothing moves, and only that', async () => {
    const { client, server } = two();
    echo(server);
    const clock = new ManualClock();
    const timed = client.pipe(limit({ idleMs: 1000, clock }));
    const [idle, busy] = [timed.newStream(), timed.newStream()];
    await Promise.all([idle.write('x'), busy.write('x')]);
    for (let passed = 0; passed < 4; passed++) {
      await busy.write('x');
      await busy.read();
      clock.pass(400);
    }
    const error = await failureOf(idle.closed);
    expect([error.code, (error.cause as StreamError).code]).toEqual(['reset', 'timeout']);
    expect(busy.state).toBe('open');
    busy.reset();
    await until(() => clock.pending === 0, 'no timer is left');
    await finish(client, server);
  });

  it.each(
    (['perStream', 'perConnection'] as const).flatMap((scope) =>
      (['one limit', 'above', 'beneath', 'above a span'] as const).map((where) => [scope, where] as const),
    ),
  )('does not take for idle what waits for its rate, either way: %s, %s', async (scope, where) => {
    const { client, server } = two();
    const clock = new ManualClock();
    const paced = limit({ [scope]: { rate: 1000 }, clock });
    const timed = limit({ idleMs: 1000, clock });
    const slow = {
      'one limit': () => client.pipe(limit({ [scope]: { rate: 1000 }, idleMs: 1000, clock })),
      above: () => client.pipe(timed, paced),
      beneath: () => client.pipe(paced, intercept({}), timed),
      'above a span': () => span([client.pipe(timed)]).pipe(paced),
    }[where]();
    const stream = slow.newStream();
    const there = await next(server);
    const received = { here: 0, there: 0 };
    const options = { end: false };
    void stream.send(new Uint8Array(40_000), options).catch(() => {});
    void there.send(new Uint8Array(40_000), options).catch(() => {});
    stream.data$.subscribe({ next: (chunk) => (received.here += chunk.byteLength), error: () => {} });
    there.data$.subscribe({ next: (chunk) => (received.there += chunk.byteLength), error: () => {} });
    for (let passed = 0; passed < 100_000; passed += 500) {
      await turn();
      clock.pass(500);
      if (received.here + received.there === 80_000) break;
    }
    expect(received).toEqual({ here: 40_000, there: 40_000 });
    expect(stream.state).toBe('open');
    for (let passed = 0; passed < 50_000; passed += 500) clock.pass(500);
    expect((await failureOf(stream.closed)).cause).toMatchObject({ code: 'timeout' });
    await finish(client, server);
  });

  it.each(['one limit', 'above', 'beneath', 'beneath, and it counts', 'beneath the span'] as const)(
    'does not take for idle what waits for its rate, and went elsewhere meanwhile: %s',
    async (where) => {
      const pairs = [two(), two()] as const;
      const clock = new ManualClock();
      const paced = limit({ perStream: { rate: 1000 }, clock });
      const timed = limit({ idleMs: 1000, clock });
      const counting = limit({ idleMs: 1000, perStream: { bytes: 1e6 }, clock });
      const over = (...operators: ProviderOperator[]) =>
        span(
          pairs.map(({ client }) => client.pipe(...operators)),
          { pick: 'primary' },
        );
      const slow = {
        'one limit': () => over().pipe(limit({ perStream: { rate: 1000 }, idleMs: 1000, clock })),
        above: () => over().pipe(paced, timed),
        beneath: () => over().pipe(timed, paced),
        'beneath, and it counts': () => over().pipe(counting, paced),
        'beneath the span': () => over(timed).pipe(paced),
      }[where]();
      const stream = slow.newStream();
      let isWritten = false;
      void stream.write(new Uint8Array(10_000)).then(() => {
        isWritten = true;
      });
      const refused = await next(pairs[0].server);
      await turn();
      refused.reject('refused');
      const there = await next(pairs[1].server);
      there.accept().data$.subscribe({ error: () => {} });
      for (let passed = 0; passed < 9500; passed += 500) {
        await turn();
        clock.pass(500);
      }
      expect([stream.state, isWritten]).toEqual(['open', false]);
      clock.pass(500);
      await turn();
      expect([stream.state, isWritten]).toEqual(['open', true]);
      for (let passed = 0; passed < 2000; passed += 500) clock.pass(500);
      expect((await failureOf(stream.closed)).cause).toMatchObject({ code: 'timeout' });
      await finish(...pairs.flatMap(({ client, server }) => [client, server]));
    },
  );

  it.each([0, Number.POSITIVE_INFINITY, 1e12])(
    'waits for idle streams no longer than timers can: %d',
    async (idleMs) => {
      const { client, server } = two();
      const clock = new ManualClock();
      const after = jest.spyOn(clock, 'after');
      const stream = client.pipe(limit({ idleMs, clock })).newStream();
      await stream.write('x');
      for (const [ms] of after.mock.calls) expect(ms).toBeLessThan(2 ** 31);
      expect(clock.pending).toBe(Number.isFinite(idleMs) && idleMs > 0 ? 1 : 0);
      clock.pass(1e9);
      expect(stream.state).not.toBe('reset');
      await finish(client, server);
    },
  );

  it.each([-1, Number.NaN, '7'])('takes no %p', (value) => {
    const no = value as number;
    expect(() => limit({ perStream: { bytes: no } })).toThrow(RangeError);
    expect(() => limit({ perConnection: { bytes: no } })).toThrow(RangeError);
    expect(() => limit({ streams: no })).toThrow(`streams is a number from 0 up, not ${value}`);
    expect(() => limit({ idleMs: no })).toThrow(RangeError);
  });

  it.each([0, -1, Number.NaN, '7', null, 7n])('takes no rate of %p', (value) => {
    const rate = value as number;
    expect(() => limit({ perStream: { rate } })).toThrow(`rate is a number above 0, not ${value}`);
    expect(() => limit({ perConnection: { rate } })).toThrow(RangeError);
  });

  it('takes a rate of Infinity for none', async () => {
    const { client, server } = two();
    echo(server);
    const rate = Number.POSITIVE_INFINITY;
    const stream = client.pipe(limit({ perStream: { rate }, perConnection: { rate } })).newStream();
    void stream.send('x'.repeat(10_000));
    expect((await textOf(stream)).length).toBe(10_000);
    await finish(client, server);
  });

  it('counts a rate exactly, whatever the pieces', () => {
    const pace = new Pace(1000, 0);
    let now = 0;
    let bytes = 0;
    for (let piece = 1; piece <= 100; piece++) {
      now += pace.take(piece, now);
      bytes += piece;
    }
    expect(now).toBeGreaterThanOrEqual(bytes - 20);
    expect(now).toBeLessThanOrEqual(bytes);
    expect(() => new Pace(0, 0)).toThrow(RangeError);
  });
});

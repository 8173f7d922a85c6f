/** Sending: SEMANTICS 9 to 14. */

import { concat as inOrder, of, throwError } from 'rxjs';
import type { ByteSource, Limits, Stream } from 'rxmux';
import { collect, concat, expectPattern, pattern, Supply, take, text } from './bytes.js';
import { type Check, type Ends, link, next, small, smallWindow } from './pair.js';
import { each, failure, fate, pause, steady, streamFailure, until, watch } from './wait.js';

const phrase = 'Zażółć gęślą jaźń.';
const parts: readonly string[] = ['Zażółć ', 'gęślą ', 'jaźń', '.'];
const boom = new Error('boom');

/** Wider than any transport is deep. */
const wide: Partial<Limits> = { windowBytes: 16 << 20 };

export function sendingCases(check: Check): void {
  check(
    '9. send() starts at once, resolves with the last byte, and half-closes',
    { acceptor: small },
    async (ends) => {
      const { a, b } = await link(ends);
      const total = ends.ahead(smallWindow) + 50_000;
      const sending = fate(a.send(pattern(total)));
      await until(() => b.stats.queuedIn > 0, 'bytes come');
      await pause(10);
      expect(sending.state).toBe('pending');
      expectPattern(await collect(b), total);
      await until(() => sending.state === 'resolved', 'send() resolves');
      expect(a.state).toBe('half-closed-local');
    },
  );

  check('9. end: false leaves the half open for more', async (ends) => {
    const { a, b } = await link(ends);
    const received = watch(b.data$);
    await a.send([parts[0] as string], { end: false });
    await a.send(of(parts[1] as string), { end: false });
    await a.write(parts[2] as string);
    await pause(5);
    expect([a.state, received.end]).toEqual(['open', null]);
    await a.send(parts[3] as string);
    await until(() => received.end === 'complete', 'the last send() ends it');
    expect(text(concat(received.values))).toBe(phrase);
  });

  check('9. write() resolves when its chunk is in the window', { acceptor: small }, async (ends) => {
    if (!ends.features.flowControl) return expectPacedByTransport(await link(ends));
    const { a, b } = await link(ends);
    await a.write(pattern(smallWindow));
    const second = fate(a.write(pattern(5000, smallWindow)));
    await pause(10);
    expect(second.state).toBe('pending');
    expectPattern(await take(b, smallWindow + 5000), smallWindow + 5000);
    await until(() => second.state === 'resolved', 'reading lets it through');
  });

  const pulled: Record<string, (supply: Supply) => ByteSource> = {
    'a generator': (supply) => supply.sync(),
    'batches of a generator': (supply) => supply.batches(),
    'an async generator': (supply) => supply.async(),
    'a ReadableStream': (supply) => supply.readable(),
  };
  for (const [name, form] of Object.entries(pulled)) {
    check(
      `10. ${name} is pulled only while there is window, and closed in the end`,
      { acceptor: small },
      async (ends) => {
        const { a, b } = await link(ends);
        const supply = new Supply(500);
        const sending = fate(a.send(form(supply)));
        // One batch of four chunks may be waiting for room, and one more be on its way out of the source.
        const slack = 8 * 500;
        const first = await steady(() => supply.pulled);
        expect(first).toBeGreaterThan(0);
        expect(first).toBeLessThanOrEqual(ends.ahead(smallWindow) + slack);
        const read = (await take(b, 2 * smallWindow)).byteLength;
        const second = await steady(() => supply.pulled);
        expect(second).toBeGreaterThanOrEqual(read);
        expect(second).toBeLessThanOrEqual(read + ends.ahead(smallWindow) + slack);
        b.reset('cancel');
        await until(() => sending.state === 'rejected', 'the reset reaches the sender');
        await until(() => supply.closed, 'the source is closed');
      },
    );
  }

  check(
    '10. a generator is pulled only while the transport has room, however wide the window',
    { acceptor: wide },
    async (ends) => {
      const { a, b } = await link(ends);
      const chunk = new Uint8Array(65_536);
      const total = 12 << 20;
      let pulled = 0;
      let lead = 0;
      const sent = a.send(
        (function* () {
          for (; pulled < total; pulled += chunk.byteLength) {
            lead = Math.max(lead, pulled - b.stats.bytesIn);
            yield chunk;
          }
        })(),
      );
      expect((await collect(b)).byteLength).toBe(total);
      await sent;
      // The system may keep some MiB for a socket.
      expect(lead).toBeLessThan(8 << 20);
    },
  );

  check('the more urgent of two streams goes first', async (ends) => {
    const { opener, acceptor, urgency } = ends;
    const order: string[] = [];
    const open = async (name: string, urgency: number): Promise<Stream> => {
      const stream = opener.newStream({}, { urgency });
      each((await next(acceptor)).data$, (chunk) => {
        for (let kib = 0; kib < chunk.byteLength; kib += 1024) order.push(name);
      });
      await stream.reply;
      return stream;
    };
    const [least, most] = [await open('least', 7), await open('most', 0)];
    await Promise.all([least.write(pattern(20_000)), most.write(pattern(20_000))]);
    await until(() => order.length >= 40, 'all has come');
    if (urgency) expect(order.lastIndexOf('most')).toBeLessThan(order.indexOf('least'));
  });

  check(
    '11. a.send(b.data$) is a proxy with backpressure end to end',
    { opener: small, acceptor: small },
    async (ends) => {
      await expectBoundedProxy(ends, (from, to) => void to.send(from.data$));
    },
  );

  check('13. b.data$.subscribe(a) is the same proxy', { opener: small, acceptor: small }, async (ends) => {
    await expectBoundedProxy(ends, (from, to) => void from.data$.subscribe(to));
  });

  check('12. the reset of one stream keeps its code when it is passed on to another', async (ends) => {
    const { opener, acceptor } = ends;
    const { a, b } = await link(ends);
    const events = watch(opener.events$);
    const onward = acceptor.newStream();
    const end = (await next(opener)).accept();
    const passing = onward.send(b.data$);
    await a.write('some');
    expect(text(await take(end, 4))).toBe('some');
    a.reset('cancel');
    const error = await streamFailure(() => passing);
    expect(error).toMatchObject({ code: 'reset', streamId: b.id });
    expect(await streamFailure(() => collect(end))).toMatchObject({
      code: 'reset',
      reset: 'cancel',
      remote: true,
    });
    const told = events.values.filter((event) => event.type === 'reset' && event.stream === end);
    expect(told).toMatchObject([{ remote: true, code: 'cancel' }]);
  });

  check('13. error() with the reset of another stream keeps its code too', async (ends) => {
    const { opener, acceptor } = ends;
    for (const code of ['cancel', 1234] as const) {
      const { a, b } = await link(ends);
      const onward = acceptor.newStream();
      const end = (await next(opener)).accept();
      b.data$.subscribe(onward);
      await a.write('some');
      expect(text(await take(end, 4))).toBe('some');
      a.reset(code);
      const error = await streamFailure(() => collect(end));
      expect(error).toMatchObject({ code: 'reset', reset: code, remote: true });
    }
  });

  check('13. a stream is an Observer: complete half-closes', async (ends) => {
    const { a, b } = await link(ends);
    of(...parts).subscribe(a);
    expect(text(await collect(b))).toBe(phrase);
    expect(a.state).toBe('half-closed-local');
    expect(() => a.next('too late')).not.toThrow();
    await b.end();
    await a.closed;
    expect(() => a.next('too late')).not.toThrow();
  });

  check('13. a stream is an Observer: error resets', async (ends) => {
    const { a, b } = await link(ends);
    inOrder(
      of('begun'),
      throwError(() => boom),
    ).subscribe(a);
    expect(await streamFailure(() => collect(b))).toMatchObject({ code: 'reset', reset: 'internal-error' });
    expect(a.state).toBe('reset');
    expect(() => a.next('too late')).not.toThrow();
    expect(() => a.error(boom)).not.toThrow();
    expect(() => a.complete()).not.toThrow();
  });

  check('13. next() and complete() work without a source', async (ends) => {
    const { a, b } = await link(ends);
    for (const part of parts) a.next(part);
    a.complete();
    expect(text(await collect(b))).toBe(phrase);
  });

  check('14. what fails with a stream is told to whoever asks, and to nobody else', async (ends) => {
    const { opener, acceptor, cut } = ends;
    const unhandled = watchRejections();
    try {
      const refused = opener.newStream();
      void refused.write('ignored');
      void refused.read();
      (await next(acceptor)).reject();
      const { a, b } = await link(ends);
      void a.send(throwing());
      void b.write('ignored');
      await until(() => b.state === 'reset', 'the reset has come');
      const aborted = new AbortController();
      aborted.abort(new Error('ignored'));
      void acceptor.accept({ signal: aborted.signal });
      void opener.newStream({}, { signal: aborted.signal });
      const last = await link(ends);
      void last.a.send(new Supply(1000).async());
      void last.b.end();
      void opener.ping();
      void acceptor.accept();
      cut();
      await until(() => last.a.state === 'reset' && last.b.state === 'reset', 'the loss has been noticed');
      void last.a.write('after the end');
      void last.b.read();
      await pause(20);
      expect(unhandled.seen).toEqual([]);
      await failure(() => last.a.closed);
    } finally {
      unhandled.stop();
    }
  });
}

function* throwing(): Generator<string> {
  yield 'begun';
  throw boom;
}

/** What the proxy between two streams, `wire(from, to)`, lets a source run ahead; then that it loses nothing. */
async function expectBoundedProxy(ends: Ends, wire: (from: Stream, to: Stream) => void): Promise<void> {
  const { opener, acceptor, ahead } = ends;
  const { a, b } = await link(ends);
  const onward = acceptor.newStream();
  const end = (await next(opener)).accept();
  wire(b, onward);
  const total = 6 * ahead(smallWindow);
  const supply = new Supply(1000, total);
  const sent = a.send(supply.sync());
  await until(() => end.stats.queuedIn > 0, 'bytes come through');
  // Two windows, and one chunk on its way through the proxy.
  expect(await steady(() => supply.pulled)).toBeLessThanOrEqual(3 * ahead(smallWindow));
  expectPattern(await collect(end), total);
  await sent;
}

/** Where the protocol has no windows, `write()` is paced by the transport: an unread stream takes only so much. */
async function expectPacedByTransport({ a }: { a: Stream }): Promise<void> {
  let written = 0;
  void (async () => {
    for (;;) {
      await a.write(pattern(100_000));
      written += 100_000;
    }
  })().catch(() => {});
  expect(await steady(() => written)).toBeLessThan(64 << 20);
}

/** Promises rejected with nobody to hear it, where the runtime tells us: under Jest, it tells only Jest, which fails. */
function watchRejections(): { seen: unknown[]; stop(): void } {
  const host = globalThis as {
    process?: { on?: Listen; off?: Listen };
    addEventListener?: Listen;
    removeEventListener?: Listen;
  };
  const seen: unknown[] = [];
  const note = (event: unknown): void => {
    seen.push(event);
  };
  host.process?.on?.('unhandledRejection', note);
  host.addEventListener?.('unhandledrejection', note);
  return {
    seen,
    stop: () => {
      host.process?.off?.('unhandledRejection', note);
      host.removeEventListener?.('unhandledrejection', note);
    },
  };
}

type Listen = (name: string, listener: (event: unknown) => void) => unknown;

/** A stream as other things: an async iterable, a ReadableStream, a WritableStream. SEMANTICS 6, 9. */
import type { Stream } from 'rxmux';
import { collect, concat, expectPattern, pattern, Supply, text } from './bytes.js';
import { type Check, type Ends, link, small, smallWindow } from './pair.js';
import { each, failure, fate, pause, steady, streamFailure, until } from './wait.js';

async function iterate(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return concat(chunks);
}

async function drain(readable: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const reader = readable.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) chunks.push(read.value);
  return concat(chunks);
}

export function interopCases(check: Check): void {
  const readers: Record<string, (b: Stream) => Promise<Uint8Array>> = {
    'for await': iterate,
    readable: (b) => drain(b.readable),
    data$: collect,
    'read()': async (b) => {
      const chunks: Uint8Array[] = [];
      for (let chunk = await b.read(); chunk !== null; chunk = await b.read()) chunks.push(chunk);
      return concat(chunks);
    },
  };
  for (const [name, read] of Object.entries(readers)) {
    check(`1. ${name} reads every byte to the end`, { acceptor: small }, async (ends) => {
      const { a, b } = await link(ends);
      const sent = a.send(new Supply(3000, 100_000).sync());
      expectPattern(await read(b), 100_000);
      await sent;
    });

    check(`8. ${name} fails when the stream is reset`, async (ends) => {
      const { a, b } = await link(ends);
      await a.write('some');
      const reading = fate(read(b));
      await pause(5);
      expect(reading.state).toBe('pending');
      a.reset('cancel');
      await until(() => reading.state === 'rejected', 'the reader fails');
      expect(reading.error).toMatchObject({ code: 'reset', reset: 'cancel', remote: true });
    });
  }

  check('6. break in for await is a stop', { acceptor: small }, async (ends) => {
    await expectStop(ends, async (b) => {
      for await (const chunk of b) {
        expect(chunk.byteLength).toBeGreaterThan(0);
        break;
      }
    });
  });

  check('6. readable.cancel() is a stop', { acceptor: small }, async (ends) => {
    await expectStop(ends, async (b) => {
      const reader = b.readable.getReader();
      expect((await reader.read()).done).toBe(false);
      await reader.cancel();
    });
  });

  const slow: Record<string, (b: Stream) => () => Promise<unknown>> = {
    'for await': (b) => {
      const iterator = b[Symbol.asyncIterator]();
      return () => iterator.next();
    },
    readable: (b) => {
      const reader = b.readable.getReader();
      return () => reader.read();
    },
    'read()': (b) => () => b.read(),
  };
  for (const [name, start] of Object.entries(slow)) {
    check(`10. ${name} takes nothing that it is not asked for`, { acceptor: small }, async (ends) => {
      const { a, b } = await link(ends);
      const supply = new Supply(500);
      void a.send(supply.sync());
      const pull = start(b);
      await pull();
      // The window, what was read, and one chunk that a ReadableStream may keep ready.
      expect(await steady(() => supply.pulled)).toBeLessThanOrEqual(
        2 * ends.ahead(smallWindow) + smallWindow,
      );
      b.reset('cancel');
      await until(() => supply.closed, 'the source is closed');
    });
  }

  check('2. the views of one stream share its one reader', async (ends) => {
    const { a, b } = await link(ends);
    const reading = iterate(b);
    await pause(1);
    expect(await streamFailure(() => b.read())).toMatchObject({ code: 'locked' });
    expect(await streamFailure(() => collect(b))).toMatchObject({ code: 'locked' });
    await a.send('for the first');
    expect(text(await reading)).toBe('for the first');
  });

  check('9. writable is a sink: close() half-closes', { acceptor: small }, async (ends) => {
    const { a, b } = await link(ends);
    const writer = a.writable.getWriter();
    const writing = (async () => {
      for (let at = 0; at < 100_000; at += 5000) {
        await writer.ready;
        await writer.write(pattern(5000, at));
      }
      await writer.close();
    })();
    expectPattern(await collect(b), 100_000);
    await writing;
    expect(a.state).toBe('half-closed-local');
  });

  check('9. writable waits while the window is shut', { acceptor: small }, async (ends) => {
    const { a, b } = await link(ends);
    const supply = new Supply(1000, ends.ahead(smallWindow) + 100_000);
    const piping = fate(supply.readable().pipeTo(a.writable));
    // A WritableStream may queue a chunk of its own.
    const first = await steady(() => supply.pulled);
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThanOrEqual(ends.ahead(smallWindow) + 4000);
    expect(piping.state).toBe('pending');
    expectPattern(await collect(b), supply.totalBytes);
    await until(() => piping.state === 'resolved', 'the pipe is done');
  });

  check('9. writable.abort() resets', async (ends) => {
    const { a, b } = await link(ends);
    const reason = new Error('changed my mind');
    const writer = a.writable.getWriter();
    await writer.write('begun');
    await writer.abort(reason);
    expect(await streamFailure(() => collect(b))).toMatchObject({ code: 'reset', remote: true });
    expect((await streamFailure(() => a.closed)).cause).toBe(reason);
  });

  check('9. writable.abort() resets while a write waits', { acceptor: small }, async (ends) => {
    const { a, b } = await link(ends);
    const reason = new Error('changed my mind');
    const writer = a.writable.getWriter();
    const writing = fate(writer.write(pattern(ends.ahead(smallWindow) + 100_000)));
    await steady(() => a.stats.bytesOut);
    expect(writing.state).toBe('pending');
    await writer.abort(reason);
    expect(await streamFailure(() => collect(b))).toMatchObject({ code: 'reset', remote: true });
    expect((await streamFailure(() => a.closed)).cause).toBe(reason);
    await until(() => writing.state === 'rejected', 'the write is over');
  });

  check('9. a reset by the peer errors writable', async (ends) => {
    const { a, b } = await link(ends);
    const writer = a.writable.getWriter();
    await writer.write('begun');
    b.reset('cancel');
    expect(await streamFailure(() => writer.closed)).toMatchObject({ code: 'reset', remote: true });
    await failure(() => writer.write('more'));
  });

  check(
    '9. pipeTo from one stream to another passes bytes and the end',
    { opener: small, acceptor: small },
    async (ends) => {
      const { a, b } = await link(ends);
      const onward = await link(ends);
      const sent = a.send(pattern(100_000));
      const piping = b.readable.pipeTo(onward.a.writable);
      expectPattern(await collect(onward.b), 100_000);
      await Promise.all([sent, piping]);
    },
  );

  check('9. send(other.readable) and send(other) pass a stream on', async (ends) => {
    for (const form of [(b: Stream) => b.readable, (b: Stream) => iterateOnly(b)]) {
      const { a, b } = await link(ends);
      const onward = await link(ends);
      void a.send(pattern(60_000));
      const passing = onward.a.send(form(b));
      expectPattern(await collect(onward.b), 60_000);
      await passing;
    }
  });
}

/** Only the async iterator of a stream. */
function iterateOnly(stream: Stream): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator]() };
}

/** Leaving a reader early ends the sending of the other side, and leaves our own alone. */
async function expectStop(ends: Ends, leave: (b: Stream) => Promise<void>): Promise<void> {
  const { a, b } = await link(ends);
  const supply = new Supply(1000);
  const sending = fate(a.send(supply.async()));
  await leave(b);
  await b.write('after the stop');
  let said = '';
  each(a.data$, (chunk) => {
    said += text(chunk);
  });
  await until(() => said === 'after the stop', 'our half goes on');
  expect(await streamFailure(() => b.read())).toMatchObject({ code: 'stopped' });
  await b.end();
  await until(() => sending.state === 'rejected', 'the sender learns of it');
  expect(sending.error).toMatchObject({ code: ends.features.halfStop ? 'stopped' : 'reset', remote: true });
  await until(() => supply.closed, 'the source is closed');
}

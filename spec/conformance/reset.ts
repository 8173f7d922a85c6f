/** Resets and stops: SEMANTICS 6, 18. */

import { take as takeFirst } from 'rxjs';
import type { ResetCode } from 'rxmux';
import { collect, pattern, Silence, Supply, take, text } from './bytes.js';
import { type Check, type Ends, link, next, small, smallWindow } from './pair.js';
import { each, fate, pause, steady, streamFailure, until, watch } from './wait.js';

export function resetCases(check: Check): void {
  const codes: readonly ResetCode[] = ['cancel', 'internal-error', 'protocol-error', 'flow-control'];
  for (const code of codes) {
    check(`18. reset('${code}') kills both halves at both ends, and the word arrives`, async (ends) => {
      const { a, b } = await link(ends);
      const received = watch(b.data$);
      a.reset(code);
      expect(a.state).toBe('reset');
      const here = await streamFailure(() => a.closed);
      expect(here).toMatchObject({ code: 'reset', reset: code, remote: false, streamId: a.id });
      const there = await streamFailure(() => b.closed);
      expect(there).toMatchObject({
        code: 'reset',
        reset: code,
        remote: true,
        streamId: b.id,
        retryable: false,
      });
      expect(b.state).toBe('reset');
      expect(received.error).toBe(there);
      expect(await streamFailure(() => b.write('x'))).toMatchObject({ code: 'reset', remote: true });
      expect(await streamFailure(() => a.write('x'))).toMatchObject({ code: 'reset', remote: false });
      await until(() => ends.opener.streams.size + ends.acceptor.streams.size === 0, 'both tables are empty');
    });
  }

  check('18. a numeric code goes over the wire as it is', async (ends) => {
    for (const code of [1234, 0x1_2345, 2 ** 31 + 1, 2 ** 32 - 1]) {
      const { a, b } = await link(ends);
      a.reset(code);
      const error = await streamFailure(() => b.closed);
      expect(error).toMatchObject({ code: 'reset', reset: code, wireCode: code, remote: true });
    }
  });

  check('18. the acceptor resets too', async (ends) => {
    const { a, b } = await link(ends);
    const received = watch(a.data$);
    b.reset('cancel');
    expect(await streamFailure(() => a.closed)).toMatchObject({
      code: 'reset',
      reset: 'cancel',
      remote: true,
    });
    expect(received.end).toBe('error');
  });

  check('18. a reset keeps its cause for whoever made it', async (ends) => {
    const { a } = await link(ends);
    const cause = new Error('the disk is full');
    a.reset('internal-error', cause);
    expect((await streamFailure(() => a.closed)).cause).toBe(cause);
    expect((await streamFailure(() => a.read())).cause).toBe(cause);
  });

  check('18. a reset ends all that waits, at both ends', { opener: small, acceptor: small }, async (ends) => {
    const { a, b } = await link(ends);
    const size = ends.ahead(smallWindow) * 4;
    const waiting = [a, b].flatMap((stream) => [
      fate(stream.write(pattern(size))),
      fate(stream.end()),
      fate(stream.closed),
    ]);
    const other = await link(ends);
    const sides = [other.a, other.b];
    waiting.push(...sides.map((stream) => fate(stream.send(new Supply(1000).async()))));
    const [reading] = [fate((await link(ends)).b.closed)];
    await pause(10);
    expect(waiting.every(({ state }) => state === 'pending')).toBe(true);
    a.reset('cancel');
    other.b.reset('cancel');
    await until(() => waiting.every(({ state }) => state === 'rejected'), 'all are rejected');
    expect(reading?.state).toBe('pending');
  });

  check('18. a waiting read() is rejected by a reset', async (ends) => {
    const { a, b } = await link(ends);
    const reading = [a.read(), b.read()];
    b.reset('cancel');
    for (const read of reading) expect(await streamFailure(() => read)).toMatchObject({ code: 'reset' });
  });

  check('18. trailers of a stream that is reset are an error, asked for before or after', async (ends) => {
    const { a, b } = await link(ends);
    const asked = [fate(a.trailers), fate(b.trailers)];
    a.reset('cancel');
    await streamFailure(() => b.closed);
    expect(await streamFailure(() => b.trailers)).toMatchObject({ code: 'reset', remote: true });
    expect(await streamFailure(() => a.trailers)).toMatchObject({ code: 'reset', remote: false });
    await until(() => asked.every(({ state }) => state === 'rejected'), 'who asked before is told too');
  });

  check('18. a reset touches no other stream', async (ends) => {
    const one = await link(ends);
    const other = await link(ends);
    void other.a.write(pattern(1000));
    one.a.reset('cancel');
    await streamFailure(() => one.b.closed);
    void other.a.send('still here');
    expect((await collect(other.b)).byteLength).toBe(1010);
  });

  check('18. a second reset, and one after the end, change nothing', async (ends) => {
    const { a, b } = await link(ends);
    a.reset('cancel');
    a.reset('internal-error');
    expect(await streamFailure(() => a.closed)).toMatchObject({ reset: 'cancel' });
    expect(await streamFailure(() => b.closed)).toMatchObject({ reset: 'cancel' });
    b.reset('internal-error');
    expect(await streamFailure(() => b.closed)).toMatchObject({ reset: 'cancel', remote: true });

    const done = await link(ends);
    await Promise.all([done.a.send('x'), done.b.send('y'), collect(done.a), collect(done.b)]);
    await Promise.all([done.a.closed, done.b.closed]);
    done.a.reset('cancel');
    await done.a.closed;
    expect(done.a.state).toBe('closed');
  });

  check('18. a stream may be reset before it is answered', async ({ opener, acceptor }) => {
    const a = opener.newStream();
    void a.write('begun');
    const b = await next(acceptor);
    a.reset('cancel');
    expect(await streamFailure(() => a.reply)).toMatchObject({ code: 'reset', remote: false });
    expect(await streamFailure(() => b.closed)).toMatchObject({ remote: true });
    expect(await streamFailure(() => b.write('x'))).toMatchObject({ remote: true });
    opener.newStream().reset('cancel');
    await until(() => opener.streams.size + acceptor.streams.size === 0, 'both tables are empty');
  });

  stopCases(check);
}

function stopCases(check: Check): void {
  check(
    '6. unsubscribing is a stop: the sender learns of it, the other half goes on',
    { acceptor: small },
    async (ends) => {
      const { a, b } = await link(ends);
      const supply = new Supply(1000);
      const sending = a.send(supply.async());
      let got = 0;
      each(b.data$.pipe(takeFirst(1)), () => got++);
      await until(() => got === 1, 'one chunk is taken');
      await expectStopped(ends, a, b, sending, supply);
    },
  );

  check('6. stop() is the same without a reader', { acceptor: small }, async (ends) => {
    const { a, b } = await link(ends);
    const supply = new Supply(1000);
    const sending = a.send(supply.sync());
    await until(() => b.stats.queuedIn > 0, 'bytes wait');
    b.stop();
    expect(b.stats.queuedIn).toBe(0);
    await expectStopped(ends, a, b, sending, supply);
  });

  check('6. a sender that has nothing more to say for now learns of it too', async (ends) => {
    const { a, b } = await link(ends);
    const silent = new Silence('begun');
    const sending = fate(a.send(silent));
    await b.read();
    b.stop('internal-error');
    // Where there is no STOP, its own half has to be done first.
    const ended = fate(b.send('and the other half'));
    await until(() => sending.state === 'rejected', 'the sender learns of it');
    expect(sending.error).toMatchObject({
      code: ends.features.halfStop ? 'stopped' : 'reset',
      reset: 'internal-error',
      remote: true,
    });
    await until(() => silent.closed, 'the source is closed');
    expect(text(await collect(a))).toBe('and the other half');
    await until(() => ended.state === 'resolved', 'all is sent');
    await until(() => ends.opener.streams.size + ends.acceptor.streams.size === 0, 'both tables are empty');
  });

  check('6. after a stop data$ and read() say stopped', async (ends) => {
    const { b } = await link(ends);
    watch(b.data$).subscription.unsubscribe();
    const late = watch(b.data$);
    await until(() => late.end === 'error', 'a later subscriber gets an error');
    expect(late.error).toMatchObject({ code: 'stopped', remote: false, streamId: b.id });
    expect(await streamFailure(() => b.read())).toMatchObject({ code: 'stopped' });
  });

  check('6. stop() after the end, or twice, changes nothing', async (ends) => {
    const { a, b } = await link(ends);
    await a.send('all');
    expect(text(await collect(b))).toBe('all');
    b.stop();
    b.stop();
    await b.send('answer');
    expect(text(await collect(a))).toBe('answer');
    await Promise.all([a.closed, b.closed]);
  });

  check('6. read() takes a part and stops nothing', async (ends) => {
    const { a, b } = await link(ends);
    const sending = a.send(new Supply(1000, 1_000_000).async());
    expect((await take(b, 1000)).byteLength).toBeGreaterThanOrEqual(1000);
    await pause(5);
    expect(a.state).not.toBe('reset');
    expect((await collect(b)).byteLength).toBeGreaterThan(0);
    await sending;
  });

  check(
    '6. what is discarded after a stop has a limit',
    { acceptor: { ...small, discardBytes: 100_000 } },
    async (ends) => {
      const { a, b } = await link(ends);
      const supply = new Supply(1000);
      const sending = a.send(supply.async());
      await until(() => b.stats.queuedIn > 0, 'bytes wait');
      b.stop();
      const error = await streamFailure(() => sending);
      expect(error).toMatchObject({ code: ends.features.halfStop ? 'stopped' : 'reset', remote: true });
      await until(() => supply.closed, 'the source is closed');
    },
  );
}

/** `b` has stopped reading what `a` sends without end. */
async function expectStopped(
  ends: Ends,
  a: Awaited<ReturnType<typeof link>>['a'],
  b: Awaited<ReturnType<typeof link>>['b'],
  sending: Promise<void>,
  supply: Supply,
): Promise<void> {
  const told = fate(sending);
  if (ends.features.halfStop) {
    await until(() => told.state === 'rejected', 'the sender learns of it');
    expect(told.error).toMatchObject({ code: 'stopped', remote: true, streamId: a.id });
    await until(() => supply.closed, 'the source is closed');
    const written = b.send('the other half');
    expect(text(await collect(a))).toBe('the other half');
    await written;
  } else {
    // The substitute: credit goes on until our own half is done, and then comes the reset.
    const before = supply.pulled;
    await until(() => supply.pulled > before + 4 * smallWindow, 'the sender is kept going');
    expect(told.state).toBe('pending');
    await b.write('the other half');
    expect(text(await take(a, 14))).toBe('the other half');
    await b.end();
    await until(() => told.state === 'rejected', 'the reset follows our end');
    expect(told.error).toMatchObject({ code: 'reset', remote: true });
  }
  await steady(() => supply.pulled);
  await until(() => ends.opener.streams.size + ends.acceptor.streams.size === 0, 'both tables are empty');
}

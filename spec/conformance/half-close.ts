/** Ends, which are only ever half-closes: SEMANTICS 8, 9, 18. */
import { collect, expectPattern, pattern, Supply, take, text } from './bytes.js';
import { type Check, type Ends, link, small } from './pair.js';
import { each, failure, fate, pause, streamFailure, until, watch } from './wait.js';

export function halfCloseCases(check: Check): void {
  check('8. an end is a half-close: the other half goes on', async (ends) => {
    const { a, b } = await link(ends);
    await a.send('request');
    expect(text(await collect(b))).toBe('request');
    expect([a.state, b.state]).toEqual(['half-closed-local', 'half-closed-remote']);
    await pause(5);
    const answered = b.send(new Supply(1000, 100_000).sync());
    expectPattern(await collect(a), 100_000);
    await answered;
    await Promise.all([a.closed, b.closed]);
    expect([a.state, b.state]).toEqual(['closed', 'closed']);
  });

  check('8. the acceptor may be the first to end', async (ends) => {
    const { a, b } = await link(ends);
    await b.send('greeting');
    expect(text(await collect(a))).toBe('greeting');
    expect([a.state, b.state]).toEqual(['half-closed-remote', 'half-closed-local']);
    const sent = a.send(pattern(100_000));
    expectPattern(await collect(b), 100_000);
    await sent;
    await Promise.all([a.closed, b.closed]);
  });

  check('8. a stream without bytes ends like any other', async (ends) => {
    const { a, b } = await link(ends);
    await Promise.all([a.end(), b.end()]);
    expect([await a.read(), await b.read()]).toEqual([null, null]);
    await Promise.all([a.closed, b.closed]);
  });

  check('18. closed resolves when both halves have ended, and the tables forget the stream', async (ends) => {
    const { a, b } = await link(ends);
    const closed = [fate(a.closed), fate(b.closed)];
    await a.send('one half');
    await collect(b);
    await pause(5);
    expect(closed.map(({ state }) => state)).toEqual(['pending', 'pending']);
    await b.send('the other');
    await collect(a);
    await until(() => closed.every(({ state }) => state === 'resolved'), 'closed resolves');
    await until(() => ends.opener.streams.size + ends.acceptor.streams.size === 0, 'both tables are empty');
  });

  check('18. hundreds of streams, one after the other, leave nothing behind', async (ends) => {
    const { opener, acceptor } = ends;
    const serving = each(acceptor.accept$, (stream) => void stream.send(stream.data$));
    for (let number = 0; number < 200; number++) {
      const stream = opener.newStream();
      void stream.send(String(number));
      expect(text(await collect(stream))).toBe(String(number));
    }
    await until(() => opener.streams.size + acceptor.streams.size === 0, 'both tables are empty');
    serving.unsubscribe();
  });

  check('8. trailers come with the end', async (ends) => {
    const { a, b } = await link(ends);
    const early = fate(a.trailers);
    await b.write('body');
    await pause(5);
    expect(early.state).toBe('pending');
    await b.end({ 'x-status': 'done', 'x-list': ['1', '2'] });
    expect(text(await collect(a))).toBe('body');
    const trailers = await a.trailers;
    if (ends.features.trailers) {
      expect(trailers?.get('X-Status')).toBe('done');
      expect(trailers?.getAll('x-list')).toEqual(['1', '2']);
    } else {
      expect(trailers).toBeUndefined();
    }
  });

  check('8. trailers of the opener come with its end', async (ends) => {
    const { a, b } = await link(ends);
    await a.write('body');
    await a.end({ 'x-status': 'done', 'x-list': ['1', '2'] });
    expect(text(await collect(b))).toBe('body');
    const trailers = await b.trailers;
    if (ends.features.trailers && ends.openerTrailers) {
      expect(trailers?.get('X-Status')).toBe('done');
      expect(trailers?.getAll('x-list')).toEqual(['1', '2']);
    } else {
      expect(trailers).toBeUndefined();
    }
  });

  check('8. an end without trailers says so', async (ends) => {
    const { a, b } = await link(ends);
    await b.send('body');
    expect(text(await collect(a))).toBe('body');
    const trailers = await a.trailers;
    expect([...(trailers ?? [])]).toEqual([]);
  });

  check(
    '8. a connection lost in mid transfer is an error, never an end',
    { acceptor: small },
    async (ends) => {
      const { a, b } = await link(ends);
      const sending = fate(a.send(new Supply(1000).async()));
      const received = watch(b.data$);
      await until(() => received.values.length > 2, 'the transfer goes');
      ends.cut();
      await until(() => received.end !== null && sending.state !== 'pending', 'both sides notice');
      expect([received.end, sending.state]).toEqual(['error', 'rejected']);
      expect(await streamFailure(() => b.read())).toBe(received.error);
      await failure(() => a.closed);
    },
  );

  check('8. a connection lost between two chunks is an error for every kind of reader', async (ends) => {
    const links = [await link(ends), await link(ends), await link(ends)];
    const [reading, iterating, streaming] = links.map(({ b }) => b);
    if (reading === undefined || iterating === undefined || streaming === undefined) throw new Error('three');
    const readers = [
      (async () => {
        while ((await reading.read()) !== null);
      })(),
      (async () => {
        for await (const _ of iterating);
      })(),
      (async () => {
        const reader = streaming.readable.getReader();
        while (!(await reader.read()).done);
      })(),
    ].map(fate);
    for (const { a } of links) await a.write('some, but not all');
    await pause(5);
    ends.cut();
    await until(() => readers.every(({ state }) => state !== 'pending'), 'all of them notice');
    expect(readers.map(({ state }) => state)).toEqual(['rejected', 'rejected', 'rejected']);
  });

  check(
    '8. trailers of a stream whose connection is lost are an error, asked for before or after',
    async (ends) => {
      const { a, b } = await link(ends);
      const asked = [fate(a.trailers), fate(b.trailers)];
      await b.write('some, but not all');
      ends.cut();
      for (const stream of [a, b]) {
        expect(await streamFailure(() => stream.closed)).toMatchObject({ code: 'closed' });
        expect(await streamFailure(() => stream.trailers)).toMatchObject({ code: 'closed' });
      }
      await until(() => asked.every(({ state }) => state === 'rejected'), 'who asked before is told too');
    },
  );

  check('8. abort() in mid transfer is an error at the peer, never an end', async (ends) => {
    await expectError(ends, ({ opener }) => opener.abort(new Error('enough')));
  });

  check('8. a reset in mid transfer is an error at the peer, never an end', async (ends) => {
    await expectError(ends, (_ends, a) => a.reset('no-error'));
  });

  check('8. a loss after all bytes, but before the end, is an error', async (ends) => {
    const { a, b } = await link(ends);
    const received = watch(b.data$);
    await a.send(pattern(5000), { end: false });
    await until(
      () => received.values.reduce((sum, { byteLength }) => sum + byteLength, 0) === 5000,
      'all bytes',
    );
    ends.cut();
    await until(() => received.end !== null, 'data$ ends');
    expect(received.end).toBe('error');
  });

  check('9. what is sent after the own end fails with ended', async (ends) => {
    const { a, b } = await link(ends);
    await a.send('all');
    expect(await streamFailure(() => a.write('more'))).toMatchObject({
      code: 'ended',
      remote: false,
      streamId: a.id,
    });
    expect(await streamFailure(() => a.send(['more']))).toMatchObject({ code: 'ended' });
    expect(text(await collect(b))).toBe('all');
    await b.send('and back');
    expect(text(await collect(a))).toBe('and back');
  });

  check('9. end() comes after everything written before it', { acceptor: small }, async (ends) => {
    const { a, b } = await link(ends);
    void a.write(pattern(30_000));
    void a.write(pattern(30_000, 30_000));
    const ended = fate(a.end());
    await until(() => b.stats.queuedIn > 0, 'bytes come');
    if (ends.features.flowControl) expect(ended.state).toBe('pending');
    expectPattern(await take(b, 60_000), 60_000);
    expect(await b.read()).toBeNull();
    await until(() => ended.state === 'resolved', 'end() resolves');
  });
}

async function expectError(
  ends: Ends,
  act: (ends: Ends, a: Awaited<ReturnType<typeof link>>['a']) => void,
): Promise<void> {
  const { a, b } = await link(ends);
  const received = watch(b.data$);
  await a.write('begun');
  await until(() => received.values.length === 1, 'the transfer has begun');
  act(ends, a);
  await until(() => received.end !== null, 'data$ ends');
  expect(received.end).toBe('error');
  expect(await streamFailure(() => b.closed)).toMatchObject({ remote: true });
}

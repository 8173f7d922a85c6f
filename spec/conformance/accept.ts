/** Opening and answering: SEMANTICS 15, 16, 17. */

import type { HeadersInit, Stream } from 'rxmux';
import { collect, take, text } from './bytes.js';
import { type Check, next } from './pair.js';
import { each, failure, fate, pause, streamFailure, until, watch } from './wait.js';

/** The reply headers that the application gave, without what the protocol adds (`:status`). */
function given(headers: Iterable<[string, string]>): [string, string][] {
  return [...headers].filter(([name]) => !name.startsWith(':'));
}

export function acceptCases(check: Check): void {
  check(
    '15. a new stream is usable at once: what is written before the answer arrives',
    { settle: false },
    async ({ opener, acceptor }) => {
      const a = opener.newStream();
      expect([a.state, a.origin]).toEqual(['opening', 'local']);
      const written = a.write('early');
      const b = await next(acceptor);
      expect(b.origin).toBe('remote');
      expect(text(await take(b, 5))).toBe('early');
      await written;
      await until(() => a.state === 'open' && b.state === 'open', 'reading accepts, and both ends are open');
      expect(opener.streams.get(a.id)).toBe(a);
      expect(acceptor.streams.get(b.id)).toBe(b);
    },
  );

  check('15. data waits for no answer where the wire allows it', async ({ opener, acceptor, earlyData }) => {
    const a = opener.newStream();
    const sent = a.send('no round trip');
    const b = await next(acceptor);
    if (earlyData) {
      await until(() => b.stats.queuedIn === 13, 'the bytes are there before accept()');
      expect(a.state).toBe('half-closed-local');
    } else {
      await pause(10);
      expect(b.stats.queuedIn).toBe(0);
    }
    b.accept();
    expect(text(await collect(b))).toBe('no round trip');
    await sent;
  });

  check(
    '15. a stream that nobody answers fails after openMs',
    { opener: { openMs: 50 } },
    async ({ opener }) => {
      const error = await streamFailure(() => opener.newStream().reply);
      expect(error).toMatchObject({ code: 'timeout', remote: false });
      await until(() => opener.streams.size === 0, 'the stream has left the table');
    },
  );

  check('16. both sides open streams at the same time', async ({ opener, acceptor }) => {
    const count = 10;
    const serving = [opener, acceptor].map((side) =>
      each(side.accept$, (stream) => void stream.send(stream.data$)),
    );
    const answers = [opener, acceptor].flatMap((side, index) =>
      Array.from({ length: count }, async (_, number) => {
        const stream = side.newStream();
        void stream.send(`side ${index}, stream ${number}`);
        return text(await collect(stream));
      }),
    );
    const expected = [0, 1].flatMap((index) =>
      Array.from({ length: count }, (_, number) => `side ${index}, stream ${number}`),
    );
    expect(await Promise.all(answers)).toEqual(expected);
    for (const subscription of serving) subscription.unsubscribe();
  });

  check(
    '16. a hundred streams are open at a time, three times over, each with its own bytes',
    { acceptor: { maxStreams: 100, backlog: 100 } },
    async ({ opener, acceptor }) => {
      for (let round = 0; round < 3; round++) {
        const streams = Array.from({ length: 100 }, () => opener.newStream());
        const sent = streams.map((stream, number) => stream.send(`stream ${number} of ${round}`));
        await until(() => acceptor.streams.size === streams.length, 'all have come');
        const serving = each(acceptor.accept$, (stream) => void stream.send(stream.data$));
        const answers = await Promise.all(streams.map(async (stream) => text(await collect(stream))));
        expect(answers).toEqual(streams.map((_, number) => `stream ${number} of ${round}`));
        await Promise.all([...sent, ...streams.map(({ closed }) => closed)]);
        serving.unsubscribe();
        await until(() => opener.streams.size + acceptor.streams.size === 0, 'both tables are empty');
      }
    },
  );

  check('17. accept(headers) is the reply', async ({ opener, acceptor, features }) => {
    const a = opener.newStream();
    const b = await next(acceptor);
    expect(b.accept({ 'x-answer': '42', 'x-list': ['one', 'two'] })).toBe(b);
    const expected = [
      ['x-answer', '42'],
      ['x-list', 'one'],
      ['x-list', 'two'],
    ];
    expect(given(await a.reply)).toEqual(features.replyHeaders ? expected : []);
    expect(a.state).toBe('open');
  });

  const implicit: Record<string, (b: Stream) => unknown> = {
    'read()': (b) => b.read(),
    'a subscription to data$': (b) => each(b.data$),
    'write()': (b) => b.write('x'),
    'end()': (b) => b.end(),
  };
  for (const [name, act] of Object.entries(implicit)) {
    check(`17. the first ${name} accepts with empty headers`, async ({ opener, acceptor }) => {
      const a = opener.newStream();
      const b = await next(acceptor);
      expect(fate(a.reply).state).toBe('pending');
      const acted = act(b);
      expect(given(await a.reply)).toEqual([]);
      void a.end();
      await acted;
    });
  }

  check('17. a stream that is not answered stays in opening', async ({ opener, acceptor }) => {
    const a = opener.newStream();
    await next(acceptor);
    const replied = fate(a.reply);
    await pause(10);
    expect([a.state, replied.state]).toEqual(['opening', 'pending']);
  });

  check(
    '17. accept(promise): reading goes on and writes wait for it',
    async ({ opener, acceptor, earlyData, features }) => {
      const a = opener.newStream();
      void a.write('ping');
      const b = await next(acceptor);
      let answer: (headers: HeadersInit) => void = () => {};
      b.accept(
        new Promise((resolve) => {
          answer = resolve;
        }),
      );
      const written = fate(b.write('pong'));
      if (earlyData) expect(text(await take(b, 4))).toBe('ping');
      await pause(10);
      expect([written.state, a.state]).toEqual(['pending', 'opening']);
      answer({ 'x-answer': 'yes' });
      expect((await a.reply).get('x-answer')).toBe(features.replyHeaders ? 'yes' : undefined);
      expect(text(await take(a, 4))).toBe('pong');
      await until(() => written.state === 'resolved', 'the write has gone through');
      if (!earlyData) expect(text(await take(b, 4))).toBe('ping');
    },
  );

  check('17. accept(promise): a rejection refuses', async ({ opener, acceptor }) => {
    const a = opener.newStream();
    const b = await next(acceptor);
    b.accept(Promise.reject(new Error('no such thing')));
    const written = fate(b.write('never'));
    expect(await streamFailure(() => a.reply)).toMatchObject({ code: 'refused', remote: true });
    await failure(() => b.closed);
    await until(() => written.state === 'rejected', 'a write that waited fails');
    await until(() => opener.streams.size + acceptor.streams.size === 0, 'both tables are empty');
  });

  check('17. accept(up.reply) is the whole of a proxy’s reply handling', async (ends) => {
    const { opener, acceptor, features } = ends;
    const a = opener.newStream();
    const b = await next(acceptor);
    const up = acceptor.newStream();
    b.accept(up.reply);
    (await next(opener)).accept({ 'x-from': 'upstream' });
    expect((await a.reply).get('x-from')).toBe(features.replyHeaders ? 'upstream' : undefined);

    const refusedHere = opener.newStream();
    const second = await next(acceptor);
    const refusing = acceptor.newStream();
    second.accept(refusing.reply);
    (await next(opener)).reject();
    expect(await streamFailure(() => refusedHere.reply)).toMatchObject({ code: 'refused', remote: true });
  });

  check('17. a refusal passes through a proxy that carries bytes both ways', async (ends) => {
    const { opener, acceptor, features } = ends;
    const a = opener.newStream();
    const b = await next(acceptor);
    const up = acceptor.newStream();
    b.accept(up.reply);
    const carried = [b.send(up.data$), up.send(b.data$)];
    (await next(opener)).reject('refused', { why: 'stranger' });
    const error = await streamFailure(() => a.reply);
    expect(error).toMatchObject({ code: 'refused', remote: true });
    if (features.replyHeaders) expect(error.headers?.get('why')).toBe('stranger');
    expect((await Promise.allSettled(carried)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await until(() => opener.streams.size + acceptor.streams.size === 0, 'both tables are empty');
  });

  check('17. reject() fails everything at the opener with refused', async ({ opener, acceptor }) => {
    const a = opener.newStream();
    const received = watch(a.data$);
    const b = await next(acceptor);
    b.reject();
    expect(await streamFailure(() => a.reply)).toMatchObject({
      code: 'refused',
      remote: true,
      streamId: a.id,
    });
    expect(await streamFailure(() => a.closed)).toMatchObject({ code: 'refused' });
    await until(() => received.end === 'error', 'data$ errors too');
    expect(received.error).toMatchObject({ code: 'refused' });
    expect(await streamFailure(() => a.write('x'))).toMatchObject({ code: 'refused' });
    await until(() => opener.streams.size + acceptor.streams.size === 0, 'both tables are empty');
  });

  check('17. reject(code, headers) says why', async ({ opener, acceptor, features }) => {
    const coded = opener.newStream();
    (await next(acceptor)).reject('internal-error');
    expect(await streamFailure(() => coded.reply)).toMatchObject({
      code: 'refused',
      reset: 'internal-error',
    });
    const told = opener.newStream();
    (await next(acceptor)).reject('refused', { 'x-reason': 'busy' });
    const error = await streamFailure(() => told.reply);
    expect(error.code).toBe('refused');
    expect(error.headers?.get('x-reason')).toBe(features.replyHeaders ? 'busy' : undefined);
  });
}

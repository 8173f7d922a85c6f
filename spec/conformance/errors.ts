/** Whose mistake, and how it is told: SEMANTICS 27, 28, 29. */

import type { Stream } from 'rxmux';
import { StreamError } from 'rxmux';
import { collect, text } from './bytes.js';
import { type Check, type Ends, link, next } from './pair.js';
import { failure, fate, pause, streamFailure, until, watch } from './wait.js';

/** Mistakes that need an open stream; each must throw before it returns anything. */
const mistakes: Record<string, (a: Stream, b: Stream) => unknown> = {
  'write() of a number': (a) => a.write(42 as never),
  'write() of nothing': (a) => a.write(undefined as never),
  'write() of a plain object': (a) => a.write({} as never),
  'send() of a number': (a) => a.send(42 as never),
  'send() of null': (a) => a.send(null as never),
  'send() of a plain object': (a) => a.send({} as never),
  'accept() of an own stream': (a) => a.accept(),
  'reject() of an own stream': (a) => a.reject(),
  'reject() after accept()': (_a, b) => b.reject(),
  'a second accept()': (_a, b) => b.accept({ 'x-second': 'answer' }),
  'reset() with an unknown word': (a) => a.reset('because' as never),
};

export function errorCases(check: Check): void {
  for (const [name, act] of Object.entries(mistakes)) {
    check(`27. ${name} throws at once, with a sentence, and harms nothing`, async (ends) => {
      const { a, b } = await link(ends);
      let thrown: unknown;
      try {
        act(a, b);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(Error);
      expect((thrown as Error).message.split(' ').length).toBeGreaterThan(3);
      void a.send('unharmed');
      expect(text(await collect(b))).toBe('unharmed');
    });
  }

  check('27. a wrong value out of a source fails the stream, not the program', async (ends) => {
    const { a, b } = await link(ends);
    const received = fate(collect(b));
    const error = await failure(() => a.send([1, 2, 3] as never));
    expect(error).toBeInstanceOf(Error);
    if (a.state !== 'reset') a.reset();
    await until(() => received.state === 'rejected', 'the peer does not see a complete stream');
  });

  check(
    '27. more streams than the peer allows wait or are refused, and the rest go on',
    { acceptor: { maxStreams: 3 } },
    async (ends) => {
      const { opener, acceptor } = ends;
      const links = [await link(ends), await link(ends), await link(ends)];
      const extra = opener.newStream();
      const replied = fate(extra.reply);
      const taken = watch(acceptor.accept$);
      await pause(20);
      expect(taken.values).toEqual([]);
      if (replied.state === 'rejected') {
        expect(replied.error).toMatchObject({ code: 'refused', retryable: true });
      } else {
        expect(extra.state).toBe('opening');
      }
      for (const { a, b } of links) {
        void a.send('done');
        void b.send('too');
        await Promise.all([collect(a), collect(b)]);
      }
      const again = replied.state === 'rejected' ? opener.newStream() : extra;
      await until(() => taken.values.length === 1, 'there is room again');
      taken.values[0]?.accept();
      await again.reply;
    },
  );

  check('28. a reset from the peer is one StreamError with all the facts', async (ends) => {
    const { a, b } = await link(ends);
    const received = watch(b.data$);
    a.reset('internal-error');
    const error = await streamFailure(() => b.closed);
    expect(error).toBeInstanceOf(StreamError);
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe('StreamError');
    expect(error).toMatchObject({ code: 'reset', streamId: b.id, remote: true, retryable: false });
    expect(typeof error.wireCode).toBe('number');
    expect(error.message).toContain(`stream ${b.id}`);
    expect(received.error).toBe(error);
    expect(await streamFailure(() => b.read())).toBe(error);
  });

  check('28. StreamError.is knows its own, and nothing else', async (ends) => {
    const { a } = await link(ends);
    a.reset();
    expect(StreamError.is(await failure(() => a.closed))).toBe(true);
    const others = [new Error('x'), null, undefined, 'reset', { code: 'reset' }];
    expect(others.map((other) => StreamError.is(other))).toEqual([false, false, false, false, false]);
  });

  check('28. our own reset is not remote', async (ends) => {
    const { a } = await link(ends);
    a.reset('cancel');
    const error = await streamFailure(() => a.read());
    expect(error).toMatchObject({ code: 'reset', remote: false, retryable: false, streamId: a.id });
    expect(error.message).toContain(`stream ${a.id}`);
  });

  check('28. a refusal says that nothing was processed', async ({ opener, acceptor }) => {
    const a = opener.newStream();
    (await next(acceptor)).reject();
    const error = await streamFailure(() => a.reply);
    expect(error).toMatchObject({ code: 'refused', remote: true, retryable: true, streamId: a.id });
    expect(error.message).toContain(`stream ${a.id}`);
  });

  check('28. the local refusals have their words: locked, stopped, ended', async (ends) => {
    const { a, b } = await link(ends);
    const first = watch(b.data$);
    const locked = await streamFailure(() => collect(b));
    first.subscription.unsubscribe();
    const stopped = await streamFailure(() => collect(b));
    await b.end();
    const ended = await streamFailure(() => b.write('x'));
    expect([locked, stopped, ended].map(({ code }) => code)).toEqual(['locked', 'stopped', 'ended']);
    for (const error of [locked, stopped, ended]) {
      expect(error).toMatchObject({ remote: false, retryable: false, streamId: b.id });
      expect(error.message).toContain(`stream ${b.id}`);
    }
    expect(await a.read()).toBeNull();
  });

  check('29. a lost connection is closed for every stream, and says why', async (ends) => {
    const { a, b } = await link(ends);
    const other = await link(ends);
    ends.cut();
    for (const stream of [a, b, other.a, other.b]) {
      const error = await streamFailure(() => stream.closed);
      expect(error.code).toBe('closed');
      // The error may be the connection's, but is never another stream's.
      expect([undefined, stream.id]).toContain(error.streamId);
      expect(error.message.length).toBeGreaterThan(10);
    }
  });

  check('29. what broke the connection is the cause', async (ends) => {
    const { a } = await link(ends);
    const reason = new Error('the machine is going down');
    ends.opener.abort(reason);
    expect((await streamFailure(() => a.closed)).cause).toBe(reason);
    expect(causes(await failure(() => ends.opener.closed))).toContain(reason);
    await expectGone(ends);
  });

  check('29. what broke the transport is the cause, at both ends', async (ends) => {
    const { opener, acceptor, fail } = ends;
    const { a, b } = await link(ends);
    if (fail === undefined) return;
    const reason = new Error('read ECONNRESET');
    fail(reason);
    for (const told of [a.closed, b.closed, a.read(), b.trailers, opener.closed, acceptor.closed]) {
      const error = await streamFailure(() => told);
      expect(error.code).toBe('closed');
      expect(causes(error)).toContain(reason);
    }
  });
}

/** An error, its cause, and so on. */
function causes(error: unknown): unknown[] {
  return error instanceof Error ? [error, ...causes(error.cause)] : [error];
}

async function expectGone({ opener, acceptor }: Ends): Promise<void> {
  await until(() => opener.streams.size + acceptor.streams.size === 0, 'both tables are empty');
}

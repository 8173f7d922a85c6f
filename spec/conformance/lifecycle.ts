/** Closing and aborting: SEMANTICS 20. */

import type { Observable } from 'rxjs';
import type { Provider, Stream } from 'rxmux';
import { collect, expectPattern, pattern, Supply, text } from './bytes.js';
import { type Check, type Ends, link, next, small } from './pair.js';
import { failure, fate, pause, streamFailure, until, within } from './wait.js';

/** "Within a second", of SEMANTICS 20. */
const promptMs = 1000;

/** A time so short that a spec can wait for it. */
const impatient = { drainMs: 60, closeMs: 60 };

export function lifecycleCases(check: Check): void {
  closeCases(check);
  abortCases(check);
}

function closeCases(check: Check): void {
  check('20. close() lets open streams finish', { acceptor: small }, async (ends) => {
    const { opener, acceptor } = ends;
    const { a, b } = await link(ends);
    const sent = a.send(pattern(200_000));
    const closing = fate(opener.close());
    await pause(5);
    expect(closing.state).toBe('pending');
    expectPattern(await collect(b), 200_000);
    await sent;
    await pause(5);
    expect(closing.state).toBe('pending');
    void b.send('and the answer');
    expect(text(await collect(a))).toBe('and the answer');
    await until(() => closing.state === 'resolved', 'close() resolves after the last stream', promptMs);
    await within(Promise.all([opener.closed, acceptor.closed]), promptMs, () => 'closed');
  });

  check('20. close() of an idle pair is prompt, and clean at both ends', async ({ opener, acceptor }) => {
    await within(opener.close(), promptMs, () => 'close()');
    await within(Promise.all([opener.closed, acceptor.closed]), promptMs, () => 'closed');
    await opener.close();
    await acceptor.close();
  });

  check('20. both ends may close at the same time', async (ends) => {
    const { opener, acceptor } = ends;
    const { a, b } = await link(ends);
    const closing = [opener.close(), acceptor.close()];
    void a.send('last');
    void b.send('words');
    expect([text(await collect(b)), text(await collect(a))]).toEqual(['last', 'words']);
    await within(Promise.all([...closing, opener.closed, acceptor.closed]), promptMs, () => 'close()');
  });

  check('20. after close() there are no new streams from here', async (ends) => {
    const { opener } = ends;
    await link(ends);
    void opener.close();
    expect(await streamFailure(() => opener.newStream().reply)).toMatchObject({
      code: 'closed',
      retryable: true,
    });
    expect(opener.streams.size).toBe(1);
  });

  check('20. after close() the peer’s new streams are refused as retryable', async (ends) => {
    const { opener, acceptor } = ends;
    const { a, b } = await link(ends);
    void opener.close();
    const error = await streamFailure(() => acceptor.newStream().reply);
    expect(['refused', 'closed']).toContain(error.code);
    expect(error.retryable).toBe(true);
    void a.send('unharmed');
    expect(text(await collect(b))).toBe('unharmed');
  });

  check(
    '20. close() waits only so long for a stream that does not finish',
    { opener: impatient },
    async (ends) => {
      const { opener } = ends;
      const { a, b } = await link(ends);
      const closing = fate(opener.close());
      await until(() => closing.state !== 'pending', 'close() gives up', promptMs);
      await streamFailure(() => within(a.closed, promptMs, () => 'the stream'));
      await streamFailure(() => within(b.closed, promptMs, () => 'the stream at the peer'));
    },
  );

  check('22. aborting close() aborts the provider, and rejects with the reason', async (ends) => {
    const { a } = await link(ends);
    const controller = new AbortController();
    const reason = new Error('no more patience');
    const closing = ends.opener.close({ signal: controller.signal });
    controller.abort(reason);
    await expect(within(closing, promptMs, () => 'close()')).rejects.toBe(reason);
    await streamFailure(() => within(a.closed, promptMs, () => 'the stream'));
  });
}

function abortCases(check: Check): void {
  check('20. abort(reason) fails every open stream with the reason', async (ends) => {
    const { opener, acceptor } = ends;
    const { a, b } = await link(ends);
    const unanswered = opener.newStream();
    await next(acceptor);
    const reason = new Error('enough');
    opener.abort(reason);
    for (const promise of [a.closed, a.read(), unanswered.reply, unanswered.closed]) {
      const error = await streamFailure(() => promise);
      expect(error).toMatchObject({ remote: false });
      expect(error.cause).toBe(reason);
    }
    expect(await streamFailure(() => b.closed)).toMatchObject({ remote: true });
    expect(opener.streams.size).toBe(0);
    await until(() => acceptor.streams.size === 0, 'the peer’s table is empty too');
  });

  const deaths: Record<string, (ends: Ends) => void> = {
    'abort()': ({ opener }) => opener.abort(new Error('enough')),
    'abort() without a reason': ({ opener }) => opener.abort(),
    'a lost connection': ({ cut }) => cut(),
  };
  for (const [name, die] of Object.entries(deaths)) {
    check(
      `20. after ${name} everything settles within a second, at both ends`,
      { opener: small, acceptor: small },
      async (ends) => {
        const open = new Set<string>();
        const unanswered = ends.opener.newStream();
        await next(ends.acceptor);
        open.add('opener: reply');
        unanswered.reply.catch(() => open.delete('opener: reply'));
        for (const side of [ends.opener, ends.acceptor]) await openEverything(ends, side, open);
        const before = open.size;
        await pause(5);
        expect(open.size).toBe(before);
        die(ends);
        const started = performance.now();
        while (open.size > 0 && performance.now() - started < promptMs) await pause(2);
        expect([...open]).toEqual([]);
        for (const side of [ends.opener, ends.acceptor]) {
          await expectDead(side);
        }
      },
    );
  }

  check('20. abort() during close() settles both', async (ends) => {
    await link(ends);
    const closing = fate(ends.opener.close());
    await pause(2);
    expect(closing.state).toBe('pending');
    ends.opener.abort(new Error('enough'));
    await until(() => closing.state !== 'pending', 'close() settles', promptMs);
    await failure(() => ends.opener.closed);
  });
}

/** Starts one of each thing that can wait, on `side`, and lists in `open` what has not settled. */
async function openEverything(ends: Ends, side: Provider, open: Set<string>): Promise<void> {
  const where = side === ends.opener ? 'opener' : 'acceptor';
  const follow = (what: string, promise: PromiseLike<unknown>): void => {
    const name = `${where}: ${what}`;
    open.add(name);
    const settled = (): void => void open.delete(name);
    promise.then(settled, settled);
  };
  const observe = (what: string, source: Observable<unknown>): void => {
    const ended = new Promise<void>((resolve) =>
      source.subscribe({ error: () => resolve(), complete: resolve }),
    );
    follow(what, ended);
  };
  const streams: Stream[] = [];
  for (let count = 0; count < 3; count++) {
    const { a, b } = await link(ends);
    streams.push(side === ends.opener ? a : b);
  }
  const [writing, reading, sending] = streams as [Stream, Stream, Stream];
  follow('write()', writing.write(new Uint8Array(8 << 20)));
  follow('closed of a stream', writing.closed);
  follow('trailers', writing.trailers);
  observe('state$', writing.state$);
  observe('data$', writing.data$);
  follow('read()', reading.read());
  follow('send() of a generator', sending.send(new Supply(1000).async()));
  follow('closed of the provider', side.closed);
  observe('events$', side.events$);
  observe('frames$', side.frames$);
  follow('accept()', side.accept());
}

/** What a dead provider says to whoever comes late. */
async function expectDead(provider: Provider): Promise<void> {
  const late = fate(provider.closed);
  await until(() => late.state !== 'pending', 'closed settles', promptMs);
  expect(provider.streams.size).toBe(0);
  await failure(() => provider.newStream().reply);
  await failure(() => provider.ping());
  const accepting = fate(provider.accept());
  await until(() => accepting.state !== 'pending', 'accept() settles', promptMs);
}

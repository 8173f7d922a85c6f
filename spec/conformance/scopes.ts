/** Scopes that end streams and providers: disposal and signals. SEMANTICS 21, 22. */
import type { Provider } from 'rxmux';
import { collect, Supply, take, text } from './bytes.js';
import { type Check, link, next, small } from './pair.js';
import { failure, fate, streamFailure, until, within } from './wait.js';

/** "Within a second", of SEMANTICS 20. */
const promptMs = 1000;

export function scopeCases(check: Check): void {
  disposeCases(check);
  signalCases(check);
}

function disposeCases(check: Check): void {
  check(
    '21. await using stream: leaving before the end resets, so that an upload does not look complete',
    async (ends) => {
      const { a, b } = await link(ends);
      const boom = new Error('boom');
      const uploading = async (): Promise<void> => {
        await using upload = a;
        await upload.write('the first half');
        throw boom;
      };
      const received = fate(collect(b));
      expect(await failure(uploading)).toBe(boom);
      expect(a.state).toBe('reset');
      await until(() => received.state !== 'pending', 'the peer notices');
      expect(received).toMatchObject({ state: 'rejected', error: { code: 'reset', remote: true } });
    },
  );

  check('21. await using stream: leaving after the end waits for the peer', async (ends) => {
    const { a, b } = await link(ends);
    const uploading = (async (): Promise<void> => {
      await using upload = a;
      await upload.send('the whole');
    })();
    expect(text(await collect(b))).toBe('the whole');
    void b.end();
    await within(uploading, promptMs, () => 'the block is left');
    expect(a.state).toBe('closed');
    // Where there is no STOP, a reset says that nothing more is wanted, unless the end was faster.
    if (ends.features.halfStop) await b.closed;
    else await b.closed.catch((error) => expect(error).toMatchObject({ code: 'reset', remote: true }));
  });

  check(
    '21. await using stream: leaving after the end stops what still comes',
    { opener: small },
    async (ends) => {
      const { a, b } = await link(ends);
      const supply = new Supply(1000);
      const sending = fate(b.send(supply.async()));
      const using = (async (): Promise<void> => {
        await using request = a;
        await request.send('just this');
        await take(request, 1000);
      })();
      expect(text(await collect(b))).toBe('just this');
      await within(using, promptMs, () => 'the block is left');
      await until(() => sending.state === 'rejected' && supply.closed, 'the sender has stopped');
    },
  );

  check(
    '21. await using stream: leaving after the end does not wait for a peer that says nothing more',
    async (ends) => {
      const { a } = await link(ends);
      const using = (async (): Promise<void> => {
        await using request = a;
        await request.send('just this');
      })();
      await within(using, promptMs, () => 'the block is left');
      await until(() => ends.opener.streams.size + ends.acceptor.streams.size === 0, 'both tables are empty');
    },
  );

  check('21. await using provider closes it gracefully', async (ends) => {
    const { opener, acceptor } = ends;
    const { a, b } = await link(ends);
    const using = (async (): Promise<void> => {
      await using provider = opener;
      expect(provider.streams.size).toBe(1);
    })();
    void a.send('last');
    expect(text(await collect(b))).toBe('last');
    await b.end();
    expect(await a.read()).toBeNull();
    await within(using, promptMs, () => 'the block is left');
    await within(acceptor.closed, promptMs, () => 'the peer is closed');
  });

  check(
    '21. await using provider aborts what does not finish',
    { opener: { drainMs: 60, closeMs: 60 } },
    async (ends) => {
      const { a } = await link(ends);
      await within(
        Promise.resolve(ends.opener[Symbol.asyncDispose]()).catch(() => {}),
        promptMs,
        () => 'dispose',
      );
      await streamFailure(() => a.closed);
    },
  );
}

function signalCases(check: Check): void {
  check('22. aborting newStream’s signal resets with cancel', async ({ opener, acceptor }) => {
    const controller = new AbortController();
    const a = opener.newStream({}, { signal: controller.signal });
    const b = await next(acceptor);
    const reason = new Error('changed my mind');
    controller.abort(reason);
    expect([a.state, reasonOf(await failure(() => a.closed))]).toEqual(['reset', reason]);
    expect(reasonOf(await failure(() => a.reply))).toBe(reason);
    expect(await streamFailure(() => b.closed)).toMatchObject({ remote: true, reset: 'cancel' });
  });

  check('22. newStream with a signal that was aborted before opens nothing', async ({ opener, acceptor }) => {
    const reason = new Error('too late');
    const failed = await failure(() => opener.newStream({}, { signal: AbortSignal.abort(reason) }).reply);
    expect(reasonOf(failed)).toBe(reason);
    await until(() => opener.streams.size + acceptor.streams.size === 0, 'both tables are empty');
  });

  check('22. a signal aborted after the end is without effect', async ({ opener, acceptor }) => {
    const controller = new AbortController();
    const a = opener.newStream({}, { signal: controller.signal });
    const b = await next(acceptor);
    await Promise.all([a.send('x'), b.send('y'), collect(a), collect(b)]);
    await a.closed;
    controller.abort();
    await a.closed;
    expect(a.state).toBe('closed');
  });

  check(
    '22. aborting send() resets with cancel, and rejects with the reason',
    { acceptor: small },
    async (ends) => {
      const { a, b } = await link(ends);
      const controller = new AbortController();
      const reason = new Error('changed my mind');
      const supply = new Supply(1000);
      const sending = a.send(supply.async(), { signal: controller.signal });
      await until(() => b.stats.queuedIn > 0, 'bytes come');
      controller.abort(reason);
      await expect(sending).rejects.toBe(reason);
      expect(a.state).toBe('reset');
      await until(() => supply.closed, 'the source is closed');
      expect(await streamFailure(() => b.closed)).toMatchObject({ remote: true, reset: 'cancel' });
    },
  );

  check('22. aborting read() rejects with the reason, and loses nothing in silence', async (ends) => {
    const { a, b } = await link(ends);
    const controller = new AbortController();
    const reason = new Error('changed my mind');
    const reading = b.read({ signal: controller.signal });
    controller.abort(reason);
    await expect(reading).rejects.toBe(reason);
    const written = fate(a.write('later'));
    const after = fate(take(b, 5).then((bytes) => expect(text(bytes)).toBe('later')));
    await until(() => after.state !== 'pending', 'the next read() settles');
    if (after.state === 'rejected') expect([a.state, b.state]).toEqual(['reset', 'reset']);
    else await until(() => written.state === 'resolved', 'the write is through');
  });

  check('22. aborting ping() rejects with the reason', async ({ opener, features }) => {
    if (!features.ping) return expectNoPing(opener);
    const reason = new Error('changed my mind');
    await expect(opener.ping({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(await opener.ping()).toBeGreaterThanOrEqual(0);
  });
}

/** Where the wire has no ping, `ping()` says so. */
async function expectNoPing(provider: Provider): Promise<void> {
  await streamFailure(() => provider.ping());
}

/** A signal's reason, itself or as the cause of a StreamError. */
function reasonOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error;
}

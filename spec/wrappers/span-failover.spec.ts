/** What a stream is while it goes from one connection to another, and what happens to it in that very moment. */
import { of, Subject } from 'rxjs';
import {
  type ByteSource,
  limit,
  type Provider,
  type ResetCode,
  type Span,
  type Stream,
  StreamError,
  span,
} from 'rxmux';
import { Deferred } from '../../lib/core/promises.js';
import { failure, fate, streamFailure, turn, until, within } from '../conformance/wait.js';
import { echo, finish, next, type Two, textOf, two } from './ends.js';

let pairs: Two[] = [];

afterEach(async () => {
  await finish(...pairs.flatMap(({ client, server }) => [client, server]));
  pairs = [];
});

/** A span over a connection that refuses, and one that takes streams. */
function failingOver(): { whole: Span; taking: Provider; refusing: Provider } {
  pairs = [two({ maxStreams: 0, handshakeMs: 0 }), two()];
  const [first, second] = pairs as [Two, Two];
  const whole = span([first.client, second.client], { pick: 'primary' });
  return { whole, taking: second.server, refusing: first.client };
}

/** A span over two connections that take streams, and have nobody yet who answers. */
function accepting(): { whole: Span } {
  pairs = [two(), two()];
  return { whole: span(pairs.map(({ client }) => client)) };
}

/** Calls `task` when the refusal is here, and nothing has been done about it. */
function onRefusal(provider: Provider, task: () => void): void {
  provider.events$.subscribe(({ type }) => {
    if (type === 'reset') task();
  });
}

const large = new Uint8Array(40_000);

describe('span: a stream that goes elsewhere', () => {
  it.each([
    ['as one chunk', (stream: Stream, signal: AbortSignal) => stream.send(large, { signal })],
    ['from a source', (stream: Stream, signal: AbortSignal) => stream.send([large], { signal })],
    ['from one that has ended', (stream: Stream, signal: AbortSignal) => stream.send(of(large), { signal })],
  ])('is reset by the signal of what was sent: %s', async (_how, send) => {
    const limits = { windowBytes: 1024, maxWindowBytes: 1024 };
    pairs = [two({ ...limits, maxStreams: 0, handshakeMs: 0 }), two(limits)];
    const whole = span(
      pairs.map(({ client }) => client),
      { pick: 'primary' },
    );
    const leaving = new AbortController();
    const stream = whole.newStream();
    const sending = failure(() => send(stream, leaving.signal));
    const served = await next((pairs[1] as Two).server);
    await until(() => stream.stats.bytesOut === 1024, 'it has come there');
    const reason = new Error('the user gave up');
    leaving.abort(reason);
    expect(await within(sending, 500, () => 'the sender is told')).toBe(reason);
    expect(await streamFailure(() => served.closed)).toMatchObject({ code: 'reset', reset: 'cancel' });
    expect(stream.state).toBe('reset');
  });

  it('keeps its id, label, headers and age; its figures are those of where it is', async () => {
    const { whole, taking } = failingOver();
    // Not of the span, and so with the same id on its own connection.
    const other = (pairs[1] as Two).client.newStream();
    await next(taking);
    const stream = whole.newStream({ name: 'value' });
    const { id, label } = stream;
    const { openedAt } = stream.stats;
    await stream.write('12345');
    const served = await next(taking);
    expect(served.id).not.toBe(stream.id);
    served.accept();
    await stream.reply;
    expect([stream.id, stream.label, stream.headers.toJSON()]).toEqual([id, label, { name: 'value' }]);
    expect(whole.streams.get(id)).toBe(stream);
    expect(new Set(whole.streams.keys()).size).toBe(2);
    expect(stream.stats).toEqual({ ...stream.stats, openedAt, bytesOut: 5, bytesIn: 0 });
    stream.label = 'renamed';
    expect(stream.label).toBe('renamed');
    other.reset();
  });

  it('is no failure of the connection that refused it', async () => {
    const { whole, taking } = failingOver();
    const stream = whole.newStream();
    (await next(taking)).accept();
    await stream.reply;
    await turn();
    expect(whole.members).toMatchObject([{ retried: 1, failed: 0 }, { failed: 0 }]);
    stream.reset();
    await until(() => whole.members[1]?.failed === 1, 'that was for good');
  });

  it('has been stopped wherever it is, if its reader left before', async () => {
    const { whole, taking } = failingOver();
    const stream = whole.newStream();
    stream.data$.subscribe({ error: () => {} }).unsubscribe();
    const served = await next(taking);
    expect(await streamFailure(() => served.send(new Uint8Array(1 << 20)))).toMatchObject({
      code: 'stopped',
    });
    expect(await streamFailure(() => stream.read())).toMatchObject({ code: 'stopped' });
  });

  it('has not been stopped with a code that there is none of', async () => {
    const { whole, taking } = failingOver();
    const stream = whole.newStream();
    expect(() => stream.stop('bogus' as ResetCode)).toThrow(TypeError);
    const served = await next(taking);
    void served.send('answer');
    expect(await textOf(stream)).toBe('answer');
  });

  it.each([
    [
      'pushed',
      () => {
        const subject = new Subject<string>();
        return { source: subject, fail: (error: Error) => subject.error(error) };
      },
    ],
    [
      'pulled',
      () => {
        let fail = (_error: Error): void => {};
        async function* failing(): AsyncGenerator<string> {
          yield 'some';
          await new Promise((_resolve, reject) => {
            fail = reject;
          });
        }
        return { source: failing(), fail: (error: Error) => fail(error) };
      },
    ],
  ])(
    'is reset there if its source fails in that moment, and never looks complete: %s',
    async (_how, make) => {
      const { whole, taking, refusing } = failingOver();
      const { source, fail } = make();
      const stream = whole.newStream();
      const sending = fate(stream.send(source));
      onRefusal(refusing, () => fail(new Error('the source is broken')));
      const served = await next(taking);
      expect(await streamFailure(() => textOf(served))).toMatchObject({ code: 'reset' });
      await until(() => sending.state === 'rejected', 'the sender is told');
      expect(sending.error).toMatchObject({ message: 'the source is broken' });
    },
  );

  it.each<[string, () => { source: ByteSource; give: (value: string) => void }]>([
    [
      'pushed',
      () => {
        const source = new Subject<string>();
        const give = (value: string): void => {
          source.next(value);
          source.complete();
        };
        return { source, give };
      },
    ],
    [
      'pulled',
      () => {
        const { promise, resolve } = new Deferred<string>();
        const results = [promise.then((value) => ({ value })), { done: true, value: undefined }];
        const iterator = { next: () => results.shift() } as AsyncIterator<string>;
        return { source: { [Symbol.asyncIterator]: () => iterator }, give: resolve };
      },
    ],
  ])('is reset there if its source gives no chunk in that moment: %s', async (_how, make) => {
    const { whole, taking, refusing } = failingOver();
    const { source, give } = make();
    const stream = whole.newStream();
    const sending = failure(() => stream.send(source));
    onRefusal(refusing, () => give(null as unknown as string));
    const served = await next(taking);
    expect(await streamFailure(() => textOf(served))).toMatchObject({ code: 'reset' });
    expect(await sending).toMatchObject({ message: 'a chunk is a Uint8Array or a string, not null' });
  });

  it('goes nowhere if it is given no chunk in that moment', async () => {
    const { whole, taking, refusing } = failingOver();
    const stream = whole.newStream();
    stream.next('some');
    onRefusal(refusing, () => stream.next(null as unknown as string));
    await streamFailure(() => stream.closed);
    await turn();
    expect([stream.state, taking.streams.size]).toEqual(['reset', 0]);
  });

  it.each<[string, (stream: Stream) => unknown, (stream: Stream) => unknown]>([
    ['a write', (stream) => stream.end(), (stream) => stream.write('too late')],
    ['bytes', (stream) => stream.end(), (stream) => stream.send('too late')],
    ['a source', (stream) => stream.end(), (stream) => stream.send(['too late'])],
    ['what is pushed', (stream) => stream.complete(), (stream) => stream.next('too late')],
    ['bytes behind bytes', (stream) => stream.send('!'), (stream) => stream.send('too late')],
    ['a write behind a source', (stream) => stream.send(['!']), (stream) => stream.write('too late')],
  ])('has nothing there that was refused behind its end: %s', async (_what, end, late) => {
    const { whole, taking } = failingOver();
    const stream = whole.newStream();
    void stream.write('in time');
    void end(stream);
    const told = await Promise.resolve(late(stream)).catch((error: unknown) => error);
    if (told !== undefined) expect(told).toMatchObject({ code: 'ended', retryable: false });
    expect(await textOf(await next(taking))).toMatch(/^in time!?$/);
    expect(await streamFailure(() => stream.write('later'))).toMatchObject({ code: 'ended' });
  });

  it('takes nothing behind its end in the very moment of the refusal', async () => {
    const { whole, taking, refusing } = failingOver();
    const stream = whole.newStream();
    void stream.send('in time');
    let late: Promise<unknown>[] = [];
    onRefusal(refusing, () => {
      late = [stream.write('too late'), stream.send('too late')].map((promise) => failure(() => promise));
    });
    expect(await textOf(await next(taking))).toBe('in time');
    expect(await Promise.all(late)).toMatchObject([{ code: 'ended' }, { code: 'ended' }]);
  });

  it('has there what was taken while its source told the end, and nothing else', async () => {
    const { whole, taking } = failingOver();
    const stream = whole.newStream();
    let taken = '';
    const write = async (text: string): Promise<void> => {
      await stream.write(text);
      taken += text;
    };
    const source = (async function* () {
      yield '';
      void (async () => {
        for (const text of '0123456789') {
          write(text).catch(() => {});
          await undefined;
        }
      })();
    })();
    await stream.send(source);
    expect(await textOf(await next(taking))).toBe(taken);
  });

  it.each<[string, (stream: Stream) => unknown]>([
    ['end()', (stream) => stream.end()],
    ['send()', (stream) => stream.send('')],
    ['send() of a source', (stream) => stream.send([])],
  ])('has the trailers that were added to its end there: %s', async (_what, end) => {
    const { whole, taking } = failingOver();
    const stream = whole.newStream();
    void end(stream);
    await stream.end({ trailer: 'value' });
    await stream.end();
    const served = await next(taking);
    expect(await textOf(served)).toBe('');
    expect((await served.trailers)?.toJSON()).toEqual({ trailer: 'value' });
  });

  it('has no trailers there that came after its end had been sent', async () => {
    const { whole, taking } = failingOver();
    const stream = whole.newStream();
    let late: unknown;
    whole.events$.subscribe(({ type }) => {
      if (type === 'end') late ??= failure(() => stream.end({ trailer: 'too late' }));
    });
    void stream.end();
    const served = await next(taking);
    expect(await textOf(served)).toBe('');
    expect(await served.trailers).toBeUndefined();
    expect(await late).toMatchObject({ code: 'ended' });
  });

  /** A stream whose reader has just given up, for a failure of another stream that could be tried again. */
  async function givenUp() {
    const { whole } = accepting();
    const stream = whole.newStream();
    await stream.write('once');
    const reason = new StreamError('refused', 'another stream was refused', { retryable: true });
    const leaving = new AbortController();
    const { signal } = leaving;
    const reading = failure(() => stream.read({ signal }));
    leaving.abort(reason);
    return { whole, stream, reason, signal, reading };
  }

  it('stays where it is if what its reader gave up for could be tried again', async () => {
    const { whole, stream, reason, signal, reading } = await givenUp();
    expect(await reading).toBe(reason);
    expect(await failure(() => stream.read({ signal }))).toBe(reason);
    expect(whole.members).toMatchObject([{ opened: 1 }, { opened: 0 }]);
    expect(stream.state).toBe('opening');
  });

  it('is lost with its connection, though its reader has just given up for what could be tried again', async () => {
    const { whole, stream, reason, reading } = await givenUp();
    pairs[0]?.client.abort(new Error('the connection is lost'));
    expect(await reading).toBe(reason);
    await failure(() => stream.closed);
    expect(whole.members).toMatchObject([{ opened: 0 }]);
  });

  it('goes elsewhere in the very moment in which its reader gives up', async () => {
    const { whole, taking, refusing } = failingOver();
    const stream = whole.newStream();
    void stream.send('all of it');
    const reason = new StreamError('refused', 'another stream was refused', { retryable: true });
    const leaving = new AbortController();
    const reading = failure(() => stream.read({ signal: leaving.signal }));
    onRefusal(refusing, () => leaving.abort(reason));
    expect(await reading).toBe(reason);
    const served = await next(taking);
    expect(await textOf(served)).toBe('all of it');
    void served.send('answer');
    expect(await textOf(stream)).toBe('answer');
  });

  it('has ended its half once, though its peer there ends before all is sent again', async () => {
    pairs = [two({ maxStreams: 0, handshakeMs: 0 }), two({ windowBytes: 1 })];
    const { server } = pairs[1] as Two;
    const whole = span(
      pairs.map(({ client }) => client),
      { pick: 'primary' },
    );
    const stream = whole.newStream();
    const [states, later, told]: [string[], string[], string[]] = [[], [], []];
    stream.state$.subscribe((state) => states.push(state, stream.state));
    whole.events$.subscribe((event) => {
      if ('stream' in event && event.stream === stream && !/stall|resume/.test(event.type)) {
        told.push(`${event.type} ${stream.state}`);
      }
    });
    void stream.send('much more than the window');
    const served = await next(server);
    void served.end();
    expect(await textOf(stream)).toBe('');
    stream.state$.subscribe((state) => later.push(state));
    expect(await textOf(served)).toBe('much more than the window');
    await stream.closed;
    expect(states).toEqual(['opening', 'half-closed-local', 'closed'].flatMap((state) => [state, state]));
    expect(later).toEqual(['half-closed-local', 'closed']);
    expect(told).toEqual(['end half-closed-local', 'reply half-closed-local', 'end closed', 'close closed']);
  });

  it('is reset, not left open, if it is disposed of in that moment', async () => {
    const { whole, taking, refusing } = failingOver();
    const stream = whole.newStream();
    void stream.write('half of it');
    onRefusal(refusing, () => void stream[Symbol.asyncDispose]());
    await failure(() => within(stream.closed, 500, () => 'closed'));
    await turn();
    expect([stream.state, taking.streams.size]).toEqual(['reset', 0]);
  });

  it('is waited for if it is disposed of after its end', async () => {
    const { whole, taking, refusing } = failingOver();
    const stream = whole.newStream();
    void stream.send('all of it');
    let disposed: PromiseLike<void> | undefined;
    onRefusal(refusing, () => {
      disposed = stream[Symbol.asyncDispose]();
    });
    const served = await next(taking);
    expect(await textOf(served)).toBe('all of it');
    void served.end();
    await disposed;
    expect(stream.state).toBe('closed');
  });
});

describe('span: connections', () => {
  it('that are full are used again when they have room', async () => {
    pairs = [two(), two()];
    for (const { server } of pairs) echo(server);
    const whole = span(pairs.map(({ client }) => client.pipe(limit({ streams: 1 }))));
    const open = [whole.newStream(), whole.newStream()];
    expect(await streamFailure(() => whole.newStream().reply)).toMatchObject({
      code: 'limit',
      retryable: true,
    });
    for (const stream of open) {
      void stream.end();
      expect(await textOf(stream)).toBe('');
    }
    for (let turnOf = 0; turnOf < 4; turnOf++) {
      const stream: Stream = whole.newStream();
      void stream.send('again');
      expect(await textOf(stream)).toBe('again');
    }
    expect(whole.members.map(({ opened }) => opened)).toEqual([3, 3]);
  });

  it('are all waited for by close(), whichever of them fails', async () => {
    pairs = [two(), two()];
    for (const { server } of pairs) echo(server);
    const whole = span(pairs.map(({ client }) => client));
    const open = [whole.newStream(), whole.newStream()] as const;
    for (const stream of open) await Promise.all([stream.write('x'), stream.reply]);
    const closing = fate(whole.close());
    pairs[0]?.cut();
    await failure(() => open[0].closed);
    await turn();
    expect([open[1].state, closing.state]).toEqual(['open', 'pending']);
    void open[1].end();
    expect(await textOf(open[1])).toBe('x');
    await until(() => closing.state === 'rejected', 'the failure is told');
    await whole.closed;
  });

  it('that will never come close the span with the reason', async () => {
    const set = new Subject<readonly Provider[]>();
    const whole = span(set);
    set.error(new Error('nobody knows where they are'));
    expect(await failure(() => whole.closed)).toMatchObject({ message: 'nobody knows where they are' });
    expect(await failure(() => whole.accept())).toMatchObject({ message: 'nobody knows where they are' });
  });
});

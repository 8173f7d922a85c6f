import { Subject } from 'rxjs';
import {
  ForwardingStream,
  type HandlerAnswer,
  handle,
  http2,
  intercept,
  join,
  type Provider,
  type ProviderEvent,
  pullMap,
  type Stream,
  StreamError,
  tapProvider,
} from 'rxmux';
import { each, turn, until } from '../conformance/wait.js';
import { echo, finish, next, textOf, two } from './ends.js';

class Named extends ForwardingStream {}

async function failureOf(promise: Promise<unknown>): Promise<StreamError> {
  const error = await promise.catch((reason: unknown) => reason);
  if (!StreamError.is(error)) throw new Error(`no StreamError: ${String(error)}`);
  return error;
}

/** One stream from its opening to its close. */
async function echoOne(client: Provider, server: Provider): Promise<void> {
  echo(server);
  const stream = client.newStream();
  void stream.send('x');
  await textOf(stream);
  await stream.closed;
}

describe('intercept', () => {
  it('changes headers and replaces streams in either direction', async () => {
    const { client, server } = two();
    const opening = client.pipe(
      intercept({ newStream: (headers, open) => new Named(open([...headers, ['x-added', 'yes']])) }),
    );
    const accepting = server.pipe(intercept({ accept: (stream) => new Named(stream) }));
    const a = opening.newStream({ name: 'value' });
    const b = await next(accepting);
    expect([a, b].every((stream) => stream instanceof Named)).toBe(true);
    expect(b.headers.toJSON()).toEqual({ name: 'value', 'x-added': 'yes' });
    expect([opening.streams.get(a.id), accepting.streams.get(b.id)]).toEqual([a, b]);
    await finish(client, server);
  });

  it('vetoes a stream, which its opener can try elsewhere', async () => {
    const { client, server } = two();
    const guarded = server.pipe(
      intercept({ accept: (stream) => (stream.headers.has('bad') ? null : stream) }),
    );
    const bad = client.newStream({ bad: '1' });
    const good = client.newStream();
    expect(await next(guarded)).toMatchObject({ id: good.id });
    expect(await failureOf(bad.reply)).toMatchObject({ code: 'refused', retryable: true });
    await finish(client, server);
  });

  it('vetoes a stream whose opener has ended already', async () => {
    const { client, server } = two();
    const guarded = server.pipe(
      intercept({ accept: (stream) => (stream.headers.has('bad') ? null : stream) }),
    );
    const bad = client.newStream({ bad: '1' });
    bad.send('all of it').catch(() => {});
    const waits = client.newStream({ bad: '2' });
    waits.end().catch(() => {});
    await client.ping();
    const late = server.pipe(intercept({ accept: () => null }));
    expect(late.streams.size).toBe(2);
    const good = client.newStream();
    expect(await next(guarded)).toMatchObject({ id: good.id });
    for (const stream of [bad, waits])
      expect(await failureOf(stream.reply)).toMatchObject({ code: 'refused', retryable: true });
    await finish(client, server);
  });

  it('resets what it vetoes where an operator beneath has accepted it', async () => {
    const { client, server } = two();
    const guarded = server.pipe(
      handle(() => ({ accept: true })),
      intercept({ accept: (stream) => (stream.headers.has('bad') ? null : stream) }),
    );
    const bad = client.newStream({ bad: '1' });
    const good = client.newStream();
    expect(await next(guarded)).toMatchObject({ id: good.id });
    await bad.reply;
    expect(await failureOf(bad.closed)).toMatchObject({ code: 'reset', reset: 'refused', retryable: false });
    expect([...server.streams.keys()]).toEqual([good.id]);
    await finish(client, server);
  });

  const answers = {
    'no answer': (stream: Stream) => stream,
    'headers in time': (stream: Stream) => stream.accept(turn().then(() => ({ version: '1' }))),
    'headers beneath': (stream: Stream) => stream,
  };
  it.each(
    (Object.keys(answers) as (keyof typeof answers)[]).flatMap((how) =>
      [true, false].flatMap((isLate) => [true, false].map((hasEnded) => [how, isLate, hasEnded] as const)),
    ),
  )(
    'leaves to its hook what that keeps: %s, later %p, its opener has ended: %p',
    async (how, isLate, hasEnded) => {
      const { client, server } = two();
      const beneath = how === 'headers beneath' ? [handle(() => ({ accept: true }))] : [];
      const guarded = server.pipe(
        ...beneath,
        intercept({
          accept: (stream) => {
            void answers[how](stream).send(stream.data$);
            return isLate ? Promise.resolve(null) : null;
          },
        }),
      );
      each(guarded.accept$);
      const stream = client.newStream();
      if (hasEnded) void stream.send('hello');
      else {
        await stream.write('hel');
        await turn();
        await turn();
        void stream.send('lo');
      }
      expect(await textOf(stream)).toBe('hello');
      expect((await stream.reply).get('version')).toBe(how === 'headers in time' ? '1' : undefined);
      await finish(client, server);
    },
  );

  it('refuses what it vetoes where its answer is promised beneath, and resets what was begun there', async () => {
    const { client, server } = two();
    const begin = {
      promise: (stream: Stream) => stream.accept(new Promise<never>(() => {})),
      greeting: (stream: Stream) => void stream.write('hello'),
    };
    const guarded = server.pipe(
      intercept({
        accept: (stream) => {
          begin[stream.headers.get('how') as keyof typeof begin](stream);
          return stream;
        },
      }),
      intercept({ accept: () => null }),
    );
    each(guarded.accept$);
    const [promised, greeted] = ['promise', 'greeting'].map((how) => client.newStream({ how })) as [
      Stream,
      Stream,
    ];
    expect(await failureOf(promised.closed)).toMatchObject({ code: 'refused', retryable: true });
    expect(await failureOf(greeted.closed)).toMatchObject({ code: 'reset', retryable: false });
    await finish(client, server);
  });

  it('decides on several at once, and a decision that fails refuses its stream only', async () => {
    const { client, server } = two();
    const answers: ((stream: Stream | null) => void)[] = [];
    const guarded = server.pipe(
      intercept({
        accept: (stream) => {
          if (stream.headers.has('throws')) throw new Error('cannot decide');
          return new Promise((resolve, reject) => {
            answers.push(() => (stream.headers.has('rejects') ? reject(new Error('no')) : resolve(stream)));
          });
        },
      }),
    );
    const streams = ['throws', 'rejects', 'first', 'second'].map((name) => client.newStream({ [name]: '1' }));
    const taken: Stream[] = [];
    guarded.accept$.subscribe({ next: (stream) => taken.push(stream), error: () => {} });
    await until(() => answers.length === 3, 'all are asked about');
    for (const answer of answers.toReversed()) answer(null);
    await until(() => taken.length === 2, 'two are wanted');
    expect(taken.map(({ id }) => id)).toEqual([streams[3]?.id, streams[2]?.id]);
    for (const stream of streams.slice(0, 2)) {
      expect(await failureOf((stream as Stream).reply)).toMatchObject({
        code: 'refused',
        reset: 'internal-error',
      });
    }
    await finish(client, server);
  });

  it('takes no stream while its reader is busy', async () => {
    const { client, server } = two({ backlog: 2 });
    const asked: number[] = [];
    const guarded = server.pipe(
      intercept({
        accept: (stream) => {
          asked.push(stream.id);
          return stream;
        },
      }),
    );
    for (let count = 0; count < 3; count++) void client.newStream().end();
    const releases: (() => void)[] = [];
    guarded.accept$
      .pipe(pullMap(() => new Promise<void>((resolve) => releases.push(resolve))))
      .subscribe({ error: () => {} });
    await until(() => releases.length === 1, 'the first is served');
    expect(asked.length).toBe(1);
    releases[0]?.();
    await until(() => releases.length === 2, 'then the second');
    expect(asked.length).toBe(2);
    await finish(client, server);
  });

  it('decides on no further stream for a reader who is busy, nor for one who has given up', async () => {
    const { client, server } = two();
    let asked = 0;
    const guarded = server.pipe(
      intercept({
        accept: async (stream) => {
          asked++;
          return stream;
        },
      }),
    );
    const giving = new AbortController();
    const taking = guarded.accept({ signal: giving.signal });
    await turn();
    giving.abort(new Error('no more'));
    await expect(taking).rejects.toThrow('no more');
    const streams = [client.newStream()];
    await until(() => server.streams.size === 1, 'it is here');
    await turn();
    expect(asked).toBe(0);
    let served = 0;
    const never = new Promise<never>(() => {});
    guarded.accept$
      .pipe(
        pullMap(() => {
          served++;
          return never;
        }),
      )
      .subscribe({ error: () => {} });
    for (let count = 0; count < 10; count++) {
      streams.push(client.newStream());
      await until(() => server.streams.size === streams.length, 'it is here');
      await turn();
    }
    // One is served, one waits for its turn, and one for that.
    expect([served, asked]).toEqual([1, 3]);
    await finish(client, server);
  });

  it('gives nobody a stream that was over before its turn', async () => {
    const { client, server } = two();
    const guarded = server.pipe(intercept({ accept: async (stream) => stream }));
    const releases: (() => void)[] = [];
    const taken: number[] = [];
    guarded.accept$
      .pipe(
        pullMap((stream) => {
          taken.push(stream.id);
          return new Promise<void>((resolve) => releases.push(resolve));
        }),
      )
      .subscribe({ error: () => {} });
    client.newStream();
    await until(() => taken.length === 1, 'the first is served');
    const [reset, kept] = [client.newStream(), client.newStream()];
    await until(() => server.streams.size === 3, 'all are here');
    await turn();
    reset.reset();
    await until(() => server.streams.size === 2, 'one is over');
    await turn();
    releases[0]?.();
    await until(() => releases.length === 2, 'the next is served');
    expect(taken).toEqual([1, kept.id]);
    await finish(client, server);
  });

  it('throws what a hook throws to the caller, and leaves nothing open', async () => {
    const { client, server } = two();
    const broken = client.pipe(
      intercept({
        newStream: (headers, open) => {
          open(headers);
          throw new Error('the hook is broken');
        },
      }),
    );
    expect(() => broken.newStream()).toThrow('the hook is broken');
    await until(() => client.streams.size + server.streams.size === 0, 'both tables are empty');
    await finish(client, server);
  });
});

describe('handle', () => {
  it('accepts with reply headers before the application sees the stream, or refuses with headers', async () => {
    const { client, server } = two();
    const policy = server.pipe(
      handle(async (headers) =>
        headers.get('who') === 'friend'
          ? { accept: true, headers: { welcome: 'yes' } }
          : { accept: false, headers: { why: 'stranger' } },
      ),
    );
    echo(policy);
    const friend = client.newStream({ who: 'friend' });
    const stranger = client.newStream();
    expect((await friend.reply).get('welcome')).toBe('yes');
    const error = await failureOf(stranger.reply);
    expect([error.code, error.headers?.get('why')]).toEqual(['refused', 'stranger']);
    void friend.send('hello');
    expect(await textOf(friend)).toBe('hello');
    await finish(client, server);
  });

  it.each([
    ['at once', (answer: HandlerAnswer) => answer],
    ['later', async (answer: HandlerAnswer) => answer],
  ] as const)('passes on what another beneath has accepted, or resets it: %s', async (_when, give) => {
    const { client, server } = two();
    const inner = handle(() => give({ accept: true, headers: { by: 'inner' } }));
    const outer = handle((headers) => give({ accept: !headers.has('bad'), headers: { by: 'outer' } }));
    echo(server.pipe(inner, outer));
    const stream = client.newStream();
    void stream.send('hello');
    expect(await textOf(stream)).toBe('hello');
    expect((await stream.reply).get('by')).toBe('inner');
    const bad = client.newStream({ bad: '1' });
    expect((await bad.reply).get('by')).toBe('inner');
    expect(await failureOf(bad.closed)).toMatchObject({ code: 'reset', reset: 'refused', retryable: false });
    await finish(client, server);
  });

  it('passes on the reset of a stream that it asks elsewhere, and not that it was for nothing', async () => {
    const asked = two();
    const { client, server } = two({}, http2);
    // 7 has no word over the framer, and is REFUSED_STREAM over HTTP/2.
    const reset = (stream: Stream): void => stream.accept(new Promise(() => {})).reset(7);
    asked.server.accept$.subscribe({ next: reset, error: () => {} });
    echo(
      server.pipe(
        handle(async () => {
          await asked.client.newStream().reply;
          return { accept: true };
        }),
      ),
    );
    const stream = client.newStream();
    expect(await failureOf(stream.reply)).toMatchObject({ code: 'refused', retryable: false });
    await finish(asked.client, asked.server, client, server);
  });

  it('refuses where its handler throws, and the connection goes on', async () => {
    const { client, server } = two();
    const policy = server.pipe(
      handle((headers) => {
        if (headers.has('bad')) throw new Error('a broken handler');
        return { accept: true };
      }),
    );
    echo(policy);
    expect(await failureOf(client.newStream({ bad: '1' }).reply)).toMatchObject({ reset: 'internal-error' });
    const fine = client.newStream();
    void fine.send('still here');
    expect(await textOf(fine)).toBe('still here');
    await finish(client, server);
  });
});

describe('tapProvider', () => {
  it('tells every event, and is the provider itself', async () => {
    const { client, server } = two();
    const types: string[] = [];
    let isComplete = false;
    const tapped = client.pipe(
      tapProvider((event) => types.push(event.type)),
      tapProvider({ complete: () => (isComplete = true) }),
    );
    expect(tapped).toBe(client);
    await echoOne(tapped, server);
    expect([types[0], types.at(-1)]).toEqual(['open', 'close']);
    await finish(client, server);
    await until(() => isComplete, 'the end is told');
  });

  it('tells a Subject, and an object whose methods are its class’s', async () => {
    const { client, server } = two();
    class Counter {
      seen = 0;
      next(): void {
        this.seen++;
      }
    }
    const subject = new Subject<ProviderEvent>();
    const types: string[] = [];
    let isComplete = false;
    subject.subscribe({ next: ({ type }) => types.push(type), complete: () => (isComplete = true) });
    const counter = new Counter();
    const tapped = client.pipe(tapProvider(subject), tapProvider(counter));
    await echoOne(tapped, server);
    expect([types[0], types.at(-1)]).toEqual(['open', 'close']);
    expect(counter.seen).toBe(types.length);
    await client.close();
    expect(isComplete).toBe(true);
    await finish(server);
  });
});

describe('join', () => {
  /** A client and a server with a proxy between them; gives both outer ends. */
  async function joined(): Promise<{ a: Stream; b: Stream; over: Promise<void>; end(): Promise<void> }> {
    const [left, right] = [two(), two()];
    const a = left.client.newStream();
    const inner = await next(left.server);
    const up = right.client.newStream();
    inner.accept(up.reply);
    const over = join(inner, up);
    over.catch(() => {});
    const b = await next(right.server);
    return { a, b, over, end: () => finish(left.client, left.server, right.client, right.server) };
  }

  it('carries bytes, half-closes and trailers both ways', async () => {
    const { a, b, over, end } = await joined();
    await a.write('there');
    await a.end({ checksum: '1' });
    expect(await textOf(b)).toBe('there');
    expect((await b.trailers)?.get('checksum')).toBe('1');
    await b.write('and back');
    await b.end({ checksum: '2' });
    expect(await textOf(a)).toBe('and back');
    expect((await a.trailers)?.get('checksum')).toBe('2');
    await over;
    await end();
  });

  it('carries a reset with its code, either way', async () => {
    for (const who of ['a', 'b'] as const) {
      const { a, b, over, end } = await joined();
      b.accept();
      await a.reply;
      const [from, to] = who === 'a' ? [a, b] : [b, a];
      from.reset(1234);
      expect(await failureOf(to.closed)).toMatchObject({ code: 'reset', remote: true, reset: 1234 });
      expect(await failureOf(over)).toMatchObject({ reset: 1234 });
      await end();
    }
  });

  it('carries backpressure, and a reader that stops ends that direction only', async () => {
    const { a, b, over, end } = await joined();
    let pulled = 0;
    const sending = a.send(
      (function* () {
        for (;;) {
          pulled += 65_536;
          yield new Uint8Array(65_536);
        }
      })(),
    );
    sending.catch(() => {});
    b.accept();
    await a.reply;
    let last = -1;
    await until(() => {
      const still = pulled === last;
      last = pulled;
      return still && pulled > 0;
    }, 'it stands still');
    expect(pulled).toBeLessThan(8 << 20);
    b.stop();
    expect(await failureOf(sending)).toMatchObject({ code: 'stopped' });
    void b.send('still open');
    expect(await textOf(a)).toBe('still open');
    await over;
    await end();
  });
});

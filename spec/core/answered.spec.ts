/** What an opener may believe of an answer, and observers of its stream, on every protocol. */
import { from, Subject } from 'rxjs';
import {
  ForwardingStream,
  framer,
  handle,
  intercept,
  join,
  memoryPair,
  type Protocol,
  type Provider,
  type ResetCode,
  type SendOptions,
  type Stream,
  StreamError,
  span,
} from 'rxmux';
import { collect } from '../conformance/bytes.js';
import { trackPair } from '../support/leaks.js';
import { protocols } from '../support/protocols.js';

const open: Provider[] = [];
afterEach(() => {
  for (const provider of open.splice(0)) provider.abort();
});

async function pair(protocol: Protocol): Promise<[client: Provider, server: Provider]> {
  const [near, far] = memoryPair();
  const client = protocol(near, { role: 'client' });
  const server = protocol(far, { role: 'server' });
  trackPair([client, server]);
  open.push(client, server);
  await client.ping();
  return [client, server];
}

const ignore = (): void => {};
const serve = (server: Provider, stream: (stream: Stream) => void): void => {
  server.accept$.subscribe({ next: stream, error: ignore });
};
/** A client whose streams a proxy passes on, and that are refused once the proxy has read and passed on what came with them. */
async function proxied(make: () => Protocol, refuse: (stream: Stream) => void): Promise<Provider> {
  const [client, proxyIn] = await pair(make());
  const [proxyOut, backend] = await pair(make());
  serve(proxyIn, (down) => {
    const up = proxyOut.newStream(down.headers);
    down.accept(up.reply);
    join(down, up).catch(ignore);
  });
  serve(backend, (stream) => {
    void proxyOut.ping().then(() => refuse(stream));
  });
  return client;
}

/** Reads, and so accepts, and resets in the same turn. */
const readAndReset =
  (read: (bytes: number) => void) =>
  (stream: Stream): void => {
    stream.data$.subscribe({
      next: (chunk) => {
        read(chunk.byteLength);
        stream.reset('refused');
      },
      error: ignore,
    });
  };

/** What each of them has for `refused`. */
const refused: Readonly<Record<string, number>> = { framer: 4, http2: 7, spdy: 3, ssh: 4 };

describe.each(Object.entries(protocols))('over %s', (name, make) => {
  it('a stream that was read and then reset is no refusal, whatever the code', async () => {
    const [client, server] = await pair(make());
    let bytes = 0;
    serve(
      server,
      readAndReset((more) => {
        bytes += more;
      }),
    );
    const stream = client.newStream();
    stream.send('pay 100').catch(ignore);
    await expect(stream.closed).rejects.toMatchObject({ code: 'reset', reset: 'refused', retryable: false });
    await expect(stream.reply).resolves.toEqual(expect.anything());
    expect(bytes).toBe(7);
  });

  it('a span does not open it again on another connection', async () => {
    const pairs = [await pair(make()), await pair(make())];
    const paid: number[] = [];
    for (const [, server] of pairs)
      serve(
        server,
        readAndReset((bytes) => paid.push(bytes)),
      );
    const spanned = span(
      pairs.map(([client]) => client),
      { pick: 'primary' },
    );
    const stream = spanned.newStream();
    stream.send('pay 100').catch(ignore);
    await expect(stream.closed).rejects.toMatchObject({ code: 'reset', retryable: false });
    expect(paid).toEqual([7]);
    spanned.abort();
  });

  it('an acceptance with headers arrives, and then the reset of the same turn', async () => {
    const [client, server] = await pair(make());
    serve(server, (accepted) => {
      accepted.accept({ ok: 'yes' });
      accepted.reset(1234);
    });
    const stream = client.newStream();
    expect((await stream.reply).get('ok')).toBe('yes');
    await expect(stream.closed).rejects.toMatchObject({ code: 'reset', reset: 1234, remote: true });
  });

  it('observers hear of a stream before what came with its opening', async () => {
    const [client, server] = await pair(make());
    const told: string[] = [];
    server.events$.subscribe((event) => 'stream' in event && told.push(event.type));
    serve(server, (accepted) => void accepted.send(accepted.data$).catch(ignore));
    const stream = client.newStream();
    stream.send('x').catch(ignore);
    await collect(stream);
    await stream.closed;
    const bare = client.newStream();
    bare.end().catch(ignore);
    await collect(bare);
    await client.ping();
    const second = told.indexOf('close') + 1;
    expect([told[0], told[second]]).toEqual(['accept', 'accept']);
    expect(told.toSorted()).toEqual('accept accept close close end end end end reply reply'.split(' '));
    expect(told.slice(0, second).filter((type) => type === 'end').length).toBe(2);
  });

  it('who resets a stream when he hears of it is not given it', async () => {
    const [client, server] = await pair(make());
    server.events$.subscribe((event) => event.type === 'accept' && event.stream.reset('cancel'));
    const given: Stream[] = [];
    serve(server, (accepted) => given.push(accepted));
    const stream = client.newStream();
    stream.send('x').catch(ignore);
    await expect(stream.closed).rejects.toMatchObject({ reset: 'cancel' });
    await client.ping();
    expect([given, server.streams.size]).toEqual([[], 0]);
  });

  it('trailers that are asked for after a stop are none, whatever has happened by then', async () => {
    const [client, server] = await pair(make());
    serve(server, (accepted) => {
      accepted.send('hello').catch(ignore);
      accepted.data$.subscribe({ error: ignore });
    });
    const stream = client.newStream();
    await stream.read();
    stream.stop();
    expect(await stream.trailers).toBeUndefined();
    const other = client.newStream();
    await other.read();
    other.stop();
    await other.end();
    await other.closed.catch(ignore);
    expect(await other.trailers).toBeUndefined();
  });

  it('who answers with a promise reads meanwhile, as much as comes', async () => {
    const [client, server] = await pair(make());
    let answer: (headers: Record<string, string>) => void = ignore;
    const received = new Promise<number>((resolve) => {
      serve(server, (accepted) => {
        accepted.accept(
          new Promise((settle) => {
            answer = settle;
          }),
        );
        void collect(accepted).then(({ byteLength }) => resolve(byteLength));
        accepted.send('done').catch(ignore);
      });
    });
    const stream = client.newStream();
    const sent = stream.send(new Uint8Array(10_000));
    expect(await received).toBe(10_000);
    await sent;
    let isAnswered = false;
    void stream.reply.then(() => {
      isAnswered = true;
    });
    await client.ping();
    expect(isAnswered).toBe(false);
    answer({ late: 'yes' });
    expect((await stream.reply).get('late')).toBe('yes');
    expect((await collect(stream)).byteLength).toBe(4);
    await stream.closed;
  });

  it('a proxy passes on the refusal of a stream that it reads already, with its headers and whether to try again', async () => {
    const client = await proxied(make, (stream) => stream.reject('internal-error', { why: 'too late' }));
    const stream = client.newStream();
    stream.send(new Uint8Array(10_000)).catch(ignore);
    const error = await stream.reply.catch((reason: StreamError) => reason);
    expect(error).toMatchObject({ code: 'refused', reset: 'internal-error', remote: true, retryable: false });
    expect((error as StreamError).headers?.get('why')).toBe('too late');
  });

  it.each([true, false])(
    'what was read is not opened again if the connection is given up, promised: %s',
    async (isPromised) => {
      const pairs = [await pair(make()), await pair(make())];
      const paid: number[] = [];
      for (const [, server] of pairs) {
        serve(server, (stream) => {
          if (isPromised) stream.accept(new Promise(() => {}));
          stream.data$.subscribe({
            next: ({ byteLength }) => {
              paid.push(byteLength);
              server.abort();
            },
            error: ignore,
          });
        });
      }
      const spanned = span(
        pairs.map(([client]) => client),
        { pick: 'primary' },
      );
      const stream = spanned.newStream();
      stream.send('pay 100').catch(ignore);
      await expect(stream.closed).rejects.toMatchObject({ retryable: false });
      expect(paid).toEqual([7]);
      spanned.abort();
    },
  );

  it('nor if it is reset by who has promised an answer', async () => {
    const [client, server] = await pair(make());
    serve(server, (stream) => {
      stream.accept(new Promise(() => {}));
      stream.data$.subscribe({ next: () => stream.reset('refused'), error: ignore });
    });
    const stream = client.newStream();
    stream.send('pay 100').catch(ignore);
    await expect(stream.closed).rejects.toMatchObject({ retryable: false, remote: true });
  });

  const never = new Promise<never>(() => {});
  const ways: Readonly<Record<string, (stream: Stream, done: () => void) => void>> = {
    'its promise is broken': (stream, done) => {
      const work = async (): Promise<never> => {
        await collect(stream);
        done();
        throw new Error('the printer is down');
      };
      stream.accept(work());
    },
    'it is rejected': (stream, done) => {
      void collect(stream.accept(never))
        .then(done)
        .then(() => stream.reject());
    },
    'it is rejected with a number': (stream, done) => {
      void collect(stream.accept(never))
        .then(done)
        .then(() => stream.reject(refused[name]));
    },
    'it is reset with a number': (stream, done) => {
      void collect(stream.accept(never))
        .then(done)
        .then(() => stream.reset(refused[name]));
    },
    'it is reset': (stream, done) => {
      void collect(stream.accept(never))
        .then(done)
        .then(() => stream.reset('refused'));
    },
  };
  it.each(Object.keys(ways).flatMap((way) => ['pay 100', ''].map((body) => [way, body] as const)))(
    'is not opened again elsewhere after it was read, and %s: "%s"',
    async (way, body) => {
      const pairs = [await pair(make()), await pair(make())];
      let times = 0;
      for (const [, server] of pairs) serve(server, (stream) => ways[way]?.(stream, () => times++));
      const spanned = span(
        pairs.map(([client]) => client),
        { pick: 'primary' },
      );
      const stream = spanned.newStream();
      stream.send(body).catch(ignore);
      const code = way.startsWith('it is reset') ? expect.any(String) : 'refused';
      await expect(stream.closed).rejects.toMatchObject({ code, retryable: false, remote: true });
      expect(times).toBe(1);
      spanned.abort();
    },
  );

  it('a proxy passes on a refusal that is not retryable as that, though it has read nothing', async () => {
    const [client, server] = await pair(make());
    const error = new StreamError('refused', 'done, and not wanted', { reset: 'refused', remote: true });
    serve(server, (stream) => void stream.accept(Promise.reject(error)));
    const stream = client.newStream();
    await expect(stream.closed).rejects.toMatchObject({ code: 'refused', retryable: false });
  });

  /** How an error of the proxy's stream comes to the one that waits for it. */
  const proxies: Readonly<Record<string, (server: Provider, fail: () => Promise<never>) => void>> = {
    'a promised answer': (server, fail) => serve(server, (stream) => void stream.accept(fail())),
    'handle()': (server, fail) => serve(server.pipe(handle(fail)), ignore),
    'intercept()': (server, fail) => serve(server.pipe(intercept({ accept: fail })), ignore),
    'intercept() above another': (server, fail) =>
      serve(
        server.pipe(
          intercept({ accept: (stream) => new ForwardingStream(stream) }),
          intercept({ accept: fail }),
        ),
        ignore,
      ),
    'an observer': (server, fail) => serve(server, (stream) => void from(fail()).subscribe(stream)),
    'an observer before a promised answer': (server, fail) =>
      serve(server, (stream) => void from(fail()).subscribe(stream.accept(never))),
  };
  const upstream: readonly (readonly [said: string, reset: ResetCode])[] = [
    ['refused', 'refused'],
    ['a number that is refused here', refused[name] as number],
  ];
  describe.each(Object.keys(proxies))('a proxy by %s', (way) => {
    it.each(upstream)(
      'has nothing done again that was done, whatever it was reset with: %s',
      async (_said, reset) => {
        const pairs = [await pair(make()), await pair(make())];
        let times = 0;
        const fail = async (): Promise<never> => {
          times++;
          throw new StreamError('reset', 'done, and then reset', { remote: true, reset });
        };
        for (const [, server] of pairs) proxies[way]?.(server, fail);
        const spanned = span(
          pairs.map(([client]) => client),
          { pick: 'primary' },
        );
        await expect(spanned.newStream().closed).rejects.toMatchObject({ retryable: false, remote: true });
        expect(times).toBe(1);
        spanned.abort();
      },
    );
  });

  it.each(['a promised answer', 'handle()', 'intercept()', 'intercept() above another'])(
    'a proxy by %s passes on that nothing was done',
    async (way) => {
      const [client, server] = await pair(make());
      proxies[way]?.(server, async () => {
        const details = { remote: true, reset: 'refused', retryable: true } as const;
        throw new StreamError('refused', 'no more streams are taken', details);
      });
      await expect(client.newStream().closed).rejects.toMatchObject({ code: 'refused', retryable: true });
    },
  );

  it('a proxy passes on a refusal as retryable though it has read what it passed on', async () => {
    const client = await proxied(make, (stream) => stream.reject());
    const stream = client.newStream();
    stream.send('pay 100').catch(ignore);
    await expect(stream.closed).rejects.toMatchObject({ code: 'refused', retryable: true });
  });

  it('a promise that is not kept after something was read refuses', async () => {
    const [client, server] = await pair(make());
    let deny: (error: Error) => void = ignore;
    const read = new Promise<void>((resolve) => {
      serve(server, (accepted) => {
        accepted.accept(
          new Promise((_, reject) => {
            deny = reject;
          }),
        );
        accepted.data$.subscribe({ next: () => resolve(), error: ignore });
      });
    });
    const stream = client.newStream();
    stream.write('something').catch(ignore);
    await read;
    deny(new Error('no'));
    await expect(stream.reply).rejects.toMatchObject({ code: 'refused', remote: true });
    await expect(stream.closed).rejects.toMatchObject({ code: 'refused' });
  });
});

describe('send()', () => {
  const wrong: readonly (readonly [object, RegExp])[] = [
    [{ overflow: 'nonsense' }, /nonsense/],
    [{ maxBuffered: Number.NaN }, /NaN/],
    [{ maxBuffered: -1 }, /-1/],
    [{ maxBuffered: 'much' }, /much/],
  ];
  it.each(wrong)('with options that cannot be throws at once: %o', async (options, message) => {
    const [client] = await pair(framer);
    const stream = client.newStream();
    expect(() => stream.send(new Subject<Uint8Array>(), options as SendOptions)).toThrow(message);
  });
});

describe.each(Object.entries(protocols))('over %s, a promise for the answer', (_name, make) => {
  it('may be rejected once the opener has gone', async () => {
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    const [client, server] = await pair(make());
    const accepted = server.accept();
    const opener = client.newStream({ path: '/' });
    const stream = (await accepted) as Stream;
    opener.reset('cancel');
    await expect(stream.closed).rejects.toMatchObject({ code: 'reset', remote: true });
    expect(stream.accept(Promise.reject(new Error('no such user')))).toBe(stream);
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });
});

import { ForwardingStream, handle, intercept, limit, type Provider, type Stream, StreamError } from 'rxmux';
import { each, turn, until } from '../conformance/wait.js';
import { finish, textOf, two } from './ends.js';

const accepted = handle(() => ({ accept: true }));

async function failureOf(promise: Promise<unknown>): Promise<StreamError> {
  const error = await promise.catch((reason: unknown) => reason);
  if (!StreamError.is(error)) throw new Error(`no StreamError: ${String(error)}`);
  return error;
}

/** Opens a stream whose bytes are there before any hook above is asked. */
async function openEarly(client: Provider, server: Provider): Promise<Stream> {
  const stream = client.newStream();
  void stream.send('hello').catch(() => {});
  await until(() => server.streams.get(stream.id)?.stats.queuedIn === 5, 'its bytes are here');
  return stream;
}

describe('intercept above what was accepted', () => {
  /** What a hook does with a stream before it answers null, and how it goes on with it. */
  const uses: Record<string, (stream: Stream) => Promise<unknown> | undefined> = {
    'reads what is there, and goes on later': (stream) => {
      const serve = async (): Promise<void> => {
        const first = await stream.read();
        await turn();
        await stream.send(first ?? '');
      };
      void serve();
      return undefined;
    },
    'has read a part': async (stream) => {
      const first = await stream.read();
      void turn().then(() => stream.send(first ?? ''));
    },
    'has read all of it': async (stream) => {
      const text = await textOf(stream);
      void turn().then(() => stream.send(text));
    },
    'has stopped it': (stream) => {
      stream.stop();
      void turn().then(() => stream.send('hello'));
      return undefined;
    },
    'pipes it': (stream) => {
      void stream.readable.pipeTo(stream.writable);
      return undefined;
    },
    'has a reader of its readable': (stream) => {
      const reader = stream.readable.getReader();
      void turn().then(async () => stream.send((await reader.read()).value ?? ''));
      return undefined;
    },
    'pipes into it': (stream) => {
      void new Blob(['hello']).stream().pipeTo(stream.writable);
      return undefined;
    },
  };
  it.each(Object.keys(uses))('leaves to its hook a stream of which that %s', async (how) => {
    const { client, server } = two();
    const stream = await openEarly(client, server);
    const guarded = server.pipe(
      accepted,
      intercept({
        accept: (given) => {
          const using = uses[how]?.(given);
          return using === undefined ? null : using.then(() => null);
        },
      }),
    );
    each(guarded.accept$);
    expect(await textOf(stream)).toBe('hello');
    await finish(client, server);
  });

  it('leaves to its hook a stream without bytes whose end that has read', async () => {
    const { client, server } = two();
    const stream = client.newStream();
    void stream.end();
    await until(() => server.streams.get(stream.id)?.state !== 'opening', 'its end is here');
    const guarded = server.pipe(
      accepted,
      intercept({
        accept: async (given) => {
          expect(await given.read()).toBe(null);
          void turn().then(() => given.send('hello'));
          return null;
        },
      }),
    );
    each(guarded.accept$);
    expect(await textOf(stream)).toBe('hello');
    await finish(client, server);
  });

  const beneath: Record<string, (stream: Stream) => Stream> = {
    'reads on its own': (stream) => {
      stream.accept().data$.subscribe({ error: () => {} });
      return new ForwardingStream(stream);
    },
    'has stopped it': (stream) => {
      stream.accept().stop();
      return stream;
    },
    'looks on': (stream) => {
      void stream.accept().trailers.catch(() => {});
      return stream;
    },
  };
  it.each(Object.keys(beneath))(
    'resets what it vetoes later, however much has come meanwhile, where the operator beneath %s',
    async (how) => {
      const { client, server } = two();
      const guarded = server.pipe(
        intercept({ accept: (stream) => beneath[how]?.(stream) ?? null }),
        intercept({
          accept: async (stream) => {
            void opened.write('hello').catch(() => {});
            await until(() => stream.stats.bytesIn === 5, 'its bytes are here');
            return null;
          },
        }),
      );
      each(guarded.accept$);
      const opened = client.newStream();
      expect(await failureOf(opened.closed)).toMatchObject({ code: 'reset', reset: 'refused' });
      expect(server.streams.size).toBe(0);
      await finish(client, server);
    },
  );

  it('takes nothing done beneath for a use by limit()', async () => {
    const { client, server } = two();
    const limited = server.pipe(
      intercept({
        accept: (stream) => {
          stream.accept().writable.getWriter();
          return stream;
        },
      }),
      limit({ streams: 0 }),
    );
    each(limited.accept$);
    expect(await failureOf(client.newStream().closed)).toMatchObject({ code: 'reset', reset: 'refused' });
    await finish(client, server);
  });

  it.each(['text', { stream: 1 }, null])(
    'serves a stream of the application whose own `inner` is %j',
    async (inner) => {
      const { client, server } = two();
      const own = (stream: Stream): Stream =>
        new Proxy(stream, {
          get: (target, key) => {
            const value: unknown = key === 'inner' ? inner : Reflect.get(target, key, target);
            return typeof value === 'function' ? value.bind(target) : value;
          },
        });
      const served = server.pipe(
        intercept({ accept: (stream) => own(stream.accept()) }),
        intercept({ accept: (stream) => stream }),
        limit({ perStream: { rate: 1e6 }, idleMs: 1000 }),
      );
      const serving = new Promise<void>((resolve) => {
        served.accept$.subscribe({ next: (stream) => resolve(stream.send('hello')), error: () => {} });
      });
      const stream = client.newStream();
      void stream.end();
      expect(await textOf(stream)).toBe('hello');
      await serving;
      await finish(client, server);
    },
  );
});

import { execFile } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { join as joinPath } from 'node:path';
import { promisify } from 'node:util';
import { firstValueFrom, from, lastValueFrom, Observable, Subject, toArray } from 'rxjs';
import {
  type ByteSource,
  framer,
  hold,
  join,
  type Limits,
  memoryPair,
  type Provider,
  type Stream,
  type SubscribableLike,
} from 'rxmux';
import { trackPair, trackProvider } from '../support/leaks.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function turns(count: number): Promise<void> {
  for (let at = 0; at < count; at++) await turn();
}

async function withPair(
  body: (client: Provider, server: Provider) => Promise<void>,
  limits: Partial<Limits> = {},
): Promise<void> {
  const [near, far] = memoryPair();
  const client = framer(near, { role: 'client', limits });
  const server = framer(far, { role: 'server', limits });
  trackPair([client, server]);
  try {
    await body(client, server);
  } finally {
    client.abort();
    server.abort();
    await turns(3);
  }
}

const ignore = (): void => {};

/** What a program prints, in the order of letters; in a process of its own, since what it throws is nobody's to handle. */
async function linesOf(program: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
    cwd: joinPath(import.meta.dirname, '../..'),
    timeout: 10_000,
  });
  return stdout.trim().split('\n').sort();
}

describe('what others stumbled over', () => {
  test('a server that answers without reading goes on for ever', async () => {
    await withPair(async (client, server) => {
      server.accept$.subscribe({ next: (stream) => stream.send('404'), error: ignore });
      for (let count = 0; count < 40; count++) {
        const stream = client.newStream();
        const sent = stream.send(new Uint8Array(200_000));
        expect(Buffer.from((await stream.read()) as Uint8Array).toString()).toBe('404');
        await sent;
        expect(await stream.read()).toBeNull();
      }
    });
  });

  test('a reader that holds after it has left holds up nobody', async () => {
    await withPair(async (client, server) => {
      const releases: (() => void)[] = [];
      const first = server.accept$.subscribe(() => {
        first.unsubscribe();
        releases.push(hold());
      });
      await client.newStream().write('one');
      while (releases.length === 0) await turn();
      const second = firstValueFrom(server.accept$);
      releases[0]?.();
      await client.newStream().write('two');
      expect((await second).id).toBe(3);
    });
  });

  test('ten unread streams leave an eleventh its way', async () => {
    await withPair(async (client, server) => {
      const accepted: Stream[] = [];
      server.accept$.subscribe({ next: (stream) => accepted.push(stream), error: ignore });
      for (let count = 0; count < 10; count++) void client.newStream().send(new Uint8Array(1_000_000));
      await turns(50);
      const last = client.newStream();
      const sent = last.send(new Uint8Array(3_000_000));
      while (accepted.length < 11) await turn();
      let count = 0;
      for await (const chunk of accepted[10] as Stream) count += chunk.byteLength;
      await sent;
      expect(count).toBe(3_000_000);
    });
  });

  test('what waits for the windows of others leaves a source its way', async () => {
    await withPair(async (client, server) => {
      const accepted: Stream[] = [];
      server.accept$.subscribe({ next: (stream) => accepted.push(stream), error: ignore });
      for (let count = 0; count < 5; count++) void client.newStream().send(new Uint8Array(1_000_000));
      await turns(50);
      const sent = client.newStream().send(Array.from({ length: 100 }, () => new Uint8Array(10_000)));
      while (accepted.length < 6) await turn();
      let count = 0;
      for await (const chunk of accepted[5] as Stream) count += chunk.byteLength;
      await sent;
      expect(count).toBe(1_000_000);
    });
  });

  test.each([
    ['a reset', (stream: Stream) => stream.reset('cancel')],
    ['a stop', (stream: Stream) => stream.stop()],
  ])('%s ends a send() whose source is silent, and closes the source', async (_what, end) => {
    await withPair(async (client, server) => {
      let closed = false;
      const silent = new ReadableStream<string>({
        start: (controller) => controller.enqueue('first'),
        cancel: () => {
          closed = true;
        },
      });
      const sent = client.newStream().send(silent);
      const failed = expect(sent).rejects.toMatchObject({ name: 'StreamError' });
      const accepted = (await server.accept()) as Stream;
      await accepted.read();
      end(accepted);
      await failed;
      await turns(3);
      expect(closed).toBe(true);
    });
  });

  test('two sources at once both learn of a reset', async () => {
    await withPair(async (client) => {
      const stream = client.newStream();
      const [one, other] = [new Subject<string>(), new Subject<string>()];
      const first = stream.send(one, { end: false });
      const second = stream.send(other, { end: false });
      other.complete();
      await second;
      stream.reset();
      await expect(first).rejects.toMatchObject({ code: 'reset' });
      expect(one.observed).toBe(false);
    });
  });

  test('an abort that comes after the bytes does not lose them', async () => {
    await withPair(async (client, server) => {
      const stream = client.newStream();
      await stream.write('kept');
      const accepted = (await server.accept()) as Stream;
      const abort = new AbortController();
      const other = client.newStream();
      const otherAccepted = server.accept();
      await other.write('x');
      const second = (await otherAccepted) as Stream;
      await accepted.read();
      second.data$.subscribe({ next: () => abort.abort(), error: ignore });
      await turns(3);
      const controller = new AbortController();
      const reading = accepted.read({ signal: controller.signal });
      const settled = reading.then(
        (chunk) => Buffer.from(chunk as Uint8Array).toString(),
        () => 'aborted',
      );
      const seen: string[] = [];
      second.state$.subscribe();
      void stream.write('second');
      void other.write('y');
      second.stop();
      await turns(2);
      controller.abort();
      seen.push(await settled);
      expect(seen).toEqual(['second']);
    });
  });

  test('a cold source inside accept$ does not hold acceptance', async () => {
    await withPair(async (client, server) => {
      const seen: Stream[] = [];
      const chunks = Array.from({ length: 20 }, () => new Uint8Array(65_536));
      server.accept$.subscribe({
        next: (stream) => {
          seen.push(stream);
          stream.send(from(chunks), { overflow: 'unbounded' }).catch(ignore);
        },
        error: ignore,
      });
      for (let count = 0; count < 3; count++) await client.newStream().write('x');
      await turns(20);
      expect(seen).toHaveLength(3);
    });
  });

  test('close() with a stream in the backlog that is answered already', async () => {
    await withPair(async (client, server) => {
      const stream = client.newStream();
      await stream.write('x');
      while (server.streams.size === 0) await turn();
      const early = [...server.streams.values()][0] as Stream;
      early.accept();
      const closing = server.close();
      await early.end();
      await stream.end();
      for await (const _ of early);
      for await (const _ of stream);
      await closing;
    });
  });

  test('a reader that resets its stream when reading fails is told once', async () => {
    await withPair(async (client, server) => {
      const events: string[] = [];
      client.events$.subscribe(({ type }) => events.push(type));
      const stream = client.newStream();
      stream.data$.subscribe(stream);
      await stream.write('x');
      await firstValueFrom(server.accept$);
      stream.reset();
      await turns(3);
      expect(events.filter((type) => type === 'reset')).toHaveLength(1);
    });
  });

  test('chunks that wait behind a held one do not change it', async () => {
    await withPair(async (client, server) => {
      const stream = client.newStream();
      const got: Uint8Array[] = [];
      const releases: (() => void)[] = [];
      server.accept$.subscribe({
        next: (accepted) =>
          accepted.data$.subscribe({
            next: (chunk) => {
              got.push(chunk);
              releases.push(hold());
            },
            error: ignore,
          }),
        error: ignore,
      });
      for (const piece of ['1', '2', '3']) {
        await stream.write(piece);
        await turns(3);
      }
      releases.shift()?.();
      for (const piece of ['4', '5', '6']) {
        await stream.write(piece);
        await turns(3);
      }
      while (releases.length > 0) releases.shift()?.();
      await turns(3);
      expect(Buffer.concat(got).toString()).toBe('123456');
    });
  });

  test('one signal for many streams and connections is listened to once, and not for ever', async () => {
    const abort = new AbortController();
    const { signal } = abort;
    await withPair(async (client, server) => {
      const short = client.newStream({}, { signal });
      short.reset();
      expect(getEventListeners(signal, 'abort')).toEqual([]);
      const streams = Array.from({ length: 20 }, () => client.newStream({}, { signal }));
      const waiting = [
        server.accept({ signal }),
        client.ping({ signal }),
        ...streams.map((one) => one.read({ signal })),
      ];
      const connections = Array.from({ length: 20 }, () => framer(memoryPair()[0], { signal }));
      expect(getEventListeners(signal, 'abort')).toHaveLength(1);
      abort.abort(new Error('enough'));
      await Promise.allSettled(waiting);
      for (const { closed } of [...streams, ...connections]) {
        await expect(closed).rejects.toMatchObject({ cause: signal.reason });
      }
      expect(getEventListeners(signal, 'abort')).toEqual([]);
    });
  });

  test.each(['pulled', 'pushed'])('a source that an end has overtaken is told so: %s', async (how) => {
    const limits = { windowBytes: 8192, maxWindowBytes: 8192 };
    await withPair(async (client, server) => {
      const [stream, other] = [client.newStream(), client.newStream()];
      const [served, sending] = [await server.accept(), await server.accept()];
      served?.accept();
      void sending?.accept().send(new Uint8Array(1_000_000));
      function* endless(): Generator<Uint8Array> {
        for (;;) yield new Uint8Array(4096);
      }
      const sent = stream.send(how === 'pulled' ? endless() : other.data$, { end: false });
      await turns(10);
      expect(stream.stats.sendWindow).toBe(0);
      void stream.end();
      if (how === 'pushed') for (let count = 0; count < 2; count++) await served?.read();
      await expect(sent).rejects.toMatchObject({ code: 'ended' });
    }, limits);
  });

  test.each([
    [1, 'the connection was lost, streams open: 1'],
    [2, 'the connection was lost, streams open: 2'],
  ])('a loss counts its streams: %i', async (count, message) => {
    const [near, far] = memoryPair();
    const client = trackProvider(framer(near));
    for (let opened = 0; opened < count; opened++) client.newStream();
    far.start({ onData: ignore, onEnd: ignore, onDrain: ignore, onClose: ignore });
    far.destroy();
    await expect(client.closed).rejects.toMatchObject({ message });
  });

  test('a write into a window that is exactly used up is a stall', async () => {
    await withPair(
      async (client, server) => {
        const events: string[] = [];
        client.events$.subscribe(({ type }) => events.push(type));
        const stream = client.newStream();
        const accepted = (await server.accept())?.accept();
        await stream.reply;
        await stream.write(new Uint8Array(8192));
        await turns(3);
        expect([stream.stats.sendWindow, events.includes('stall')]).toEqual([0, false]);
        void stream.write('x');
        expect([stream.stats.blockedOn, events.includes('stall')]).toEqual(['window', true]);
        await accepted?.read();
        await turns(3);
        expect([stream.stats.blockedOn, events.filter((type) => type === 'resume').length]).toEqual([
          null,
          1,
        ]);
      },
      { windowBytes: 8192, maxWindowBytes: 8192 },
    );
  });

  test('a reader of accept$ that left holds up nobody, even if it lets go later', async () => {
    await withPair(async (client, server) => {
      let release: () => void = ignore;
      const seen: Stream[] = [];
      const first = server.accept$.subscribe({
        next: () => {
          release = hold();
        },
        error: ignore,
      });
      for (let count = 0; count < 3; count++) client.newStream();
      await turns(5);
      first.unsubscribe();
      let releaseSecond: () => void = ignore;
      server.accept$.subscribe({
        next: (stream) => {
          seen.push(stream);
          releaseSecond = hold();
        },
        error: ignore,
      });
      await turns(5);
      expect(seen.map(({ id }) => id)).toEqual([3]);
      release();
      await turns(5);
      expect(seen).toHaveLength(1);
      releaseSecond();
      await turns(5);
      expect(seen.map(({ id }) => id)).toEqual([3, 5]);
    });
  });

  test('a reader that throws stops neither its connection nor other readers', async () => {
    const program = `
      import { Subscriber } from 'rxjs';
      import { framer, memoryPair } from 'rxmux';
      class Thrower extends Subscriber {
        _next() { throw new Error('thrown by the reader'); }
      }
      process.on('uncaughtException', (error) => console.log(error.message));
      const [near, far] = memoryPair();
      const client = framer(near);
      framer(far, { role: 'server' }).accept$.subscribe((stream) => stream.send('answer'));
      const streams = [client.newStream(), client.newStream()];
      await Promise.all(streams.map((stream) => stream.reply));
      await client.ping();
      const third = client.newStream();
      streams[0].data$.subscribe(new Thrower());
      streams[1].data$.subscribe((chunk) => console.log(Buffer.from(chunk).toString()));
      await third.reply;
      console.log('the connection goes on');
      await new Promise((resolve) => setTimeout(resolve, 5));
      process.exit(0);
    `;
    expect(await linesOf(program)).toEqual(['answer', 'the connection goes on', 'thrown by the reader']);
  }, 20_000);

  test('a reset by whoever hears of a stall holds up nobody', async () => {
    await withPair(
      async (client, server) => {
        const near = client.newStream();
        const far = (await server.accept()) as Stream;
        far.accept();
        await near.reply;
        void near.write(new Uint8Array(near.stats.sendWindow ?? 0));
        await turns(3);
        client.events$.subscribe((event) => {
          if (event.type === 'stall' && event.stream === near) near.reset();
        });
        near.closed.catch(ignore);
        const upstream = client.newStream();
        const source = (await server.accept()) as Stream;
        source.accept();
        let chunks = 0;
        let complete = false;
        source.data$.subscribe({
          next: (chunk) => {
            chunks++;
            near.next(chunk);
          },
          complete: () => {
            complete = true;
          },
        });
        for (let count = 0; count < 5; count++) {
          await upstream.write('chunk');
          await turns(2);
        }
        await upstream.end();
        await turns(3);
        expect([chunks, complete]).toEqual([5, true]);
      },
      { windowBytes: 1000 },
    );
  });

  test('trailers said right behind a source that has ended are sent', async () => {
    await withPair(async (client, server) => {
      const near = client.newStream();
      const sent = near.send(['a', 'b']);
      const ended = near.end({ sum: '2' });
      const far = (await server.accept()) as Stream;
      expect(Buffer.concat(await lastValueFrom(far.data$.pipe(toArray()))).toString()).toBe('ab');
      expect((await far.trailers)?.get('sum')).toBe('2');
      await Promise.all([sent, ended]);
      await expect(near.end({ more: '3' })).rejects.toMatchObject({ code: 'ended' });
    });
  });

  test('a source whose teardown throws has been sent all the same', async () => {
    await withPair(async (client, server) => {
      const teardown = jest.fn(() => {
        throw new Error('of the teardown');
      });
      // What a teardown throws is its own Observable's to report.
      const source: SubscribableLike<string> = {
        subscribe: (observer) => {
          void Promise.resolve().then(() => {
            observer.next?.('all');
            try {
              observer.complete?.();
            } catch {}
          });
          return { unsubscribe: teardown };
        },
      };
      const near = client.newStream();
      const sent = near.send(source);
      const far = (await server.accept()) as Stream;
      expect(Buffer.concat(await lastValueFrom(far.data$.pipe(toArray()))).toString()).toBe('all');
      await sent;
      expect(teardown).toHaveBeenCalledTimes(1);
    });
  });

  test('a source whose teardown throws at a reset keeps nothing from ending', async () => {
    const program = `
      import { Observable } from 'rxjs';
      import { framer, memoryPair } from 'rxmux';
      process.on('unhandledRejection', ({ name }) => console.log(name));
      const [near, far] = memoryPair();
      const client = framer(near);
      framer(far, { role: 'server' }).accept$.subscribe({ error() {} });
      const stream = client.newStream();
      const source = (teardown) => new Observable(() => teardown);
      const thrower = () => { throw new Error('of the teardown'); };
      const sent = [source(thrower), source(() => console.log('torn down'))].map((one) =>
        stream.send(one, { end: false }));
      stream.reset('cancel');
      for (const one of sent) await one.catch(({ code }) => console.log(code));
      console.log(stream.state + ', open ' + client.streams.size);
      setImmediate(() => process.exit(0));
    `;
    expect(await linesOf(program)).toEqual([
      'UnsubscriptionError',
      'reset',
      'reset',
      'reset, open 0',
      'torn down',
    ]);
  }, 20_000);

  test('a transport that throws is lost, and its streams with it', async () => {
    const [near, far] = memoryPair();
    const client = framer(near, { role: 'client' });
    const server = framer(far, { role: 'server' });
    trackPair([client, server]);
    await client.ping();
    const cause = new Error('of the transport');
    near.write = () => {
      throw cause;
    };
    const stream = client.newStream();
    void stream.send('a');
    await expect(stream.closed).rejects.toMatchObject({ code: 'closed', cause });
    await expect(client.closed).rejects.toMatchObject({ code: 'closed', cause });
    await expect(server.closed).rejects.toMatchObject({ code: 'closed' });
  });

  test('a source that throws nothing at all has failed', async () => {
    await withPair(async (client, server) => {
      server.accept$.subscribe({ error: ignore });
      const near = client.newStream();
      const sent = near.send(
        (function* () {
          yield 'a';
          // biome-ignore lint/style/useThrowOnlyError: that it is none is the point.
          throw undefined;
        })(),
      );
      await expect(sent).rejects.toBeUndefined();
      await expect(near.closed).rejects.toMatchObject({ reset: 'internal-error' });
    });
  });

  test('a source that nobody wants is closed, whatever it is and why', async () => {
    await withPair(async (client, server) => {
      server.accept$.subscribe({ next: (stream) => void stream.accept(), error: ignore });
      const closed: string[] = [];
      const sources = (why: string): ByteSource[] => [
        new ReadableStream({ cancel: () => void closed.push(`${why}: stream`) }),
        {
          next: () => Promise.resolve({ done: false, value: 'a' }),
          return: () => {
            closed.push(`${why}: iterator`);
            return Promise.resolve({ done: true, value: undefined });
          },
          [Symbol.asyncIterator]() {
            return this;
          },
        } as unknown as AsyncIterable<Uint8Array>,
        new Observable<Uint8Array>(() => () => closed.push(`${why}: observable`)),
      ];
      const reset = client.newStream();
      reset.reset();
      const ended = client.newStream();
      void ended.end();
      for (const [why, stream, code] of [
        ['reset', reset, 'reset'],
        ['ended', ended, 'ended'],
      ] as const) {
        for (const source of sources(why)) await expect(stream.send(source)).rejects.toMatchObject({ code });
      }
      const reason = new Error('no more');
      for (const source of sources('aborted')) {
        const stream = client.newStream();
        await expect(stream.send(source, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
        await expect(stream.closed).rejects.toMatchObject({ reset: 'cancel' });
      }
      expect(closed).toEqual(
        ['reset', 'ended', 'aborted'].flatMap((why) => [
          `${why}: stream`,
          `${why}: iterator`,
          `${why}: observable`,
        ]),
      );
      // What is said behind the end is the caller's mistake, and the stream is none the worse for it.
      expect(ended.state).not.toBe('reset');
    });
  });

  test('a proxy whose upstream has answered and reads no more tells its client so', async () => {
    await withPair(async (client, server) => {
      await withPair(async (near, far) => {
        far.accept$.subscribe({
          next: (stream) => {
            stream.stop();
            void stream.send('too large');
          },
          error: ignore,
        });
        server.accept$.subscribe({
          next: async (down) => {
            const up = near.newStream();
            down.accept(up.reply);
            // The answer is here before anything is carried.
            await up.reply;
            await turns(10);
            await join(down, up);
          },
          error: ignore,
        });
        const stream = client.newStream();
        const sent = stream.send(new Uint8Array(4 * 1024 * 1024));
        expect(Buffer.from((await stream.read()) as Uint8Array).toString()).toBe('too large');
        expect(await stream.read()).toBeNull();
        await expect(sent).rejects.toMatchObject({ code: 'stopped' });
      });
    });
  });

  test('nobody need listen to what join() gives', async () => {
    await withPair(async (client, server) => {
      const taken = firstValueFrom(server.accept$);
      const [a, b] = [client.newStream(), client.newStream()];
      void join(a, b);
      (await taken).reset();
      await expect(b.closed).rejects.toMatchObject({ code: 'reset' });
    });
  });

  test('a reader that transfers what it was given takes nothing of another silently, and gets more', async () => {
    await withPair(async (client, server) => {
      const streams: Stream[] = [];
      server.accept$.subscribe({ next: (stream) => streams.push(stream.accept()), error: ignore });
      const [a, b] = [client.newStream(), client.newStream()];
      const memory = new ArrayBuffer(4096);
      void a.send(new Uint8Array(memory, 0, 2048), { end: false });
      void b.send(new Uint8Array(memory, 2048));
      await a.reply;
      await b.reply;
      await turns(2);
      const [first, second] = streams as [Stream, Stream];
      const received = first.stats.receiveWindow;
      const chunk = await new Promise<Uint8Array>((resolve) =>
        first.data$.subscribe({
          next: (given) => {
            resolve(structuredClone(given, { transfer: [given.buffer as ArrayBuffer] }));
          },
          error: ignore,
        }),
      );
      expect(chunk.byteLength).toBe(2048);
      expect(first.stats.receiveWindow).toBe(received);
      expect((await second.read())?.byteLength).toBe(2048);
    });
  });

  test('close() is kept, whatever the transport brings behind it', async () => {
    for (const last of ['', 'rxmux']) {
      const [near, far] = memoryPair();
      const client = framer(near, { role: 'client' });
      trackProvider(client);
      far.start({
        onData: ignore,
        onDrain: ignore,
        onClose: ignore,
        // Nothing, or the beginning of something: who has gone away waits for no more.
        onEnd: () => {
          if (last !== '') far.write([new TextEncoder().encode(last)]);
          far.end();
        },
      });
      await expect(client.close()).resolves.toBeUndefined();
    }
  });
});

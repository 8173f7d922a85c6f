/** Receiving: SEMANTICS 1, 2, 3, 5, 7. */

import { share } from 'rxjs';
import {
  collect,
  concat,
  expectPattern,
  expectSame,
  pattern,
  Supply,
  seeded,
  take,
  text,
  utf8,
} from './bytes.js';
import { type Check, link, next, small, smallWindow } from './pair.js';
import { each, fate, pause, steady, streamFailure, turn, until, watch } from './wait.js';

const big = 200_000;

export function dataCases(check: Check): void {
  check('1. what comes before the first subscriber waits in the window, whole', async (ends) => {
    const { a, b } = await link(ends);
    const sent = a.send(pattern(big));
    await until(() => b.stats.queuedIn === big, 'all of it fits the window');
    await sent;
    expectPattern(await collect(b), big);
  });

  check('1. what is sent before accept() arrives whole', async ({ opener, acceptor }) => {
    const a = opener.newStream();
    const sent = a.send(pattern(big));
    const b = await next(acceptor);
    await steady(() => b.stats.queuedIn);
    b.accept();
    await steady(() => b.stats.queuedIn);
    expectPattern(await collect(b), big);
    await sent;
  });

  check(
    '1. never more than the window is kept; the rest waits with the sender',
    { acceptor: small },
    async (ends) => {
      const { a, b } = await link(ends);
      const total = ends.ahead(smallWindow) + big;
      const sending = fate(a.send(pattern(total)));
      await until(() => b.stats.queuedIn > 0, 'something comes');
      expect(await steady(() => b.stats.queuedIn)).toBeLessThanOrEqual(ends.ahead(smallWindow));
      expect(sending.state).toBe('pending');
      expectPattern(await collect(b), total);
      await until(() => sending.state === 'resolved', 'send() resolves');
    },
  );

  check('1. three MiB each way at once come whole, through whatever windows there are', async (ends) => {
    const { a, b } = await link(ends);
    const bytes = pattern(3 << 20);
    const sending = [a.send(bytes), b.send(bytes)];
    const [there, here] = await Promise.all([take(b, bytes.byteLength), collect(a)]);
    expectSame(there, bytes);
    expect(await b.read()).toBeNull();
    expectSame(here, bytes);
    await Promise.all([...sending, a.closed, b.closed]);
  });

  check('1. writes of any size come whole and in order', { acceptor: small }, async (ends) => {
    const { a, b } = await link(ends);
    const random = seeded(7);
    const received = collect(b);
    let total = 0;
    while (total < 300_000) {
      const length = Math.floor(random() ** 4 * 40_000);
      await a.write(pattern(length, total));
      total += length;
    }
    await a.end();
    expectPattern(await received, total);
  });

  check(
    '1. many streams at once keep their bytes apart',
    { acceptor: small, opener: small },
    async (ends) => {
      const { opener, acceptor } = ends;
      const bytes = 40_000;
      const echoing = each(acceptor.accept$, (stream) => void stream.send(stream.data$));
      const echoes = Array.from({ length: 12 }, async (_, number) => {
        const stream = opener.newStream();
        const sent = stream.send([pattern(bytes, number * 1_000_003)]);
        const echo = await collect(stream);
        await sent;
        return echo;
      });
      for (const [number, echo] of (await Promise.all(echoes)).entries()) {
        expectPattern(echo, bytes, number * 1_000_003);
      }
      echoing.unsubscribe();
    },
  );

  check('2. a second reader at the same time is told that data$ is locked', async (ends) => {
    const { a, b } = await link(ends);
    const first = collect(b);
    const second = watch(b.data$);
    await until(() => second.end === 'error', 'the second subscriber gets an error');
    expect(second.error).toMatchObject({ code: 'locked', streamId: b.id, remote: false });
    expect(second.values).toEqual([]);
    expect(await streamFailure(() => b.read())).toMatchObject({ code: 'locked' });
    await a.send(pattern(5000));
    expectPattern(await first, 5000);
  });

  check('2. a waiting read() locks data$ too', async (ends) => {
    const { a, b } = await link(ends);
    const reading = b.read();
    const second = watch(b.data$);
    await until(() => second.end === 'error', 'the subscriber gets an error');
    expect(second.error).toMatchObject({ code: 'locked' });
    await a.send('for read()');
    expect(text(await reading)).toBe('for read()');
  });

  check('2. share() gives every byte to each of its subscribers', { acceptor: small }, async (ends) => {
    const { a, b } = await link(ends);
    void a.send(pattern(100_000));
    await until(() => b.stats.queuedIn > 0, 'bytes wait before anybody subscribes');
    const shared = b.data$.pipe(share());
    const both = [watch(shared), watch(shared)];
    await until(() => both.every(({ end }) => end === 'complete'), 'both complete');
    for (const { values } of both) expectPattern(concat(values), 100_000);
  });

  check('3. delivery starts on the microtask after subscribe, never inside it', async (ends) => {
    const { a, b } = await link(ends);
    await a.write('waiting');
    await until(() => b.stats.queuedIn === 7, 'the bytes are there');
    const received = watch(b.data$);
    expect(received.values.length).toBe(0);
    await Promise.resolve();
    expect(text(concat(received.values))).toBe('waiting');
  });

  check('3. read() takes a preamble, and data$ has the rest', async (ends) => {
    const { a, b } = await link(ends);
    const sent = a.send(['preamble', pattern(50_000)]);
    const head: Uint8Array[] = [];
    let got = 0;
    while (got < 8) {
      const chunk = (await b.read()) ?? utf8('ended too soon');
      head.push(chunk);
      got += chunk.byteLength;
    }
    const rest = await collect(b);
    const all = concat([...head, rest]);
    expect(text(all.subarray(0, 8))).toBe('preamble');
    expectPattern(all.subarray(8), 50_000);
    await sent;
  });

  check(
    '5. subscribing after the end completes at once, and read() is null again and again',
    async (ends) => {
      const { a, b } = await link(ends);
      await a.send('all');
      expect(text(await collect(b))).toBe('all');
      const late = watch(b.data$);
      await turn();
      expect([late.end, late.values.length]).toEqual(['complete', 0]);
      expect([await b.read(), await b.read()]).toEqual([null, null]);
      await b.end();
      await b.closed;
      const later = watch(b.data$);
      await turn();
      expect(later.end).toBe('complete');
    },
  );

  check('5. subscribing after an error gives the same error', async (ends) => {
    const { a, b } = await link(ends);
    const first = watch(b.data$);
    a.reset('cancel');
    await until(() => first.end === 'error', 'the subscriber gets the error');
    const late = watch(b.data$);
    await turn();
    expect(late.error).toBe(first.error);
    await expect(b.read()).rejects.toBe(first.error);
    await expect(b.closed).rejects.toBe(first.error);
  });

  check('7. chunks are the reader’s to keep, whatever else the connection carries', async (ends) => {
    const first = await link(ends);
    const second = await link(ends);
    const total = 400_000;
    const kept = [watch(first.b.data$), watch(second.b.data$)];
    const random = seeded(11);
    const sizes = function* (start: number): Generator<Uint8Array> {
      for (let at = 0; at < total; ) {
        const length = Math.min(total - at, 1 + Math.floor(random() ** 3 * 30_000));
        yield pattern(length, start + at);
        at += length;
      }
    };
    await Promise.all([first.a.send(sizes(0)), second.a.send(sizes(5))]);
    await until(() => kept.every(({ end }) => end === 'complete'), 'both complete');
    expectPattern(concat((kept[0] as (typeof kept)[0]).values), total);
    expectPattern(concat((kept[1] as (typeof kept)[0]).values), total, 5);
  });

  check('7. a reader may write into its chunks, and nobody else sees it', async (ends) => {
    const first = await link(ends);
    const second = await link(ends);
    const source = pattern(60_000);
    const copies: Uint8Array[] = [];
    const mutated = new Promise<void>((resolve) => {
      first.b.data$.subscribe({
        next: (chunk) => {
          copies.push(chunk.slice());
          chunk.fill(255);
        },
        complete: resolve,
      });
    });
    await first.a.send(source);
    await mutated;
    expectPattern(concat(copies), 60_000);
    expectPattern(source, 60_000);
    await second.a.send([source]);
    expectPattern(await collect(second.b), 60_000);
  });

  check('7. overwriting one kept chunk changes no other', async (ends) => {
    const { a, b } = await link(ends);
    const received = watch(b.data$);
    await a.send(new Supply(1500, 90_000).sync());
    await until(() => received.end === 'complete', 'complete');
    const copies = received.values.map((chunk) => chunk.slice());
    for (const [index, chunk] of received.values.entries()) {
      chunk.fill(0);
      copies[index]?.fill(0);
      expect(received.values.every((kept, at) => equal(kept, copies[at]))).toBe(true);
    }
  });

  check('7. a part of a larger array is sent as that part', async (ends) => {
    const { a, b } = await link(ends);
    await a.send(pattern(10_000).subarray(3000, 7000));
    expectPattern(await collect(b), 4000, 3000);
  });

  check('1. an empty chunk is no end', async (ends) => {
    const { a, b } = await link(ends);
    const received = watch(b.data$);
    await a.write(new Uint8Array(0));
    await a.write('');
    await pause(5);
    expect(received.end).toBeNull();
    await a.send(['', 'text', new Uint8Array(0)]);
    await until(() => received.end === 'complete', 'complete');
    expect(text(concat(received.values))).toBe('text');
  });

  check('1. reading in pieces keeps the order', { acceptor: small }, async (ends) => {
    const { a, b } = await link(ends);
    void a.send(new Supply(700, 70_000).async());
    expectPattern(await take(b, 70_000), 70_000);
    expect(await b.read()).toBeNull();
  });
}

function equal(one: Uint8Array, other: Uint8Array | undefined): boolean {
  return one.byteLength === other?.byteLength && one.every((byte, index) => byte === other[index]);
}

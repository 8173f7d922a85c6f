/** Every form of source that a stream can send: SEMANTICS 9, 12. */

import { EMPTY, from, concat as inOrder, of, throwError } from 'rxjs';
import type { ByteSource, Chunk, SubscribableLike } from 'rxmux';
import { collect, pattern, Supply, text, utf8 } from './bytes.js';
import { type Check, link } from './pair.js';
import { failure, fate, streamFailure, until } from './wait.js';

const phrase = 'Zażółć gęślą jaźń. 🚃🚃🚃';
const parts: readonly string[] = ['Zażółć ', 'gęślą ', 'jaźń. ', '🚃🚃🚃'];

/** A subscribable of somebody else's; `native` gives no subscription and goes by the signal, like the platform's. */
function foreign(values: readonly Chunk[], native = false): SubscribableLike<Chunk> & { closed: boolean } {
  const source = {
    closed: false,
    subscribe(
      observer: Parameters<SubscribableLike<Chunk>['subscribe']>[0],
      options?: { signal?: AbortSignal },
    ): { unsubscribe(): void } | void {
      const close = (): void => {
        source.closed = true;
      };
      options?.signal?.addEventListener('abort', close);
      void (async () => {
        for (const value of values) {
          await Promise.resolve();
          if (!source.closed) observer.next?.(value);
        }
        if (!source.closed) observer.complete?.();
      })();
      return native ? undefined : { unsubscribe: close };
    },
  };
  return source;
}

/** Every form of `ByteSource`; each says the phrase. */
const forms: Record<string, () => ByteSource> = {
  'a string': () => phrase,
  'a Uint8Array': () => utf8(phrase),
  'a part of an array': () => utf8(`  ${phrase} `).subarray(2, 2 + utf8(phrase).byteLength),
  'an array of strings': () => [...parts],
  'an array of strings and bytes': () => parts.map((part, index) => (index % 2 === 0 ? part : utf8(part))),
  'an array of batches': () => [parts.slice(0, 2), [], parts.slice(2)],
  'a Set': () => new Set(parts),
  'a generator of chunks and batches': function* () {
    yield parts[0] as string;
    yield [parts[1] as string, utf8(parts[2] as string)];
    yield parts[3] as string;
  },
  'an async generator': async function* () {
    yield parts[0] as string;
    await Promise.resolve();
    yield [utf8(parts[1] as string), parts[2] as string];
    yield utf8(parts[3] as string);
  },
  'a ReadableStream': () =>
    new ReadableStream<Chunk>({
      start: (controller) => {
        for (const part of parts) controller.enqueue(part);
        controller.close();
      },
    }),
  'an Observable': () => from(parts),
  'an Observable of bytes': () => of(utf8(phrase)),
  'a subscribable of somebody else': () => foreign(parts),
  'a subscribable without a subscription': () => foreign(parts, true),
  // Each of these is of two kinds, and only the right one says the phrase.
  'a subscribable before an async iterable': () =>
    Object.assign(foreign(parts), { [Symbol.asyncIterator]: () => asyncWrong() }),
  'an async iterable before an iterable': () => ({
    [Symbol.asyncIterator]: async function* () {
      yield phrase;
    },
    [Symbol.iterator]: () => wrong(),
  }),
  'an iterable before a reader': () =>
    Object.assign([phrase], {
      getReader: () => {
        throw new Error('the wrong form was chosen');
      },
    }),
  'a ReadableStream that is not iterable': () => {
    const stream = new ReadableStream<Chunk>({
      start: (controller) => {
        controller.enqueue(phrase);
        controller.close();
      },
    });
    return { getReader: () => stream.getReader() } as ReadableStream<Chunk>;
  },
};

function* wrong(): Generator<Chunk> {
  yield 'the wrong form was chosen';
}
async function* asyncWrong(): AsyncGenerator<Chunk> {
  yield 'the wrong form was chosen';
}

/** Nothing, in the forms that can say so. */
const empty: Record<string, () => ByteSource> = {
  'an empty string': () => '',
  'an empty array': () => [],
  'an empty Observable': () => EMPTY,
  'a generator without a value': () => new Supply(1, 0).sync(),
};

export function sourceCases(check: Check): void {
  for (const [name, source] of Object.entries(forms)) {
    check(`9. send() takes ${name}`, async (ends) => {
      const { a, b } = await link(ends);
      const sent = a.send(source());
      expect(text(await collect(b))).toBe(phrase);
      await sent;
    });
  }

  for (const [name, source] of Object.entries(empty)) {
    check(`9. send() of ${name} is a stream without bytes`, async (ends) => {
      const { a, b } = await link(ends);
      const sent = a.send(source());
      expect(await b.read()).toBeNull();
      await sent;
    });
  }

  check('9. an Observable of numbers is not taken for bytes', async (ends) => {
    const { a, b } = await link(ends);
    const received = fate(collect(b));
    const error = await failure(() => a.send(from(pattern(10)) as never));
    expect(error).toBeInstanceOf(Error);
    if (a.state !== 'reset') a.reset();
    await until(() => received.state === 'rejected', 'the peer does not see a complete stream');
  });

  const boom = new Error('boom');
  const failing: Record<string, () => ByteSource> = {
    'a generator': function* () {
      yield 'begun';
      throw boom;
    },
    'an async generator': async function* () {
      yield 'begun';
      throw boom;
    },
    'a ReadableStream': () => new ReadableStream<Chunk>({ pull: (controller) => controller.error(boom) }),
    'an Observable': () =>
      inOrder(
        of('begun'),
        throwError(() => boom),
      ),
  };
  for (const [name, source] of Object.entries(failing)) {
    check(
      `12. ${name} that fails resets with internal-error and rejects with its own error`,
      async (ends) => {
        const { a, b } = await link(ends);
        await expect(a.send(source())).rejects.toBe(boom);
        const error = await streamFailure(() => collect(b));
        expect(error).toMatchObject({ code: 'reset', remote: true, reset: 'internal-error' });
        expect(await streamFailure(() => a.closed)).toMatchObject({ remote: false, cause: boom });
      },
    );
  }
}

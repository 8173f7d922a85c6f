/** What a source gives that is no chunk fails its `send()`, through operators as without them, and harms nothing else. */
import { runInNewContext } from 'node:vm';
import { concat, finalize, from, NEVER, of } from 'rxjs';
import { type ByteSource, limit, type Provider, type ProviderOperator, span } from 'rxmux';
import { failure, streamFailure, until } from '../conformance/wait.js';
import { echo, finish, next, textOf, two } from './ends.js';

const perStream = limit({ perStream: { rate: 1e6, bytes: 1000 } });
const perConnection = limit({ perConnection: { rate: 1e6, bytes: 1000 } });
const spanned = (provider: Provider): Provider => span([provider]);

const operators: [string, ProviderOperator][] = [
  ['none', (provider) => provider],
  ['limit of a stream', perStream],
  ['limit of a connection', perConnection],
  ['span', spanned],
  ['limit above a span', (provider) => provider.pipe(spanned, perConnection)],
  ['span above a limit', (provider) => provider.pipe(perConnection, spanned)],
];

const endless: unknown[] = [];
endless.push(endless);

/** Each with what it is called. A list is one value of a source that is pulled; it is taken as a whole, or not at all. */
const values: [unknown, string][] = [
  [null, 'null'],
  [undefined, 'undefined'],
  [5, 'number'],
  [{}, 'Object'],
  [{ length: 2000 }, 'Object'],
  [new ArrayBuffer(100), 'ArrayBuffer'],
  [new DataView(new ArrayBuffer(100)), 'DataView'],
  [new Uint16Array(1000), 'Uint16Array'],
];
const lists: [unknown, string][] = [
  [['b', null], 'null'],
  [[new Uint8Array(2000), {}], 'Object'],
  [[['b']], 'Array'],
  [endless, 'Array'],
];

/** What is called is when nothing more is wanted of the source. */
const pulled: [string, (list: readonly unknown[], closed: () => void) => unknown][] = [
  [
    'an iterable',
    function* (list, closed) {
      try {
        yield* list;
      } finally {
        closed();
      }
    },
  ],
  [
    'an async iterable',
    async function* (list, closed) {
      try {
        yield* list;
      } finally {
        closed();
      }
    },
  ],
  [
    'a ReadableStream',
    (list, closed) => {
      const rest = [...list];
      return new ReadableStream(
        {
          pull: (controller) => (rest.length > 0 ? controller.enqueue(rest.shift()) : controller.close()),
          cancel: closed,
        },
        { highWaterMark: 0 },
      );
    },
  ],
];
const pushed: typeof pulled = [
  ['an Observable', (list, closed) => concat(from(list), NEVER).pipe(finalize(closed))],
];

describe.each(operators)('a mistake of a source, through %s', (_operator, operator) => {
  it.each([...pulled, ...pushed])('is told if it gives what is no chunk: %s', async (_form, make) => {
    for (const [value, name] of make === pushed[0]?.[1] ? values : [...values, ...lists]) {
      const { client, server } = two();
      const whole = client.pipe(operator);
      const stream = whole.newStream();
      const other = whole.newStream();
      let isClosed = false;
      const source = make(['a', value, 'b'], () => {
        isClosed = true;
      });
      const error = await failure(() => stream.send(source as ByteSource));
      expect(error).toMatchObject({ message: `a chunk is a Uint8Array or a string, not ${name}` });
      const served = await next(server);
      const told = { code: 'reset', reset: 'internal-error' };
      expect(await streamFailure(() => textOf(served))).toMatchObject(told);
      await until(() => isClosed, 'the source is closed');
      echo(server);
      void other.send('the connection goes on');
      expect(await textOf(other)).toBe('the connection goes on');
      await finish(client, server);
    }
  });

  it.each<[string, () => ByteSource, string]>([
    [
      'an iterable that throws',
      () => ({
        [Symbol.iterator]: () => {
          throw new Error('not today');
        },
      }),
      'not today',
    ],
    [
      'a ReadableStream with a reader',
      () => {
        const source = new ReadableStream<Uint8Array>();
        source.getReader();
        return source;
      },
      'locked',
    ],
    [
      'an iterable that gives no result',
      () => ({ [Symbol.iterator]: () => ({ next: () => undefined as never }) }),
      'undefined',
    ],
    [
      'an async iterable that gives no result',
      () => ({ [Symbol.asyncIterator]: () => ({ next: async () => undefined as never }) }),
      'undefined',
    ],
  ])('is told if it cannot be begun: %s', async (_form, make, message) => {
    const { client, server } = two();
    const stream = client.pipe(operator).newStream();
    const error = await failure(() => stream.send(make()));
    expect(error).toMatchObject({ message: expect.stringContaining(message) });
    expect(await streamFailure(() => stream.closed)).toMatchObject({
      code: 'reset',
      reset: 'internal-error',
    });
    await finish(client, server);
  });

  it('throws at write() of what is no chunk, and resets the stream at next()', async () => {
    const { client, server } = two();
    const stream = client.pipe(operator).newStream();
    const none = null as unknown as string;
    expect(() => stream.write(none)).toThrow('a chunk is a Uint8Array or a string, not null');
    expect(stream.state).not.toBe('reset');
    stream.next(none);
    expect(await streamFailure(() => stream.closed)).toMatchObject({
      code: 'reset',
      reset: 'internal-error',
    });
    await finish(client, server);
  });
});

describe('limit', () => {
  const realms: [string, (bytes: number) => Uint8Array][] = [
    ['of another realm', (bytes) => runInNewContext(`new Uint8Array(${bytes})`)],
    ['of a Buffer', (bytes) => Buffer.alloc(bytes)],
  ];
  const forms: [string, (chunk: Uint8Array) => ByteSource][] = [
    ['as they are', (chunk) => chunk],
    ['pulled', (chunk) => [chunk]],
    ['pushed', (chunk) => of(chunk)],
  ];
  it.each(realms.flatMap(([realm, make]) => forms.map(([form, send]) => [realm, form, make, send] as const)))(
    'counts bytes %s, %s',
    async (_realm, _form, make, send) => {
      const { client, server } = two();
      const capped = client.pipe(limit({ perStream: { bytes: 600 } }));
      const within = capped.newStream();
      void within.send(send(make(600)));
      expect((await textOf(await next(server))).length).toBe(600);
      const beyond = capped.newStream();
      void beyond.send(send(make(601)));
      expect(await streamFailure(() => beyond.closed)).toMatchObject({ code: 'reset', reset: 'overflow' });
      await finish(client, server);
    },
  );
});

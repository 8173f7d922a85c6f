/** Headers: case-insensitive, ordered, multi-valued; SEMANTICS 25, 27. */
import type { HeadersInit, Stream, StreamHeaders } from 'rxmux';
import { collect, text } from './bytes.js';
import { type Check, link, next } from './pair.js';
import { streamFailure } from './wait.js';

/** The application's own, without what a protocol adds. */
function own(headers: StreamHeaders): [string, string][] {
  return [...headers].filter(([name]) => name.startsWith('x-'));
}

const expected: [string, string][] = [
  ['x-name', 'value'],
  ['x-list', 'one'],
  ['x-list', 'two'],
  ['x-empty', ''],
];

const inits: Record<string, HeadersInit> = {
  'an object': { 'X-Name': 'value', 'x-list': ['one', 'two'], 'x-empty': '' },
  'an array of pairs': [
    ['x-name', 'value'],
    ['X-List', 'one'],
    ['x-list', 'two'],
    ['x-empty', ''],
  ],
  'an iterable of pairs': new Set([
    ['x-name', 'value'],
    ['x-list', 'one'],
    ['x-list', 'two'],
    ['x-empty', ''],
  ] as const),
};

export function headerCases(check: Check): void {
  for (const [name, init] of Object.entries(inits)) {
    check(
      `25. headers from ${name} arrive with names in any case, in order, with every value`,
      async (ends) => {
        const { opener, acceptor, features } = ends;
        const a = opener.newStream(init);
        const { headers } = await next(acceptor);
        expect(own(headers)).toEqual(features.headers ? expected : []);
        expect(own(a.headers)).toEqual(expected);
        if (!features.headers) return;
        expect([headers.get('X-NAME'), headers.get('x-list'), headers.get('x-empty')]).toEqual([
          'value',
          'one',
          '',
        ]);
        expect(headers.getAll('X-List')).toEqual(['one', 'two']);
        expect([headers.has('X-name'), headers.has('x-other')]).toEqual([true, false]);
        expect([headers.get('x-other'), headers.getAll('x-other')]).toEqual([undefined, []]);
        expect(headers.toJSON()).toMatchObject({ 'x-name': 'value', 'x-list': ['one', 'two'] });
      },
    );
  }

  check('25. pseudo-headers are allowed', async ({ opener, acceptor, features }) => {
    opener.newStream({ ':path': '/somewhere', 'x-after': 'it' });
    const { headers } = await next(acceptor);
    expect(headers.get(':path')).toBe(features.headers ? '/somewhere' : undefined);
    expect(headers.get('x-after')).toBe(features.headers ? 'it' : undefined);
  });

  check('25. a name out of JavaScript’s own furniture is a name like any other', async (ends) => {
    const { opener, acceptor, features } = ends;
    opener.newStream([
      ['__proto__', 'polluted'],
      ['constructor', 'built'],
    ]);
    const { headers } = await next(acceptor);
    expect(headers.getAll('__proto__')).toEqual(features.headers ? ['polluted'] : []);
    expect(headers.get('constructor')).toBe(features.headers ? 'built' : undefined);
    expect(Object.getPrototypeOf(headers.toJSON())).toBeNull();
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect([headers.get('toString'), headers.has('hasOwnProperty')]).toEqual([undefined, false]);
  });

  check('25. a stream without headers has none', async ({ opener, acceptor }) => {
    const a = opener.newStream();
    const { headers } = await next(acceptor);
    expect([own(headers), own(a.headers)]).toEqual([[], []]);
  });

  check('25. a value of several kilobytes arrives whole', async ({ opener, acceptor, features }) => {
    const value = 'abcdefghij'.repeat(500);
    const a = opener.newStream({ 'x-long': value });
    const b = await next(acceptor);
    expect(b.headers.get('x-long')).toBe(features.headers ? value : undefined);
    b.accept({ 'x-long': value });
    expect((await a.reply).get('x-long')).toBe(features.replyHeaders ? value : undefined);
  });

  check(
    '25. a value beyond ASCII arrives as it is, or is refused at once, and never changed',
    async (ends) => {
      const { opener, acceptor, features } = ends;
      for (const value of ['Zoë', 'Zażółć gęślą jaźń', '🚃🚃']) {
        let a: Stream;
        try {
          a = opener.newStream({ 'x-word': value });
        } catch {
          // A wire may have no more than the first 256 characters.
          expect(value).toMatch(/[^\0-\xff]/);
          continue;
        }
        const b = await next(acceptor);
        expect(b.headers.get('x-word')).toBe(features.headers ? value : undefined);
        b.accept({ 'x-word': value });
        expect((await a.reply).get('x-word')).toBe(features.replyHeaders ? value : undefined);
      }
    },
  );

  check('25. headers belong to their stream', async ({ opener, acceptor, features }) => {
    const init: Record<string, string> = { 'x-number': '1' };
    opener.newStream(init);
    init['x-number'] = '2';
    opener.newStream(init);
    const seen = [(await next(acceptor)).headers, (await next(acceptor)).headers];
    const numbers = seen.map((headers) => headers.get('x-number'));
    expect(numbers).toEqual(features.headers ? ['1', '2'] : [undefined, undefined]);
  });

  const tooMuch: Record<string, HeadersInit> = {
    'a value': { 'x-long': 'x'.repeat(2000) },
    'a number of headers': Array.from({ length: 40 }, (_, number) => [`x-${number}`, 'v'] as const),
  };
  for (const [name, init] of Object.entries(tooMuch)) {
    check(
      `27. ${name} over the peer’s limit fails that stream, not the connection`,
      { acceptor: { maxHeaderValueBytes: 1000, maxHeaders: 16 } },
      async (ends) => {
        const { opener, features } = ends;
        if (features.headers) {
          const error = await streamFailure(() => opener.newStream(init).reply);
          expect(['refused', 'reset', 'limit', 'protocol']).toContain(error.code);
        } else {
          // Headers that the wire has no room for are dropped, and cannot be too many.
          const a = opener.newStream(init);
          (await next(ends.acceptor)).accept();
          expect([...(await a.reply)]).toEqual([]);
        }
        const { a, b } = await link(ends);
        void a.send('alive');
        expect(text(await collect(b))).toBe('alive');
      },
    );
  }

  const invalid: Record<string, HeadersInit> = {
    'an empty name': { '': 'x' },
    'a name with a line break': { 'x-bad\nname': 'x' },
    'a value that is no string': { 'x-number': 42 as never },
  };
  for (const [name, init] of Object.entries(invalid)) {
    check(`27. ${name} is the caller’s mistake, and throws at once`, async (ends) => {
      expect(() => ends.opener.newStream(init)).toThrow(Error);
      expect(ends.opener.streams.size).toBe(0);
      const a = ends.opener.newStream();
      const b = await next(ends.acceptor);
      expect(() => b.accept(init)).toThrow(Error);
      b.accept({ 'x-good': 'yes' });
      await a.reply;
    });
  }
}

/** Three small plays of a whole stream, by the names under which other implementations know them. */
import type { Stream } from 'rxmux';
import { collect, expectPattern, pattern, take, text } from './bytes.js';
import { type Check, next } from './pair.js';
import { streamFailure, until } from './wait.js';

export function scenarioCases(check: Check): void {
  check(
    'Reset: the acceptor resets at once, and nothing works any more at either end',
    async ({ opener, acceptor }) => {
      const a = opener.newStream();
      const reading = a.read();
      const b = await next(acceptor);
      b.reset();
      expect((await streamFailure(() => reading)).remote).toBe(true);
      expect((await streamFailure(() => a.write('after the reset'))).remote).toBe(true);
      expect((await streamFailure(() => b.write('after the reset'))).remote).toBe(false);
      await until(() => opener.streams.size + acceptor.streams.size === 0, 'both tables are empty');
    },
  );

  check('Header: eleven streams in sequence, each with two headers of its own', async (ends) => {
    const { opener, acceptor, features } = ends;
    for (let number = 0; number <= 10; number++) {
      const a = opener.newStream({ 'x-number': String(number), 'x-square': String(number * number) });
      const b = await next(acceptor);
      const seen = [b.headers.get('x-number'), b.headers.get('x-square')];
      expect(seen).toEqual(
        features.headers ? [String(number), String(number * number)] : [undefined, undefined],
      );
      b.accept();
      await a.reply;
      await Promise.all([a.end(), b.end()]);
      expect([await a.read(), await b.read()]).toEqual([null, null]);
      await Promise.all([a.closed, b.closed]);
    }
    expect([opener.streams.size, acceptor.streams.size]).toEqual([0, 0]);
  });

  check(
    'ReadWrite: 253 messages of 1 to 253 bytes, a half-close, and a reply of seven bytes',
    async (ends) => {
      const { opener, acceptor } = ends;
      const longest = 253;
      const total = (longest * (longest + 1)) / 2;
      const a = opener.newStream();
      const writing = (async (): Promise<void> => {
        let at = 0;
        for (let length = 1; length <= longest; length++) {
          await a.write(pattern(length, at));
          at += length;
        }
        await a.end();
      })();
      const b: Stream = await next(acceptor);
      expectPattern(await take(b, total), total);
      expect(await b.read()).toBeNull();
      await writing;
      expect(a.state).toBe('half-closed-local');
      void b.send('goodbye');
      expect(text(await collect(a))).toBe('goodbye');
      await Promise.all([a.closed, b.closed]);
      expect([opener.streams.size, acceptor.streams.size]).toEqual([0, 0]);
    },
  );
}

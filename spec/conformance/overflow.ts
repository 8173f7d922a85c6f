/** Sources that cannot be held, and what becomes of their bytes: SEMANTICS 11. */
import { Subject } from 'rxjs';
import { collect, expectPattern, pattern, text, utf8 } from './bytes.js';
import { type Check, link, small, smallWindow } from './pair.js';
import { streamFailure, until, watch } from './wait.js';

export function overflowCases(check: Check): void {
  check(
    '11. a source that cannot be held overflows: strict resets the stream',
    { acceptor: small },
    async (ends) => {
      const { a, b } = await link(ends);
      const subject = new Subject<Uint8Array>();
      const sending = a.send(subject, { maxBuffered: 32_768 });
      const total = ends.ahead(smallWindow) + 32_768 + 50_000;
      for (let at = 0; at < total && subject.observed; at += 1000) subject.next(pattern(1000, at));
      expect(await streamFailure(() => sending)).toMatchObject({
        code: 'overflow',
        remote: false,
        streamId: a.id,
      });
      await until(() => !subject.observed, 'the source is let go');
      expect(await streamFailure(() => collect(b))).toMatchObject({ code: 'reset', remote: true });
      expect(a.state).toBe('reset');
    },
  );

  check('11. unbounded keeps every byte', { acceptor: small }, async (ends) => {
    const { a, b } = await link(ends);
    const subject = new Subject<Uint8Array>();
    const sending = a.send(subject, { maxBuffered: 1000, overflow: 'unbounded' });
    const total = ends.ahead(smallWindow) + 200_000;
    for (let at = 0; at < total; at += 1000) subject.next(pattern(Math.min(1000, total - at), at));
    expect(a.stats.queuedOut).toBeGreaterThan(1000);
    subject.complete();
    expectPattern(await collect(b), total);
    await sending;
  });

  check(
    '11. drop-newest drops whole chunks beyond the buffer, and goes on',
    { acceptor: small },
    async (ends) => {
      const { a, b } = await link(ends);
      const subject = new Subject<Uint8Array>();
      const sending = a.send(subject, { maxBuffered: 8000, overflow: 'drop-newest' });
      const count = Math.ceil((ends.ahead(smallWindow) + 8000) / 1000) + 50;
      for (let number = 0; number < count; number++) subject.next(numbered(number));
      const received = watch(b.data$);
      await until(() => a.stats.queuedOut === 0, 'what was kept is sent');
      subject.next(numbered(count));
      subject.complete();
      await sending;
      await until(() => received.end === 'complete', 'no reset');
      const numbers = received.values
        .map((chunk) => text(chunk))
        .join('')
        .match(/.{1000}/gs)
        ?.map(Number);
      expect(numbers?.slice(0, 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
      expect(numbers?.at(-1)).toBe(count);
      expect(numbers?.length).toBeLessThan(count);
      expect(numbers).toEqual([...new Set(numbers)].toSorted((one, other) => one - other));
    },
  );
}

/** 1000 bytes of text that say a number. */
function numbered(number: number): Uint8Array {
  return utf8(String(number).padStart(1000, '0'));
}

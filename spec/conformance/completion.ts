/** What an end waits for, and what an error does not: SEMANTICS 4. */

import { tap } from 'rxjs';
import { hold, pullMap } from 'rxmux';
import { collect, concat, expectPattern, pattern, Supply } from './bytes.js';
import { type Check, link } from './pair.js';
import { failure, fate, pause, until, watch } from './wait.js';

export function completionCases(check: Check): void {
  check('4. completion waits for the last release', async (ends) => {
    const { a, b } = await link(ends);
    let release: (() => void) | undefined;
    let completed = false;
    b.data$.subscribe({
      next: () => {
        release ??= hold();
      },
      complete: () => {
        completed = true;
      },
    });
    await a.send('last words');
    await until(() => release !== undefined && b.state === 'half-closed-remote', 'the end has come');
    await pause(10);
    expect(completed).toBe(false);
    release?.();
    await until(() => completed, 'completion follows the release');
  });

  check('4. an error waits for no release, and drops what is undelivered', async (ends) => {
    const { a, b } = await link(ends);
    let release = (): void => {};
    const received = watch(
      b.data$.pipe(
        tap(() => {
          release = hold();
        }),
      ),
    );
    await a.write('delivered');
    await until(() => received.values.length === 1, 'the first chunk is held');
    await a.write('undelivered');
    await until(() => b.stats.queuedIn > 9, 'the second waits');
    a.reset('cancel');
    await until(() => received.end === 'error', 'the error does not wait');
    expect(received.error).toMatchObject({ code: 'reset', remote: true });
    release();
    await pause(5);
    expect(received.values.length).toBe(1);
  });

  check('4. bytes followed by an end survive a later loss of the connection', async (ends) => {
    const waiting = await link(ends);
    const reading = await link(ends);
    const begun = watch(
      reading.b.data$.pipe(
        pullMap(async (chunk) => {
          await pause(2);
          return chunk;
        }),
      ),
    );
    for (const { a, b } of [waiting, reading]) {
      await a.send(new Supply(5000, 60_000).sync());
      await until(() => b.state === 'half-closed-remote', 'the end has come');
    }
    ends.cut();
    await until(() => reading.a.state === 'reset', 'the loss has been noticed');
    await failure(() => waiting.b.closed);
    expectPattern(await collect(waiting.b), 60_000);
    await until(() => begun.end !== null, 'the reader that had begun gets to the end');
    expect(begun.end).toBe('complete');
    expectPattern(concat(begun.values), 60_000);
  });

  check('4. bytes without an end do not look complete after a loss of the connection', async (ends) => {
    const { a, b } = await link(ends);
    await a.write(pattern(20_000));
    await until(() => b.stats.queuedIn === 20_000, 'the bytes have come');
    ends.cut();
    const closed = fate(b.closed);
    await until(() => closed.state === 'rejected', 'the loss has been noticed');
    const late = watch(b.data$);
    await until(() => late.end !== null, 'data$ ends');
    expect(late.end).toBe('error');
  });
}

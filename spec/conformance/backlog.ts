/** The backlog and accept$: SEMANTICS 19, 22. */

import { firstValueFrom } from 'rxjs';
import { hold, pullMap, type Stream } from 'rxmux';
import { collect, take, text } from './bytes.js';
import { type Check, link, next } from './pair.js';
import { each, pause, streamFailure, turn, until, watch } from './wait.js';

export function backlogCases(check: Check): void {
  check(
    '19. a full backlog refuses that stream as retryable, and the connection lives',
    { acceptor: { backlog: 3 } },
    async (ends) => {
      const { opener, acceptor } = ends;
      const streams = Array.from({ length: 5 }, () => opener.newStream());
      for (const refused of streams.slice(3)) {
        const error = await streamFailure(() => refused.reply);
        expect(error).toMatchObject({ code: 'refused', remote: true, retryable: true });
      }
      for (const waiting of streams.slice(0, 3)) {
        (await next(acceptor)).accept();
        await waiting.reply;
      }
      const { a, b } = await link(ends);
      void a.send('still alive');
      expect(text(await collect(b))).toBe('still alive');
    },
  );

  check('19. a stream that dies in the backlog makes room', { acceptor: { backlog: 2 } }, async (ends) => {
    const { opener, acceptor } = ends;
    const dead = [opener.newStream(), opener.newStream()];
    await until(() => acceptor.streams.size === 2, 'two streams wait');
    for (const stream of dead) stream.reset('cancel');
    await until(() => acceptor.streams.size === 0, 'they are gone from the table');
    const live = [opener.newStream(), opener.newStream()];
    await until(() => acceptor.streams.size === 2, 'two more wait');
    await pause(10);
    expect(live.map(({ state }) => state)).toEqual(['opening', 'opening']);
  });

  check(
    '19. streams wait for the first subscriber, in the order of opening',
    async ({ opener, acceptor, earlyData }) => {
      const streams = Array.from({ length: 4 }, () => opener.newStream());
      const written = streams[0]?.write('first');
      if (earlyData) await written;
      await until(() => acceptor.streams.size === 4, 'all four have come');
      const accepted = watch(acceptor.accept$);
      await until(() => accepted.values.length === 4, 'all four are given out');
      expect(text(await take(accepted.values[0] as Stream, 5))).toBe('first');
      expect(new Set(accepted.values).size).toBe(4);
    },
  );

  check(
    '19. accept$ has one subscriber; a second at the same time is told so',
    async ({ opener, acceptor }) => {
      const first = watch(acceptor.accept$);
      const second = watch(acceptor.accept$);
      await until(() => second.end === 'error', 'the second subscriber gets an error');
      expect(second.error).toMatchObject({ code: 'locked' });
      opener.newStream();
      await until(() => first.values.length === 1, 'the first goes on');
      expect(first.end).toBeNull();
    },
  );

  check(
    '19. firstValueFrom(accept$) twice gives two streams, and loses none',
    async ({ opener, acceptor }) => {
      for (let number = 0; number < 3; number++) void opener.newStream().write(`stream ${number}`);
      await until(() => acceptor.streams.size === 3, 'three streams wait');
      const first = await firstValueFrom(acceptor.accept$);
      const second = await firstValueFrom(acceptor.accept$);
      const third = await next(acceptor);
      const said = [];
      for (const stream of [first, second, third]) said.push(text(await take(stream, 8)));
      expect(said).toEqual(['stream 0', 'stream 1', 'stream 2']);
    },
  );

  check('19. holding accept$ holds acceptance', async ({ opener, acceptor }) => {
    const streams = [opener.newStream(), opener.newStream()];
    const accepted: Stream[] = [];
    let release = (): void => {};
    each(acceptor.accept$, (stream) => {
      accepted.push(stream);
      release = hold();
    });
    await until(
      () => acceptor.streams.size === streams.length && accepted.length > 0,
      'the first is given out',
    );
    await pause(10);
    expect(accepted.length).toBe(1);
    release();
    await until(() => accepted.length === 2, 'the second follows the release');
  });

  check('19. accept$ through pullMap serves so many at a time, and in the end all', async (ends) => {
    const { opener, acceptor } = ends;
    let active = 0;
    let most = 0;
    const served = watch(
      acceptor.accept$.pipe(
        pullMap(
          async (stream) => {
            most = Math.max(most, ++active);
            const name = text(await collect(stream));
            await turn();
            await stream.end();
            active--;
            return name;
          },
          { concurrent: 2 },
        ),
      ),
    );
    const names = ['one', 'two', 'three', 'four', 'five'];
    for (const name of names) void opener.newStream().send(name);
    await until(() => served.values.length === names.length, 'all are served');
    expect(most).toBe(2);
    expect(served.values.toSorted()).toEqual(names.toSorted());
  });

  check('19. accept$ completes on a clean close', async ({ opener, acceptor }) => {
    const both = [watch(opener.accept$), watch(acceptor.accept$)];
    await opener.close();
    await until(() => both.every(({ end }) => end !== null), 'accept$ ends at both sides');
    expect(both.map(({ end }) => end)).toEqual(['complete', 'complete']);
  });

  check('19. accept$ errors when the connection is lost', async ({ opener, acceptor, cut }) => {
    const accepted = watch(acceptor.accept$);
    opener.newStream();
    await until(() => accepted.values.length === 1, 'the connection is in use');
    cut();
    await until(() => accepted.end !== null, 'accept$ ends');
    expect(accepted.end).toBe('error');
  });

  check('19. accept() is null once the provider is closed, waiting or not', async ({ opener, acceptor }) => {
    const waiting = acceptor.accept();
    await acceptor.close();
    expect(await waiting).toBeNull();
    expect(await acceptor.accept()).toBeNull();
    await opener.closed;
    expect(await opener.accept()).toBeNull();
  });

  check('22. aborting accept() rejects with the reason and takes no stream', async ({ opener, acceptor }) => {
    const controller = new AbortController();
    const reason = new Error('tired of waiting');
    const waiting = acceptor.accept({ signal: controller.signal });
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(acceptor.accept({ signal: controller.signal })).rejects.toBe(reason);
    void opener.newStream().write('here');
    expect(text(await take(await next(acceptor), 4))).toBe('here');
  });
}

/** hold() and pullMap, and what they delay: SEMANTICS "Backpressure", 4. */

import {
  config,
  EMPTY,
  filter,
  map,
  merge,
  mergeMap,
  type Observable,
  of,
  scan,
  share,
  switchMap,
  tap,
} from 'rxjs';
import { hold, pullMap } from 'rxmux';
import { collect, concat, expectPattern, pattern, Supply, text } from './bytes.js';
import { type Check, link, small, smallWindow } from './pair.js';
import { each, pause, steady, turn, until, watch } from './wait.js';

const chunkBytes = 1000;

/** Ordinary operators that run in one call stack: what is at their end reaches the stream at their start. */
const chains: Record<string, (source: Observable<Uint8Array>) => Observable<unknown>> = {
  'no operator': (source) => source,
  map: (source) => source.pipe(map((chunk) => chunk.byteLength)),
  filter: (source) => source.pipe(filter((chunk) => chunk.byteLength > 0)),
  scan: (source) => source.pipe(scan((sum, chunk) => sum + chunk.byteLength, 0)),
  tap: (source) => source.pipe(tap(() => {})),
  merge: (source) => merge(source, EMPTY),
  share: (source) => source.pipe(share()),
  switchMap: (source) => source.pipe(switchMap((chunk) => of(chunk))),
  'a long chain': (source) =>
    source.pipe(
      map((chunk) => chunk.byteLength),
      filter((size) => size > 0),
      mergeMap((size) => of(size)),
      share(),
    ),
};

export function backpressureCases(check: Check): void {
  for (const [name, chain] of Object.entries(chains)) {
    check(
      `hold() at the end of ${name} holds the stream and its sender`,
      { acceptor: small },
      async (ends) => {
        const { a, b } = await link(ends);
        const supply = new Supply(chunkBytes);
        void a.send(supply.sync());
        let delivered = 0;
        let release = (): void => {};
        chain(b.data$).subscribe({
          next: () => {
            delivered++;
            release = hold();
          },
          error: () => {},
        });
        await until(() => delivered === 1, 'the first chunk');
        expect(await steady(() => supply.pulled)).toBeLessThanOrEqual(
          ends.ahead(smallWindow) + 2 * chunkBytes,
        );
        expect(delivered).toBe(1);
        release();
        await until(() => delivered === 2, 'the release lets one more through');
        await pause(5);
        expect(delivered).toBe(2);
      },
    );
  }

  check('hold() asks for every hold to be released, each once', async (ends) => {
    const { a, b } = await link(ends);
    let delivered = 0;
    let releases: (() => void)[] = [];
    each(b.data$, () => {
      delivered++;
      releases = [hold(), hold()];
    });
    await a.write('one');
    await until(() => delivered === 1, 'the first chunk');
    const [first, second] = releases;
    await a.write('two');
    first?.();
    first?.();
    await pause(10);
    expect(delivered).toBe(1);
    second?.();
    await until(() => delivered === 2, 'the second chunk');
    first?.();
    await a.write('three');
    await pause(10);
    expect(delivered).toBe(2);
  });

  check('hold() released inside the delivery holds nothing', async (ends) => {
    const { a, b } = await link(ends);
    const received: Uint8Array[] = [];
    each(b.data$, (chunk) => {
      hold()();
      received.push(chunk);
    });
    await a.write('one');
    await a.write('two');
    await until(() => text(concat(received)) === 'onetwo', 'both chunks');
  });

  check('hold() outside of a delivery is without effect', async (ends) => {
    const { a, b } = await link(ends);
    const release = hold();
    const received = collect(b);
    hold();
    await a.send(pattern(50_000));
    expectPattern(await received, 50_000);
    expect(release()).toBeUndefined();
  });

  check('hold() stalls its own stream and no other', { acceptor: small }, async (ends) => {
    const held = await link(ends);
    const other = await link(ends);
    const supply = new Supply(chunkBytes);
    void held.a.send(supply.sync());
    let delivered = 0;
    each(held.b.data$, () => {
      delivered++;
      hold();
    });
    await until(() => delivered === 1, 'one stream is held');
    void other.a.send(pattern(200_000));
    expectPattern(await collect(other.b), 200_000);
    expect(delivered).toBe(1);
  });

  check('share() goes at the pace of its slowest subscriber', { acceptor: small }, async (ends) => {
    const { a, b } = await link(ends);
    void a.send(new Supply(chunkBytes, 64_000).sync());
    const shared = b.data$.pipe(share());
    const fast: Uint8Array[] = [];
    const slow: Uint8Array[] = [];
    let lead = 0;
    each(shared, (chunk) => {
      fast.push(chunk);
      lead = Math.max(lead, fast.length - slow.length);
    });
    const done = new Promise<void>((resolve) => {
      shared.subscribe({
        next: (chunk) => {
          slow.push(chunk);
          setTimeout(hold(), 0);
        },
        complete: resolve,
      });
    });
    await done;
    expect(lead).toBe(1);
    expectPattern(concat(fast), 64_000);
    expectPattern(concat(slow), 64_000);
  });

  check(
    'pullMap works on one chunk at a time, in order, and bounds the sender',
    { acceptor: small },
    async (ends) => {
      const { a, b } = await link(ends);
      const total = 100_000;
      const supply = new Supply(chunkBytes, total);
      void a.send(supply.sync());
      let active = 0;
      let most = 0;
      let done = 0;
      let lead = 0;
      const worked = watch(
        b.data$.pipe(
          pullMap(async (chunk) => {
            most = Math.max(most, ++active);
            await turn();
            lead = Math.max(lead, supply.pulled - done);
            done += chunk.byteLength;
            active--;
            return chunk;
          }),
        ),
      );
      await until(() => worked.end === 'complete', 'all is worked on');
      expect(most).toBe(1);
      expect(lead).toBeLessThanOrEqual(ends.ahead(smallWindow) + 2 * chunkBytes);
      expectPattern(concat(worked.values), total);
    },
  );

  check('pullMap fills its slots, and holds only then', { acceptor: small }, async (ends) => {
    const { a, b } = await link(ends);
    const total = 150_000;
    void a.send(new Supply(chunkBytes, total).sync());
    let active = 0;
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const work = async (chunk: Uint8Array): Promise<Uint8Array> => {
      active++;
      await gate;
      return chunk;
    };
    const worked = watch(b.data$.pipe(pullMap(work, { concurrent: 3 })));
    await until(() => active === 3, 'three at work');
    expect(await steady(() => active)).toBe(3);
    open();
    await until(() => worked.end === 'complete', 'all is worked on');
    expect(worked.values.reduce((sum, { byteLength }) => sum + byteLength, 0)).toBe(total);
  });

  check('pullMap passes on an error of its work, and stops the stream', async (ends) => {
    const { a, b } = await link(ends);
    const boom = new Error('boom');
    const worked = watch(b.data$.pipe(pullMap(() => Promise.reject(boom))));
    void a.write('some work');
    await until(() => worked.end === 'error', 'the error comes out');
    expect(worked.error).toBe(boom);
    const late = watch(b.data$);
    await until(() => late.end === 'error', 'data$ was stopped');
    expect(late.error).toMatchObject({ code: 'stopped' });
  });

  check('a reader that throws leaves the delivery scope restored and the stream going', async (ends) => {
    const { a, b } = await link(ends);
    const outer = config.onUnhandledError;
    const thrown: unknown[] = [];
    config.onUnhandledError = (error) => thrown.push(error);
    try {
      const boom = new Error('boom');
      const received: Uint8Array[] = [];
      each(b.data$, (chunk) => {
        received.push(chunk);
        if (received.length === 1) throw boom;
      });
      await a.write('one');
      await until(() => thrown.length === 1, 'rxjs reports the error');
      hold();
      await a.write('two');
      await until(() => text(concat(received)) === 'onetwo', 'the stream goes on');
      expect(thrown).toEqual([boom]);
    } finally {
      config.onUnhandledError = outer;
    }
  });
}

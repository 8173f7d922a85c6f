import { type Subscription, share } from 'rxjs';
import { hold } from '../../lib/core/hold.js';
import { pullMap } from '../../lib/core/pull-map.js';
import type { StreamEnd } from './model-end.js';
import { Deliberate } from './model-world.js';

/** A way to read a stream, from where the last reader left it. */
type Reading = (end: StreamEnd) => void;

/** Ways that go on to the end, and ways that leave earlier, which only a rough program may use. */
export const readings: readonly Reading[] = [
  readSome,
  readAll,
  readWithSignal,
  subscribe,
  holding,
  pulling,
  sharing,
];
export const roughReadings: readonly Reading[] = [leaving, breaking, cancelling];

/** Reads in a loop, with pauses of its own. */
async function read(end: StreamEnd, most: number): Promise<void> {
  const { world } = end;
  const slow = world.random.oneIn(3);
  end.reader = 'busy';
  try {
    for (let count = 0; count < most; count++) {
      const chunk = await end.watch('read', end.stream.read());
      if (chunk === null) {
        end.completed();
        return;
      }
      end.take(chunk);
      if (slow && !world.isFinishing) await world.sim.pause(world.random.next() * 10);
    }
    if (end.reader === 'busy') end.reader = 'idle';
  } catch (error) {
    if (end.readEnd === null) end.failed(error);
  }
}

function readSome(end: StreamEnd): void {
  void read(end, end.world.random.integer(1, 4));
}

export function readAll(end: StreamEnd): void {
  void read(end, Number.POSITIVE_INFINITY);
}

/** A read that is given up takes nothing. */
function readWithSignal(end: StreamEnd): void {
  const { world } = end;
  const leaving = new AbortController();
  const reason = new Deliberate('no time to read');
  end.reader = 'busy';
  end.watch('read with a signal', end.stream.read({ signal: leaving.signal })).then(
    (chunk) => {
      if (chunk === null) end.completed();
      else {
        end.take(chunk);
        if (end.reader === 'busy') end.reader = 'idle';
      }
    },
    (error: unknown) => {
      if (end.readEnd !== null) return;
      if (error === reason) end.reader = 'idle';
      else end.failed(error);
    },
  );
  world.later(() => leaving.abort(reason), 20);
}

/** How the other ways subscribe: what comes is checked, and `next` may do more. */
function attach(end: StreamEnd, next: (chunk: Uint8Array) => void): Subscription {
  end.reader = 'busy';
  end.isSubscribed = true;
  return end.stream.data$.subscribe({
    next,
    error: (error) => end.failed(error),
    complete: () => end.completed(),
  });
}

export function subscribe(end: StreamEnd): void {
  attach(end, (chunk) => end.take(chunk));
}

function holding(end: StreamEnd): void {
  const { world } = end;
  attach(end, (chunk) => {
    end.take(chunk);
    const holds = world.isFinishing ? 0 : world.random.integer(0, 2);
    for (let count = 0; count < holds; count++) world.later(hold(), 20);
  });
}

function pulling(end: StreamEnd): void {
  const { world } = end;
  end.reader = 'busy';
  end.isSubscribed = true;
  end.stream.data$
    .pipe(
      pullMap(async (chunk) => {
        if (!world.isFinishing) await world.sim.pause(world.random.next() * 5);
        return chunk;
      }),
    )
    .subscribe({
      next: (chunk) => end.take(chunk),
      error: (error) => end.failed(error),
      complete: () => end.completed(),
    });
}

/** Two readers, of which the second holds: the first must not get ahead of it. */
function sharing(end: StreamEnd): void {
  const { world } = end;
  const shared$ = end.stream.data$.pipe(share());
  let first = 0;
  let second = 0;
  end.reader = 'busy';
  end.isSubscribed = true;
  shared$.subscribe({
    next: (chunk) => {
      first += chunk.byteLength;
      if (first - second !== chunk.byteLength) end.fail('a shared reader gets ahead of one that holds');
    },
    error: () => {},
  });
  shared$.subscribe({
    next: (chunk) => {
      second += chunk.byteLength;
      end.take(chunk);
      if (!world.isFinishing && world.random.oneIn(2)) world.later(hold(), 10);
    },
    error: (error) => end.failed(error),
    complete: () => end.completed(),
  });
}

/** Unsubscribes before the end, from inside or from outside. */
function leaving(end: StreamEnd): void {
  const { world } = end;
  let left = world.random.integer(0, 3);
  const subscription = attach(end, (chunk) => {
    end.take(chunk);
    if (left-- > 0) return;
    if (world.random.oneIn(2)) world.later(hold(), 10);
    leave();
  });
  const leave = (): void => {
    if (end.readEnd !== null || subscription.closed) return;
    end.left();
    subscription.unsubscribe();
  };
  if (world.random.oneIn(2)) world.later(leave, 30);
}

/** `for await`, with a `break`. */
async function breaking(end: StreamEnd): Promise<void> {
  let left = end.world.random.integer(1, 4);
  end.reader = 'busy';
  try {
    for await (const chunk of end.stream) {
      if (end.readEnd !== null) return;
      end.take(chunk);
      if (--left > 0) continue;
      if (end.readEnd === null) end.left();
      break;
    }
    if (end.readEnd === null) end.completed();
  } catch (error) {
    if (end.readEnd === null) end.failed(error);
  }
}

/** The platform's reader, and its way to leave. */
async function cancelling(end: StreamEnd): Promise<void> {
  let left = end.world.random.integer(1, 4);
  const reader = end.stream.readable.getReader();
  end.reader = 'busy';
  try {
    while (left-- > 0) {
      const { done, value } = await end.watch('reader.read', reader.read());
      if (end.readEnd !== null) return;
      if (done) {
        end.completed();
        return;
      }
      end.take(value);
    }
    if (end.readEnd !== null) return;
    end.left();
    await end.watch('reader.cancel', reader.cancel());
  } catch (error) {
    if (end.readEnd === null) end.failed(error);
  }
}

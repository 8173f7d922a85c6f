import { from, Observable } from 'rxjs';
import type { ByteSource, Chunk, SendOptions } from '../../lib/api.js';
import { canHold } from '../../lib/core/hold.js';
import type { StreamEnd } from './model-end.js';
import { logarithmic } from './model-plan.js';
import { Deliberate } from './model-world.js';

/** A way to send; it may go on by itself for a while. */
type Sending = (end: StreamEnd) => void;

export const sendings: readonly Sending[] = [
  write,
  write,
  observe,
  sendBytes,
  sendGenerator,
  sendAsyncGenerator,
  sendColdObservable,
  sendTimedObservable,
  sendReadable,
  useWritable,
];

const mostBytes = 60_000;

function someBytes(end: StreamEnd): number {
  return Math.min(mostBytes, logarithmic(end.world.random, 1, end.world.plan.volumes[end.side]));
}

/** Several pieces, one of them empty now and then. */
function somePieces(end: StreamEnd): number[] {
  const { random } = end.world;
  const pieces: number[] = [];
  for (let left = someBytes(end); left > 0 && pieces.length < 50; ) {
    const bytes = random.oneIn(30) ? 0 : Math.min(left, logarithmic(random, 1, Math.max(1, left)));
    pieces.push(bytes);
    left -= bytes;
  }
  return pieces;
}

function asChunk(end: StreamEnd, bytes: Uint8Array): Chunk {
  return end.world.random.oneIn(5) ? new TextDecoder().decode(bytes) : bytes;
}

const taken = (end: StreamEnd): number => end.stream.stats.bytesOut + end.stream.stats.queuedOut;

/** Gives one chunk to `give`, and finds out whether it was taken. */
function offer(end: StreamEnd, bytes: number, give: (chunk: Chunk) => void): boolean {
  const { outgoing } = end;
  const before = taken(end);
  const chunk = asChunk(end, outgoing.make(bytes));
  give(chunk);
  const more = taken(end) - before;
  if (more === bytes) return true;
  outgoing.produced -= bytes;
  if (more > 0) end.fail(`${more} of ${bytes} bytes were taken`);
  return false;
}

function write(end: StreamEnd): void {
  const count = end.world.random.integer(1, 3);
  for (let round = 0; round < count; round++) {
    const bytes = end.world.random.oneIn(20) ? 0 : someBytes(end);
    let promise: Promise<void> | undefined;
    offer(end, bytes, (chunk) => {
      promise = end.stream.write(chunk);
    });
    end.say(`write(${bytes})`);
    if (promise !== undefined) void end.watch('write', promise).catch(() => {});
  }
}

/** The stream as an Observer. Not from inside a delivery, which would wait for it: the two might share a window. */
function observe(end: StreamEnd): void {
  if (canHold()) {
    write(end);
    return;
  }
  const bytes = someBytes(end);
  end.say(`next(${bytes})`);
  offer(end, bytes, (chunk) => end.stream.next(chunk));
}

/** Whether the source ends the half, and whether it is broken off; then calls `send`. */
function send(
  end: StreamEnd,
  what: string,
  source: (ends: boolean) => ByteSource,
  more: SendOptions = {},
): void {
  const { world, pair, side } = end;
  const ends = world.random.oneIn(3);
  const options: SendOptions = { ...more, end: ends };
  if (world.plan.isRough && world.random.oneIn(8)) {
    const leaving = new AbortController();
    options.signal = leaving.signal;
    world.later(() => {
      if (end.writer === 'busy') {
        end.say('aborts its send');
        pair.resets[side].add('cancel');
      }
      leaving.abort(new Deliberate('no time to send'));
    }, 20);
  }
  end.say(`send(${what}${ends ? '' : ', end: false'})`);
  end.writer = 'busy';
  end.watch('send', end.stream.send(source(ends), options)).then(
    () => {
      const { bytesOut, queuedOut } = end.stream.stats;
      if (!end.isOver && bytesOut !== end.outgoing.produced) {
        end.fail(
          `send() is done with ${bytesOut} of ${end.outgoing.produced} bytes, ${queuedOut} are queued`,
        );
      }
      end.writer = ends ? 'over' : 'idle';
    },
    () => {
      end.writer = 'over';
    },
  );
}

function sendBytes(end: StreamEnd): void {
  const bytes = someBytes(end);
  send(end, `${bytes} bytes`, (ends) => {
    const chunk = asChunk(end, end.outgoing.make(bytes));
    end.outgoing.ended ||= ends;
    return chunk;
  });
}

/** A source that breaks resets its stream; only a rough program has such. */
function mayBreak(end: StreamEnd): void {
  if (!end.world.plan.isRough || !end.world.random.oneIn(60)) return;
  end.say('its source breaks');
  end.pair.resets[end.side].add('internal-error');
  throw new Deliberate('the source breaks');
}

function sendGenerator(end: StreamEnd): void {
  const { outgoing } = end;
  send(end, 'a generator', function* (ends): Generator<Chunk | Chunk[]> {
    for (const bytes of somePieces(end)) {
      mayBreak(end);
      if (end.world.random.oneIn(6)) {
        yield [asChunk(end, outgoing.make(bytes)), asChunk(end, outgoing.make(1))];
      } else yield asChunk(end, outgoing.make(bytes));
    }
    outgoing.ended ||= ends;
  });
}

function sendAsyncGenerator(end: StreamEnd): void {
  const { world, outgoing } = end;
  send(end, 'an async generator', async function* (ends): AsyncGenerator<Chunk> {
    for (const bytes of somePieces(end)) {
      if (world.random.oneIn(3)) await world.sim.pause(world.random.next() * 5);
      mayBreak(end);
      yield asChunk(end, outgoing.make(bytes));
    }
    outgoing.ended ||= ends;
  });
}

/** All at once, whatever the window: it waits in the stream. */
function sendColdObservable(end: StreamEnd): void {
  if (canHold()) {
    write(end);
    return;
  }
  send(end, 'a cold Observable', (ends) => {
    const chunks = somePieces(end).map((bytes) => asChunk(end, end.outgoing.make(bytes)));
    end.outgoing.ended ||= ends;
    return from(chunks);
  });
}

/** Chunks at times of its own: what there is no room for is kept, dropped, or too much. */
function sendTimedObservable(end: StreamEnd): void {
  const { world, outgoing, pair, side } = end;
  const overflow = world.random.pick([
    'unbounded',
    'drop-newest',
    world.plan.isRough ? 'strict' : 'unbounded',
  ] as const);
  const maxBuffered = overflow === 'unbounded' ? 0 : logarithmic(world.random, 1, 20_000);
  const source = (ends: boolean): Observable<Chunk> =>
    new Observable((subscriber) => {
      const pieces = somePieces(end);
      const next = (): void => {
        const bytes = pieces.shift();
        if (bytes === undefined || subscriber.closed) {
          outgoing.ended ||= ends && !subscriber.closed;
          subscriber.complete();
          return;
        }
        if (overflow === 'strict') pair.resets[side].add('overflow');
        offer(end, bytes, (chunk) => subscriber.next(chunk));
        cancel = world.sim.after(world.random.next() * 3, next);
      };
      let cancel = world.sim.after(1, next);
      return () => cancel();
    });
  send(end, `a timed Observable, ${overflow}`, source, { overflow, maxBuffered });
}

function sendReadable(end: StreamEnd): void {
  const pieces = somePieces(end).filter((bytes) => bytes > 0);
  send(
    end,
    'a ReadableStream',
    (ends) =>
      new ReadableStream<Chunk>(
        {
          pull(controller) {
            const bytes = pieces.shift();
            if (bytes !== undefined) controller.enqueue(end.outgoing.make(bytes));
            else {
              end.outgoing.ended ||= ends;
              controller.close();
            }
          },
        },
        { highWaterMark: 0 },
      ),
  );
}

/** The platform's writer, which waits for each chunk. */
async function useWritable(end: StreamEnd): Promise<void> {
  const pieces = somePieces(end);
  const ends = end.world.random.oneIn(3);
  if (end.stream.writable.locked) return;
  end.writer = 'busy';
  end.say(`writes to its WritableStream${ends ? ', and closes it' : ''}`);
  const writer = end.stream.writable.getWriter();
  writer.closed.catch(() => {});
  try {
    for (const bytes of pieces) {
      await end.watch('writer.write', writer.write(asChunk(end, end.outgoing.make(bytes))));
    }
    if (ends) {
      end.outgoing.ended = true;
      await end.watch('writer.close', writer.close());
    }
    end.writer = ends ? 'over' : 'idle';
    if (!ends) writer.releaseLock();
  } catch {
    end.writer = 'over';
  }
}

import type { ByteSource, Chunk, SendOptions, SubscribableLike } from '../api.js';
import { onAbort } from './abort.js';
import { describe, isChunk, join, toBytes } from './bytes.js';
import { enter, leave } from './hold.js';
import { defaultUnpaced, type Outbox, type Unpaced } from './outbox.js';
import { isThenable } from './promises.js';

/** One pull of a source, whatever its form. */
interface Puller {
  next(): Result | PromiseLike<Result>;
  /** Tells the source that no more is wanted. */
  close(reason: unknown): unknown;
}
interface Result {
  readonly done?: boolean | undefined;
  readonly value?: Chunk | Chunk[] | undefined;
}

/**
 * Moves a source into a sending half, to its end, and resolves when its last byte has been taken. A pullable source is
 * pulled only while there is room; one that pushes is held. Rejects with the source's own error. Bytes are taken at once,
 * and give no promise, so that their end can travel in the same frame.
 */
export function takeFrom(outbox: Outbox, source: ByteSource, options: SendOptions): Promise<void> | null {
  options.signal?.throwIfAborted();
  if (isChunk(source)) {
    outbox.take(toBytes(source));
    return null;
  }
  const form = source as Partial<
    SubscribableLike<Chunk> & AsyncIterable<Chunk> & Iterable<Chunk> & ReadableStream<Chunk>
  >;
  return typeof form.subscribe === 'function'
    ? observe(outbox, form as SubscribableLike<Chunk>, options)
    : pull(outbox, pullerOf(form), options.signal);
}

/** A source that is none is the caller's mistake. */
export function checkSource(source: unknown): void {
  if (isChunk(source)) return;
  const form = ArrayBuffer.isView(source)
    ? undefined
    : (source as Record<PropertyKey, unknown> | null | undefined);
  const ways: PropertyKey[] = ['subscribe', Symbol.asyncIterator, Symbol.iterator, 'getReader'];
  if (typeof form === 'object' && form !== null && ways.some((way) => typeof form[way] === 'function'))
    return;
  throw new TypeError(
    `send() takes bytes, an Observable, an iterable or a ReadableStream, not ${describe(source)}`,
  );
}

function pullerOf(
  form: Partial<AsyncIterable<Chunk> & Iterable<Chunk> & Pick<ReadableStream<Chunk>, 'getReader'>>,
): Puller {
  // The platform's streams are iterable too, but only a reader can cancel while it waits.
  const iterator =
    form instanceof ReadableStream
      ? undefined
      : (form[Symbol.asyncIterator]?.() ?? form[Symbol.iterator]?.());
  if (iterator !== undefined) {
    return {
      next: () => iterator.next() as Result | PromiseLike<Result>,
      close: () => iterator.return?.(),
    };
  }
  const reader = (form as ReadableStream<Chunk>).getReader();
  return {
    next: () => reader.read() as Promise<Result>,
    close: (reason) => reader.cancel(reason).then(() => reader.releaseLock()),
  };
}

async function pull(outbox: Outbox, source: Puller, signal: AbortSignal | undefined): Promise<void> {
  let lastBytes = 0;
  let exhausted = false;
  const stopper = new Stopper(outbox, signal);
  try {
    for (;;) {
      // With room for another like the last one, a source of even chunks is never more than the window ahead.
      const room = outbox.room(lastBytes);
      if (room !== null) await stopper.unless(room);
      stopper.check();
      const next = source.next();
      let result: Result;
      try {
        result = isThenable(next) ? await stopper.unless(next) : next;
      } catch (error) {
        exhausted = !stopper.hasStopped;
        throw error;
      }
      if (result.done) {
        exhausted = true;
        return;
      }
      if (outbox.refusal !== undefined) throw outbox.refusal;
      const value = result.value as Chunk | Chunk[];
      const bytes = Array.isArray(value) ? join(value.map(toBytes)) : toBytes(value);
      lastBytes = bytes.byteLength;
      outbox.take(bytes);
    }
  } catch (error) {
    if (!exhausted) closeQuietly(source, error);
    throw error;
  } finally {
    stopper.leave();
  }
}

/** Ends every wait of a pull when the stream fails or the signal is aborted, however long the source is silent. */
class Stopper {
  hasStopped = false;
  readonly #outbox: Outbox;
  readonly #forget: () => void;
  #reason: unknown = undefined;
  #reject: ((reason: unknown) => void) | null = null;

  constructor(outbox: Outbox, signal: AbortSignal | undefined) {
    this.#outbox = outbox;
    outbox.onFail.add(this.#stop);
    this.#forget = onAbort(signal, this.#stop);
    if (outbox.hasFailed) this.#stop(outbox.error);
  }

  check(): void {
    if (this.hasStopped) throw this.#reason;
  }

  /** `promise`, or the reason to stop if that comes first. */
  unless<T>(promise: PromiseLike<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.hasStopped) reject(this.#reason);
      this.#reject = reject;
      promise.then(resolve, reject);
    });
  }

  leave(): void {
    this.#reject = null;
    this.#outbox.onFail.delete(this.#stop);
    this.#forget();
  }

  readonly #stop = (reason: unknown): void => {
    if (this.hasStopped) return;
    this.hasStopped = true;
    this.#reason = reason;
    this.#reject?.(reason);
  };
}

/** A source that fails to close has nothing more to say to us: the first error counts. */
function closeQuietly(source: Puller, reason: unknown): void {
  try {
    Promise.resolve(source.close(reason)).catch(() => {});
  } catch {}
}

function observe(outbox: Outbox, source: SubscribableLike<Chunk>, options: SendOptions): Promise<void> {
  const { signal } = options;
  const unpaced: Unpaced = {
    maxBuffered: options.maxBuffered ?? defaultUnpaced.maxBuffered,
    overflow: options.overflow ?? defaultUnpaced.overflow,
  };
  return new Promise((resolve, reject) => {
    let over = false;
    let subscription: { unsubscribe(): void } | void;
    const leaving = new AbortController();
    const settle = (error?: unknown): void => {
      if (over) return;
      over = true;
      forget();
      outbox.onFail.delete(settle);
      // Sources of the platform's kind end by the signal, those of rxjs by their subscription.
      leaving.abort();
      subscription?.unsubscribe();
      if (error === undefined) resolve();
      else reject(error);
    };
    const forget = onAbort(signal, settle);
    outbox.onFail.add(settle);
    // What a source emits at once is no delivery of whoever is delivering now: that one is not to be held for it.
    const outer = enter(null);
    subscription = source.subscribe(
      {
        next: (chunk: Chunk) => {
          if (over) return;
          try {
            if (!outbox.next(chunk, unpaced)) settle(outbox.refusal);
          } catch (error) {
            settle(error);
          }
        },
        error: (error: unknown) => settle(error ?? new Error('the source failed without saying why')),
        complete: () => settle(),
      },
      { signal: leaving.signal },
    );
    leave(outer);
    if (over) subscription?.unsubscribe();
  });
}

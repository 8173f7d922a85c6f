import type { ByteSource, Chunk, SendOptions, SubscribableLike } from '../api.js';
import { onAbort } from './abort.js';
import { describe, isChunk, toBytes } from './bytes.js';
import { enter, leave } from './hold.js';
import { defaultUnpaced, type Outbox, type Unpaced } from './outbox.js';
import { done, handled, rejected } from './promises.js';
import { pulledOf } from './pulled.js';
import { Pump } from './pump.js';

/**
 * Moves a source into a sending half, to its end, and resolves when its last byte has been taken. A pullable source is
 * pulled only while there is room; one that pushes is held. `ended` is called at once when its last byte has been taken.
 * Rejects with the source's own error, or with why nothing is taken of it: it is closed then.
 */
export function takeFrom(
  outbox: Outbox,
  source: ByteSource,
  options: SendOptions,
  ended: () => void,
): Promise<void> {
  const { signal } = options;
  const refusal = outbox.refusal ?? (signal?.aborted ? signal.reason : undefined);
  if (refusal !== undefined) {
    void handled((async () => close(source, refusal))());
    return rejected(refusal);
  }
  if (isChunk(source)) {
    outbox.take(toBytes(source));
    ended();
    return done;
  }
  const form = source as Partial<SubscribableLike<Chunk>>;
  return typeof form.subscribe === 'function'
    ? observe(outbox, form as SubscribableLike<Chunk>, options, ended)
    : new Pump(outbox, pulledOf(source), signal, ended).finished;
}

const overflows: readonly string[] = ['strict', 'unbounded', 'drop-newest'];

/** Nothing is wanted of a source: it is to know, or whoever feeds it would wait for ever. */
function close(source: ByteSource, reason: unknown): unknown {
  if (isChunk(source)) return undefined;
  const form = source as Partial<SubscribableLike<Chunk>>;
  if (typeof form.subscribe !== 'function') return pulledOf(source).close(reason);
  return form.subscribe({ error: () => {} }, { signal: AbortSignal.abort() })?.unsubscribe();
}

/** A source that is none is the caller's mistake, and so are options that cannot be. */
export function checkSource(source: unknown, { maxBuffered = 0, overflow = 'strict' }: SendOptions): void {
  if (!(maxBuffered >= 0)) throw new RangeError(`maxBuffered cannot be ${maxBuffered}`);
  if (!overflows.includes(overflow)) throw new TypeError(`overflow cannot be ${overflow}`);
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

function observe(
  outbox: Outbox,
  source: SubscribableLike<Chunk>,
  options: SendOptions,
  ended: () => void,
): Promise<void> {
  const { signal, maxBuffered = defaultUnpaced.maxBuffered, overflow = defaultUnpaced.overflow } = options;
  const unpaced: Unpaced = { maxBuffered, overflow };
  return new Promise((resolve, reject) => {
    let over = false;
    let subscription: { unsubscribe(): void } | void;
    const leaving = new AbortController();
    const settle = (error?: unknown): void => {
      if (over) return;
      over = true;
      forget();
      outbox.onFail.delete(settle);
      if (error === undefined) {
        ended();
        resolve();
      } else reject(error);
      // Sources of the platform's kind end by the signal, those of rxjs by their subscription: its teardown may throw.
      leaving.abort();
      subscription?.unsubscribe();
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
        error: (error: unknown) => settle(error ?? new Error('the source gave no reason')),
        complete: () => settle(),
      },
      { signal: leaving.signal },
    );
    leave(outer);
    if (over) subscription?.unsubscribe();
  });
}

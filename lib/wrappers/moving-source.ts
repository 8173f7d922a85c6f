import type { ByteSource, Chunk, SubscribableLike } from '../api.js';
import { toBytes } from '../core/bytes.js';
import { isThenable } from '../core/promises.js';
import { type Pull, type Pulled, pulledOf } from '../core/pulled.js';

/** Whom a source tells what it gave, for as long as that may have to be given again. */
export interface Recorder {
  /** Nothing is given again any more: the source goes through as it is. */
  readonly isSettled: boolean;
  record(bytes: Uint8Array): void;
}

/** A source that goes on where it was, when the stream which it is sent to is replaced by another. */
export interface MovingSource {
  /** It has given all. One that has failed has not: the next attempt gets its error. */
  readonly isExhausted: boolean;
  /** What to send to the next stream; the one before gets no more. */
  attempt(): ByteSource;
  /** Nobody wants it any more. */
  close(): void;
}

/** For a source that is not bytes: those are kept as they are. */
export function movingSource(source: ByteSource, recorder: Recorder): MovingSource {
  const form = source as Partial<SubscribableLike<Chunk>>;
  return typeof form.subscribe === 'function'
    ? new MovingPush(form as SubscribableLike<Chunk>, recorder)
    : new MovingPull(source, recorder);
}

class MovingPull implements MovingSource {
  isExhausted = false;
  readonly #form: ByteSource;
  readonly #recorder: Recorder;
  #pulled: Pulled | null = null;
  #attempts = 0;
  /** A pull on its way, which the next attempt takes over. */
  #pending: Pull | PromiseLike<Pull> | null = null;
  #hasFailed = false;

  constructor(source: ByteSource, recorder: Recorder) {
    this.#form = source;
    this.#recorder = recorder;
  }

  attempt(): ByteSource {
    const number = ++this.#attempts;
    const iterator = {
      next: () => this.#next(number),
      return: async () => {
        if (number === this.#attempts && this.#recorder.isSettled) await this.#pulled?.close();
        return { done: true, value: undefined };
      },
    };
    // What gives no promise is pulled without one: `send()` takes either. It also fails if this throws.
    const begin = (): AsyncIterator<Chunk | Chunk[]> => {
      this.#pulled ??= pulledOf(this.#form);
      return iterator as unknown as AsyncIterator<Chunk | Chunk[]>;
    };
    return { [Symbol.asyncIterator]: begin };
  }

  close(): void {
    if (this.isExhausted) return;
    this.isExhausted = true;
    if (this.#hasFailed) return;
    try {
      Promise.resolve((this.#pulled ?? pulledOf(this.#form)).close()).catch(() => {});
    } catch {
      // Why the stream failed is what counts.
    }
  }

  #next(number: number): Pull | PromiseLike<Pull> {
    const result = this.#pending ?? (this.#pulled as Pulled).next();
    if (this.#recorder.isSettled && this.#pending === null && isThenable(result)) return result;
    this.#pending = result;
    if (!isThenable(result)) return this.#took(result);
    return result.then(
      // An attempt that was given up gets nothing: the one after it waits for the same promise.
      (value) => (number === this.#attempts ? this.#took(value) : { done: true }),
      (error: unknown) => {
        // It stays pending: a further attempt fails with it too, instead of finding an end.
        this.#hasFailed = true;
        throw error;
      },
    );
  }

  #took(result: Pull): Pull {
    if (result.done) this.isExhausted = true;
    else if (!this.#recorder.isSettled) {
      const value = result.value as Chunk | Chunk[];
      for (const bytes of (Array.isArray(value) ? value : [value]).map(toBytes)) this.#recorder.record(bytes);
    }
    // What has no bytes stays pending: a further attempt fails with it too.
    this.#pending = null;
    return result;
  }
}

type Observer = Parameters<SubscribableLike<Chunk>['subscribe']>[0];

class MovingPush implements MovingSource {
  isExhausted = false;
  readonly #source: SubscribableLike<Chunk>;
  readonly #recorder: Recorder;
  readonly #leaving = new AbortController();
  #observer: Observer | null = null;
  #subscription: { unsubscribe(): void } | void = undefined;
  #started = false;
  #error: { readonly reason: unknown } | null = null;

  constructor(source: SubscribableLike<Chunk>, recorder: Recorder) {
    this.#source = source;
    this.#recorder = recorder;
  }

  attempt(): ByteSource {
    return {
      subscribe: (observer: Observer) => {
        this.#observer = observer;
        if (!this.#started) this.#start();
        else if (this.#error !== null) observer.error?.(this.#error.reason);
        else if (this.isExhausted) observer.complete?.();
        return {
          unsubscribe: () => {
            if (this.#observer !== observer) return;
            this.#observer = null;
            if (this.#recorder.isSettled) this.close();
          },
        };
      },
    };
  }

  close(): void {
    this.isExhausted = true;
    this.#observer = null;
    this.#leaving.abort();
    this.#subscription?.unsubscribe();
  }

  #start(): void {
    this.#started = true;
    const error = (reason: unknown): void => {
      this.#error = { reason };
      this.#observer?.error?.(reason);
    };
    const next = (chunk: Chunk): void => {
      if (this.#error !== null) return;
      try {
        if (!this.#recorder.isSettled) this.#recorder.record(toBytes(chunk));
      } catch (reason) {
        // No chunk at all: a further attempt fails with it too.
        error(reason);
        return;
      }
      this.#observer?.next?.(chunk);
    };
    const complete = (): void => {
      if (this.#error !== null) return;
      this.isExhausted = true;
      this.#observer?.complete?.();
    };
    this.#subscription = this.#source.subscribe({ next, error, complete }, { signal: this.#leaving.signal });
    if (this.#leaving.signal.aborted) this.#subscription?.unsubscribe();
  }
}

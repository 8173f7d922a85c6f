import type { ByteSource, Chunk } from '../api.js';

/** A source that is pulled, whatever its form. */
export interface Pulled {
  next(): Pull | PromiseLike<Pull>;
  /** Tells the source that no more is wanted. */
  close(reason?: unknown): unknown;
}

export interface Pull {
  readonly done?: boolean | undefined;
  readonly value?: Chunk | Chunk[] | undefined;
}

type Form = Partial<AsyncIterable<Chunk> & Iterable<Chunk> & ReadableStream<Chunk>>;

/** How to pull a source that is neither bytes nor subscribed to. Throws where it cannot be begun. */
export function pulledOf(source: ByteSource): Pulled {
  const form = source as Form;
  // The platform's streams are iterable too, but only a reader can cancel while it waits.
  const iterator =
    form instanceof ReadableStream
      ? undefined
      : (form[Symbol.asyncIterator]?.() ?? form[Symbol.iterator]?.());
  if (iterator !== undefined) {
    return {
      next: () => iterator.next() as Pull | PromiseLike<Pull>,
      close: () => iterator.return?.(),
    };
  }
  const reader = (form as ReadableStream<Chunk>).getReader();
  return {
    next: () => reader.read() as Promise<Pull>,
    close: (reason) => reader.cancel(reason).then(() => reader.releaseLock()),
  };
}

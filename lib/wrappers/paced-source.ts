import type { ByteSource, Chunk, SubscribableLike } from '../api.js';
import { isChunk, toBytes } from '../core/bytes.js';
import { hold } from '../core/hold.js';
import { isThenable } from '../core/promises.js';
import { type Pull, type Pulled, pulledOf } from '../core/pulled.js';

/** What is told of each piece that a source gives. */
export interface Pacer {
  /** Counts bytes on their way; gives the milliseconds to wait before the next ones. */
  charge(bytes: number): number;
  /** Calls `task` after so many milliseconds, or when the connection is over. */
  wait(ms: number, task: () => void): void;
  /** The source gives no more. */
  ended(): void;
}

/** A single chunk is cut, so that a rate holds within it too. What sources give goes as it is. */
const pieceBytes = 16 * 1024;

/** The same source, at the pace of `pacer`: pulled later, or held, or handed out piece by piece. */
export function pacedSource(source: ByteSource, pacer: Pacer): ByteSource {
  if (isChunk(source)) return pull(piecesOf(toBytes(source)), pacer);
  const form = source as Partial<SubscribableLike<Chunk>>;
  return typeof form.subscribe === 'function'
    ? push(form as SubscribableLike<Chunk>, pacer)
    : pull(source, pacer);
}

function* piecesOf(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

/** What is no chunk, or has one among it, costs nothing: the stream takes none of it, and says so itself. */
function sizeOf(value: Chunk | Chunk[] | undefined): number {
  const chunks = Array.isArray(value) ? value : [value];
  if (!chunks.every(isChunk)) return 0;
  return chunks.reduce((sum, chunk) => sum + toBytes(chunk).length, 0);
}

/** A source that cannot be begun is the stream's to fail with. */
function pull(source: ByteSource, pacer: Pacer): AsyncIterable<Chunk | Chunk[]> {
  return {
    [Symbol.asyncIterator]: () =>
      pacedBy(pacer, pulledOf(source)) as unknown as AsyncIterator<Chunk | Chunk[]>,
  };
}

/** What is given when nothing is awaited: both kinds of iterators at once. */
interface Paced {
  next(): Pull | PromiseLike<Pull>;
  return(): Promise<void>;
}

function pacedBy(pacer: Pacer, source: Pulled): Paced {
  let debt = 0;
  let isClosed = false;
  const charged = (result: Pull): Pull => {
    if (result.done) pacer.ended();
    else debt = pacer.charge(sizeOf(result.value));
    return result;
  };
  const next = (): Pull | PromiseLike<Pull> => {
    if (isClosed) return { done: true };
    if (debt > 0) {
      const ms = debt;
      debt = 0;
      return new Promise<void>((resolve) => pacer.wait(ms, resolve)).then(next);
    }
    const result = source.next();
    return isThenable(result) ? result.then(charged) : charged(result);
  };
  // Pulled without a promise where the source gives none: `send()` takes either.
  return {
    next,
    return: async () => {
      isClosed = true;
      await source.close();
    },
  };
}

function push(source: SubscribableLike<Chunk>, pacer: Pacer): SubscribableLike<Chunk> {
  return {
    subscribe: (observer, options) =>
      source.subscribe(
        {
          next: (chunk) => {
            const ms = pacer.charge(isChunk(chunk) ? toBytes(chunk).length : 0);
            observer.next?.(chunk);
            if (ms > 0) pacer.wait(ms, hold());
          },
          error: (error) => observer.error?.(error),
          complete: () => {
            pacer.ended();
            observer.complete?.();
          },
        },
        options,
      ),
  };
}

/** Bytes for specs: each depends on its position, so that a lost, doubled or misplaced one shows. */
import type { Stream } from 'rxmux';

/** The byte at a position; the pattern repeats only after 16 MiB. */
function byteAt(position: number): number {
  return (position * 167 + (position >>> 8) * 13 + (position >>> 16) * 7) & 255;
}

/** `length` bytes of the pattern, from `start`. */
export function pattern(length: number, start = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = byteAt(start + index);
  return bytes;
}

/** Asserts that `actual` is exactly `length` bytes of the pattern. */
export function expectPattern(actual: Uint8Array, length: number, start = 0): void {
  let wrongAt = -1;
  for (let index = 0; index < actual.byteLength && wrongAt === -1; index++) {
    if (actual[index] !== byteAt(start + index)) wrongAt = index;
  }
  expect({ length: actual.byteLength, wrongAt }).toEqual({ length, wrongAt: -1 });
}

/** Asserts that two arrays of their own memory are the same, four bytes at a time: megabytes take long one by one. */
export function expectSame(actual: Uint8Array, expected: Uint8Array): void {
  const [words, others] = [actual, expected].map(
    ({ buffer, byteLength }) => new Int32Array(buffer, 0, byteLength >>> 2),
  ) as [Int32Array, Int32Array];
  let wrongAt = words.length;
  for (let at = 0; at < words.length; at++) {
    if (words[at] === others[at]) continue;
    wrongAt = at;
    break;
  }
  expect([actual.byteLength, 4 * wrongAt]).toEqual([expected.byteLength, expected.byteLength]);
}

/** One array of all chunks. */
export function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function text(bytes: Uint8Array | null): string {
  if (bytes === null) throw new Error('the stream ended where bytes were expected');
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
}

/** All bytes of `data$`, once it completes; its error, if it ends with one. Subscribes at once. */
export function collect(stream: Stream): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    stream.data$.subscribe({
      next: (chunk) => chunks.push(chunk),
      error: reject,
      complete: () => resolve(concat(chunks)),
    });
  });
}

/** Reads until there are `count` bytes, whatever the chunks; fails if the stream ends before. */
export async function take(stream: Stream, count: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (let got = 0; got < count; ) {
    const chunk = await stream.read();
    if (chunk === null) throw new Error(`the stream ended after ${got} bytes of ${count}`);
    chunks.push(chunk);
    got += chunk.byteLength;
  }
  return concat(chunks);
}

/** Beyond any window: a source pulled so far is pulled without end, and would hang the program. */
const runawayBytes = 32 << 20;

/** A source of pattern bytes that counts what was pulled from it and knows whether it was closed. */
export class Supply {
  pulled = 0;
  closed = false;
  readonly chunkBytes: number;
  readonly totalBytes: number;

  /** Without a total there is no end, as far as a case can tell. */
  constructor(chunkBytes: number, totalBytes: number = Number.POSITIVE_INFINITY) {
    this.chunkBytes = chunkBytes;
    this.totalBytes = totalBytes;
  }

  /** The next chunk; undefined at the end. */
  next(): Uint8Array | undefined {
    const length = Math.min(this.chunkBytes, this.totalBytes - this.pulled);
    if (length <= 0) return undefined;
    if (this.pulled > runawayBytes)
      throw new Error(`${this.pulled} bytes were pulled: nothing holds the source`);
    const chunk = pattern(length, this.pulled);
    this.pulled += length;
    return chunk;
  }

  *sync(): Generator<Uint8Array> {
    try {
      for (let chunk = this.next(); chunk !== undefined; chunk = this.next()) yield chunk;
    } finally {
      this.closed = true;
    }
  }

  /** Batches of four chunks. */
  *batches(): Generator<Uint8Array[]> {
    try {
      for (let chunk = this.next(); chunk !== undefined; chunk = this.next()) {
        const batch = [chunk];
        for (let more = 0; more < 3; more++) {
          const following = this.next();
          if (following !== undefined) batch.push(following);
        }
        yield batch;
      }
    } finally {
      this.closed = true;
    }
  }

  async *async(): AsyncGenerator<Uint8Array> {
    try {
      for (let chunk = this.next(); chunk !== undefined; chunk = this.next()) {
        await Promise.resolve();
        yield chunk;
      }
    } finally {
      this.closed = true;
    }
  }

  readable(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: (controller) => {
          const chunk = this.next();
          if (chunk === undefined) controller.close();
          else controller.enqueue(chunk);
        },
        cancel: () => {
          this.closed = true;
        },
      },
      { highWaterMark: 0 },
    );
  }
}

/** Random numbers in [0, 1) that are the same in each run (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A source that says one thing and then nothing, without an end. */
export class Silence implements AsyncIterable<string> {
  closed = false;
  readonly #first: string;

  constructor(first: string) {
    this.#first = first;
  }

  [Symbol.asyncIterator](): AsyncIterator<string> {
    let pulled = 0;
    return {
      next: () =>
        pulled++ === 0 ? Promise.resolve({ done: false, value: this.#first }) : new Promise(() => {}),
      return: () => {
        this.closed = true;
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }
}

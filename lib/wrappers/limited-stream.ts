import { Observable } from 'rxjs';
import type { ByteSource, Chunk, SendOptions, Stream } from '../api.js';
import { toBytes } from '../core/bytes.js';
import { hold } from '../core/hold.js';
import { checkSource } from '../core/source.js';
import { iterate, readableOf, writableOf } from '../core/views.js';
import { ForwardingStream } from './forwarding-stream.js';
import { type Pacer, pacedSource } from './paced-source.js';

/** What one direction of a stream owes: to its own limits, and to those of its connection. */
export interface Meter {
  /** Counts bytes; gives the milliseconds to wait, or ends what was exceeded and gives a negative number. */
  charge(bytes: number): number;
}

/** What the streams of one connection share. */
export interface Waiting {
  /** Calls `task` after so many milliseconds, or when the connection is over. */
  wait(ms: number, task: () => void): void;
}

/**
 * A stream whose bytes are counted and paced, both ways. What goes too fast is not kept: its source is pulled later, its
 * delivery held, the promise of its write resolved later. Whoever writes without waiting is not slowed down by that.
 */
export class LimitedStream extends ForwardingStream {
  readonly #in: Meter;
  readonly #out: Meter;
  readonly #waiting: Waiting;
  readonly #pacer: Pacer;
  /** A read that came too early waits for this. */
  #paused: Promise<void> | null = null;
  #readable: ReadableStream<Uint8Array> | null = null;
  #writable: WritableStream<Chunk> | null = null;

  constructor(inner: Stream, meters: { in: Meter; out: Meter }, waiting: Waiting) {
    super(inner);
    this.#in = meters.in;
    this.#out = meters.out;
    this.#waiting = waiting;
    this.#pacer = {
      charge: (bytes) => this.#out.charge(bytes),
      wait: (ms, task) => waiting.wait(ms, task),
    };
  }

  override get data$(): Observable<Uint8Array> {
    return new Observable((subscriber) =>
      this.inner.data$.subscribe({
        next: (chunk) => {
          const ms = this.#in.charge(chunk.byteLength);
          if (ms < 0) return;
          subscriber.next(chunk);
          if (ms > 0) this.#waiting.wait(ms, hold());
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => subscriber.complete(),
      }),
    );
  }

  override read(options?: { signal?: AbortSignal }): Promise<Uint8Array | null> {
    if (this.#paused === null) return this.#read(options);
    return this.#paused.then(() => this.read(options));
  }

  #read(options?: { signal?: AbortSignal }): Promise<Uint8Array | null> {
    const reading = this.inner.read(options).then((chunk) => {
      const ms = chunk === null ? 0 : this.#in.charge(chunk.byteLength);
      // The bytes beyond the limit are as lost as those behind them.
      if (ms < 0) return this.inner.read();
      if (ms > 0) this.#pause(ms);
      return chunk;
    });
    reading.catch(() => {});
    return reading;
  }

  #pause(ms: number): void {
    this.#paused = new Promise((resolve) => {
      this.#waiting.wait(ms, () => {
        this.#paused = null;
        resolve();
      });
    });
  }

  override get readable(): ReadableStream<Uint8Array> {
    this.#readable ??= readableOf(this);
    return this.#readable;
  }

  override [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return iterate(this);
  }

  override send(source: ByteSource, options?: SendOptions): Promise<void> {
    checkSource(source);
    return this.inner.send(pacedSource(source, this.#pacer), options);
  }

  override write(chunk: Chunk): Promise<void> {
    const ms = this.#out.charge(toBytes(chunk).byteLength);
    const written = this.inner.write(chunk);
    if (ms <= 0) return written;
    const paced = written.then(() => new Promise<void>((resolve) => this.#waiting.wait(ms, resolve)));
    paced.catch(() => {});
    return paced;
  }

  override get writable(): WritableStream<Chunk> {
    this.#writable ??= writableOf(this);
    return this.#writable;
  }

  override next(chunk: Chunk): void {
    let ms = 0;
    try {
      ms = this.#out.charge(toBytes(chunk).byteLength);
    } catch {
      // No chunk at all: the stream says so itself.
    }
    this.inner.next(chunk);
    if (ms > 0) this.#waiting.wait(ms, hold());
  }
}

import { Duplex } from 'node:stream';
import type { Subscription } from 'rxjs';
import type { Stream } from '../api.js';
import { hold, type Release } from '../core/hold.js';

/**
 * A stream as a Node Duplex, with its half-close and its backpressure. Destroying it before both ends are over resets
 * the stream. It has the methods that http and tls expect of a socket.
 */
export function toDuplex(stream: Stream): Duplex {
  return new StreamDuplex(stream);
}

class StreamDuplex extends Duplex {
  readonly #stream: Stream;
  #reading: Subscription | null = null;
  #held: Release | null = null;
  #readOver = false;
  #idleMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(stream: Stream) {
    super({ allowHalfOpen: true, emitClose: true });
    this.#stream = stream;
    stream.closed.catch((error) => this.#lost(error));
  }

  override _read(): void {
    const held = this.#held;
    this.#held = null;
    held?.();
    this.#start();
  }

  /** What had arrived with its end is still read; all else fails now. */
  #lost(error: Error): void {
    if (!this.destroyed && !this.readableEnded) this.#start();
    if (this.destroyed) return;
    if (this.readableEnded) this.destroy(error);
    else this.once('end', () => this.destroy(error));
  }

  #start(): void {
    this.#reading ??= this.#stream.data$.subscribe({
      next: (chunk) => {
        this.#touch();
        if (!this.push(chunk)) this.#held = hold();
      },
      error: (error) => this.destroy(error),
      complete: () => {
        this.#readOver = true;
        this.push(null);
      },
    });
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#touch();
    // A copy: once we are done whoever wrote it may use its memory again, and it may still be on its way.
    this.#stream.write(new Uint8Array(chunk)).then(
      () => {
        this.#touch();
        done();
      },
      (error) => this.#refused(error, done),
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#stream.end().then(
      () => done(),
      (error) => this.#refused(error, done),
    );
  }

  /** Whoever is reading gets the whole answer first. */
  #refused(error: Error, done: (error?: Error | null) => void): void {
    if (this.readableFlowing === null && this.listenerCount('readable') === 0) done(error);
    else this.#lost(error);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#timer);
    const finished = this.#readOver && this.writableFinished;
    if (!finished) this.#stream.reset('cancel', error ?? undefined);
    this.#reading?.unsubscribe();
    const held = this.#held;
    this.#held = null;
    held?.();
    done(error);
  }

  // What http, tls and database drivers call on a socket, and a stream has no use for.
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  setTimeout(ms: number, onTimeout?: () => void): this {
    this.#idleMs = ms;
    if (onTimeout !== undefined && ms > 0) this.once('timeout', onTimeout);
    this.#touch();
    return this;
  }

  /** Something moved: the idle time begins anew. */
  #touch(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#idleMs <= 0 || this.destroyed) return;
    this.#timer = setTimeout(() => this.emit('timeout'), this.#idleMs);
    this.#timer.unref();
  }
}

import { Observable } from 'rxjs';
import type { ByteSource, Chunk, HeadersInit, ResetCode, SendOptions, Stream } from '../api.js';
import { toBytes } from '../core/bytes.js';
import { StreamError } from '../core/errors.js';
import { hold } from '../core/hold.js';
import { abortable, handled } from '../core/promises.js';
import { checkSource } from '../core/source.js';
import { isLocalOver } from '../core/stream-state.js';
import { iterate, readableOf, writableOf } from '../core/views.js';
import { ForwardingStream } from './forwarding-stream.js';
import { type Pacer, pacedSource } from './paced-source.js';

/** What one direction of a stream owes: to its own limits, and to those of its connection. */
export interface Meter {
  /** Counts bytes; gives the milliseconds to wait, or ends what was exceeded and gives a negative number. */
  charge(bytes: number): number;
  /** Takes back bytes which were charged and will not be sent. */
  credit(bytes: number): void;
  /** Why it was ended; null as long as nothing was exceeded. */
  readonly failure: StreamError | null;
}

/** Something that waits for its time. */
export interface Wait {
  /** Its time has come, or it need not wait any more. */
  end(): void;
}

/** What the streams of one connection share. */
export interface Waiting {
  /** Calls `task` after so many milliseconds, or when the connection is over: null if that is now. `stream` is not idle. */
  wait(stream: Stream, ms: number, task: () => void): Wait | null;
}

/** Of the reading side, whose last bytes keep to the rate though the stream is closed, or of the sending one. */
type Side = 'reading' | 'sending';

/**
 * A stream whose bytes are counted and paced, both ways. What goes too fast is not kept: its source is pulled later, its
 * delivery held, the promise of its write resolved later. Whoever writes without waiting is not slowed down by that.
 */
export class LimitedStream extends ForwardingStream {
  readonly #in: Meter;
  readonly #out: Meter;
  readonly #waiting: Waiting;
  readonly #pacer: Omit<Pacer, 'ended'>;
  /** Bytes to be sent, as long as the sending half is not over. */
  #charged = 0;
  /** It takes no more, though its end may not be on the wire. */
  #hasEnded = false;
  /** What waits for its time now; null if nothing ever did. */
  #waits: Map<Wait, Side> | null = null;
  /** A read that came too early waits for this. */
  #paused: Promise<void> | null = null;
  /** One does. */
  #isReading = false;
  /** Rejects for readers: they have exceeded a limit. */
  #exceeded: Promise<never> | null = null;
  #readable: ReadableStream<Uint8Array> | null = null;
  #writable: WritableStream<Chunk> | null = null;

  constructor(inner: Stream, meters: { in: Meter; out: Meter }, waiting: Waiting) {
    super(inner);
    this.#in = meters.in;
    this.#out = meters.out;
    this.#waiting = waiting;
    this.#pacer = {
      charge: (bytes) => this.#charge(bytes),
      wait: (ms, task) => this.#wait('sending', ms, task),
    };
    inner.state$.subscribe({ next: () => this.#credit(), error: () => {} });
  }

  override get data$(): Observable<Uint8Array> {
    return new Observable((subscriber) => {
      if (this.#exceeded !== null) {
        this.#exceeded.catch((error: unknown) => subscriber.error(error));
        return;
      }
      let isOver = false;
      const subscription = this.inner.data$.subscribe({
        next: (chunk) => {
          const ms = this.#in.charge(chunk.length);
          if (ms < 0) {
            isOver = true;
            subscription.unsubscribe();
            this.#exceed().catch((error: unknown) => subscriber.error(error));
            return;
          }
          subscriber.next(chunk);
          if (ms > 0) this.#wait('reading', ms, hold());
        },
        error: (error: unknown) => {
          isOver = true;
          subscriber.error(error);
        },
        complete: () => {
          isOver = true;
          subscriber.complete();
        },
      });
      return () => {
        subscription.unsubscribe();
        if (!isOver) this.#end('reading');
      };
    });
  }

  override read({ signal }: { signal?: AbortSignal } = {}): Promise<Uint8Array | null> {
    return handled(this.#paused === null ? this.#read(signal) : this.#readLater(this.#paused, signal));
  }

  async #readLater(paused: Promise<void>, signal: AbortSignal | undefined): Promise<Uint8Array | null> {
    if (this.#isReading) {
      const message = `stream ${this.id} has a reader already, which waits for the rate it is limited to`;
      throw new StreamError('locked', message, { streamId: this.id });
    }
    this.#isReading = true;
    try {
      await abortable(paused, signal);
    } finally {
      this.#isReading = false;
    }
    return this.#read(signal);
  }

  async #read(signal: AbortSignal | undefined): Promise<Uint8Array | null> {
    if (this.#exceeded !== null) return this.#exceeded;
    const chunk = await this.inner.read(signal === undefined ? {} : { signal });
    const ms = chunk === null ? 0 : this.#in.charge(chunk.length);
    if (ms < 0) return this.#exceed();
    if (ms > 0) this.#pause(ms);
    return chunk;
  }

  /**
   * The bytes beyond a limit are as lost as those behind them. A stream that was closed before it was read cannot be reset:
   * its reader is told of the limit itself.
   */
  #exceed(): Promise<never> {
    this.#exceeded ??= handled(
      this.inner.closed.then(() => {
        throw this.#in.failure;
      }),
    );
    return this.#exceeded;
  }

  #pause(ms: number): void {
    this.#paused = new Promise((resolve) => {
      this.#wait('reading', ms, () => {
        this.#paused = null;
        resolve();
      });
    });
  }

  override stop(code?: ResetCode): void {
    this.inner.stop(code);
    this.#end('reading');
  }

  /** What a half that is over refuses costs nothing. */
  #charge(bytes: number): number {
    if (this.#hasEnded || isLocalOver(this.inner.state)) return 0;
    const ms = this.#out.charge(bytes);
    // What exceeds its limit is charged to nobody else.
    if (ms >= 0) this.#charged += bytes;
    return ms;
  }

  /** What a half that is over did not send is not owed by the others of its connection. */
  #credit(): void {
    if (!isLocalOver(this.inner.state)) return;
    const unsent = this.#charged - this.inner.stats.bytesOut;
    this.#charged = 0;
    if (unsent > 0) this.#out.credit(unsent);
  }

  /** A stream that has failed makes nobody wait, and one that is closed no sender. */
  #wait(side: Side, ms: number, task: () => void): void {
    const { state } = this.inner;
    if (state === 'reset' || (state === 'closed' && side === 'sending')) {
      task();
      return;
    }
    if (this.#waits === null) {
      this.#waits = new Map();
      const end = (): void => this.#end('sending');
      this.inner.closed.then(end, () => {
        end();
        this.#end('reading');
      });
    }
    const waits = this.#waits;
    let wait: Wait | null = null;
    wait = this.#waiting.wait(this.inner, ms, () => {
      if (wait !== null) waits.delete(wait);
      task();
    });
    if (wait !== null) waits.set(wait, side);
  }

  #end(side: Side): void {
    for (const [wait, of] of [...(this.#waits ?? [])]) if (of === side) wait.end();
  }

  override get readable(): ReadableStream<Uint8Array> {
    this.#readable ??= readableOf(this);
    return this.#readable;
  }

  override [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return iterate(this);
  }

  override send(source: ByteSource, options: SendOptions = {}): Promise<void> {
    checkSource(source, options);
    const ended = (): void => {
      if (options.end !== false) this.#hasEnded = true;
    };
    return this.#watched(this.inner.send(pacedSource(source, { ...this.#pacer, ended }), options));
  }

  override write(chunk: Chunk): Promise<void> {
    const ms = this.#charge(toBytes(chunk).length);
    const written = this.#watched(this.inner.write(chunk));
    if (ms <= 0) return written;
    return handled(written.then(() => new Promise((resolve) => this.#wait('sending', ms, resolve))));
  }

  /** Whoever is refused for an end, or for the peer's STOP, is the last: neither may be on the wire yet. */
  #watched(sending: Promise<void>): Promise<void> {
    sending.catch((error: unknown) => {
      if (StreamError.is(error) && ['ended', 'stopped'].includes(error.code)) this.#hasEnded = true;
    });
    return sending;
  }

  override end(trailers?: HeadersInit): Promise<void> {
    const ended = this.inner.end(trailers);
    this.#hasEnded = true;
    return ended;
  }

  override complete(): void {
    this.inner.complete();
    this.#hasEnded = true;
  }

  override get writable(): WritableStream<Chunk> {
    this.#writable ??= writableOf(this);
    return this.#writable;
  }

  override next(chunk: Chunk): void {
    let ms = 0;
    try {
      ms = this.#charge(toBytes(chunk).length);
    } catch {
      // No chunk at all: the stream says so itself.
    }
    this.inner.next(chunk);
    if (ms > 0) this.#wait('sending', ms, hold());
  }
}

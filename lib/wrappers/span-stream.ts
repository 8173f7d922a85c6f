import { Observable, type Subscription } from 'rxjs';
import type {
  ByteSource,
  Chunk,
  HeadersInit,
  ResetCode,
  SendOptions,
  Stream,
  StreamHeaders,
  StreamState,
  StreamStats,
} from '../api.js';
import { isChunk, noBytes, toBytes } from '../core/bytes.js';
import { StreamError } from '../core/errors.js';
import { abortable, done, handled } from '../core/promises.js';
import { checkSource } from '../core/source.js';
import { isLocalOver } from '../core/stream-state.js';
import { iterate, readableOf, writableOf } from '../core/views.js';
import { type MovingSource, movingSource, type Recorder } from './moving-source.js';
import { carryWaits } from './waits.js';

/** What is kept of a stream that has no answer yet, so that it can be sent again elsewhere. */
const replayBytes = 64 * 1024;

/** Opens the stream on a further connection, or gives null where there is none left to try. */
export type Reopen = () => Stream | null;

/** A source on its way, and where it is going now. */
interface Sending {
  readonly source: MovingSource;
  readonly options: SendOptions;
  promise: Promise<void>;
}

/**
 * A stream that was opened through a span. Until its acceptor answers, what is sent is kept beside, up to `replayBytes`: if
 * it is refused as unprocessed, it is opened and sent again on another connection, and its user notices nothing.
 *
 *     undecided ── answered, ended, failed for good, or reset here ──▶ settled: the stream of one connection
 *         └───── refused as retryable: another connection, what was kept is sent again ──▶ undecided
 */
export class SpanStream implements Stream, Recorder {
  readonly id: number;
  readonly origin: 'local' | 'remote' = 'local';
  #inner: Stream;
  readonly #reopen: Reopen;
  #isSettled = false;
  /** What was sent, with room for more behind it; null once that is too much. */
  #kept: Uint8Array | null = noBytes;
  #keptBytes = 0;
  #sendings: Set<Sending> = new Set();
  #end: { readonly trailers: HeadersInit | undefined } | null = null;
  #stopped: { readonly code: ResetCode | undefined } | null = null;
  /** The stream of a connection on which our half ended first. */
  #endedOn: Stream | null = null;
  /** All that was kept is with the present inner stream. */
  #replayed: Promise<unknown> = Promise.resolve();
  /** When it was opened first, once it is somewhere else. */
  #openedAt: number | undefined;
  #failure: StreamError | undefined;
  #reply: Promise<StreamHeaders> | null = null;
  #trailers: Promise<StreamHeaders | undefined> | null = null;
  #closed: Promise<void> | null = null;
  #readable: ReadableStream<Uint8Array> | null = null;
  #writable: WritableStream<Chunk> | null = null;

  constructor(id: number, inner: Stream, reopen: Reopen) {
    this.id = id;
    this.#inner = inner;
    this.#reopen = reopen;
    this.#watch(inner);
  }

  // ------------------------------------------------------------------ which stream it is

  /** The stream of a connection that it is now. */
  get inner(): Stream {
    return this.#inner;
  }

  /** It stays with its connection from here on. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Whether a failure of `inner` is none of ours, since another has taken its place: it has by now, if it can be. */
  isReplaced(inner: Stream, error: unknown): boolean {
    if (inner !== this.#inner) return true;
    if (this.#isSettled || !StreamError.is(error) || !error.retryable || this.#kept === null) return false;
    const next = this.#reopen();
    if (next === null) return false;
    this.#openedAt ??= inner.stats.openedAt;
    next.label = inner.label;
    this.#inner = next;
    carryWaits(this, next);
    this.#replay(next, this.#kept.slice(0, this.#keptBytes));
    this.#watch(next);
    return true;
  }

  /** Our half had ended before it was sent again, on `inner`. */
  hasEndedBefore(inner: Stream): boolean {
    return this.#endedOn !== null && this.#endedOn !== inner;
  }

  /** Keeps what was sent, in case it has to be sent again. */
  record(bytes: Uint8Array): void {
    if (this.#isSettled || this.#kept === null || this.#hasEnded()) return;
    const at = this.#keptBytes;
    this.#keptBytes += bytes.length;
    if (this.#keptBytes > replayBytes) this.#kept = null;
    else {
      if (this.#keptBytes > this.#kept.length) this.#kept = widened(this.#kept, this.#keptBytes);
      // The caller's memory is the caller's again once a write has resolved.
      this.#kept.set(bytes, at);
    }
  }

  #watch(inner: Stream): void {
    const watching = inner.state$.subscribe((state) => {
      if (state === 'half-closed-local') this.#endedOn ??= inner;
    });
    inner.reply.then(
      () => {
        watching.unsubscribe();
        if (inner === this.#inner) this.#settle();
      },
      (error: unknown) => {
        if (!this.isReplaced(inner, error)) this.#fail();
      },
    );
  }

  #settle(): void {
    this.#isSettled = true;
    this.#kept = null;
    this.#sendings.clear();
  }

  /** It is over, or will be: sources that waited for another connection are let go. */
  #fail(): void {
    this.#isSettled = true;
    if (this.#kept !== null) this.#kept = noBytes;
    for (const { source } of this.#sendings) source.close();
    this.#sendings.clear();
  }

  #replay(inner: Stream, kept: Uint8Array): void {
    const writes = kept.length > 0 ? [inner.write(kept)] : [];
    if (this.#stopped !== null) inner.stop(this.#stopped.code);
    let end = this.#end;
    const whole = [...this.#sendings].filter(({ source }) => source.isExhausted);
    for (const sending of this.#sendings) {
      const { source, options } = sending;
      if (!source.isExhausted) sending.promise = handled(inner.send(source.attempt(), options));
    }
    if (whole.some(({ options }) => options.end !== false)) end ??= { trailers: undefined };
    if (end !== null) writes.push(inner.end(end.trailers));
    this.#replayed = handled(Promise.all(writes));
    for (const sending of whole) sending.promise = this.#resent(sending.options.signal);
  }

  /** All that was kept is sent again, unless the signal that it was first sent with is aborted. */
  #resent(signal: AbortSignal | undefined): Promise<void> {
    const sent = this.#replayed.then(() => {});
    return handled(abortable(sent, signal, () => this.reset('cancel', signal?.reason)));
  }

  /** The error for our user: one whose bytes are gone cannot be tried again by us, nor safely by others. */
  #reason(error: unknown): unknown {
    if (!StreamError.is(error) || !error.retryable || this.#kept !== null || this.#keptBytes <= replayBytes)
      return error;
    if (this.#failure !== undefined) return this.#failure;
    const { code, message, streamId, remote, wireCode, reset, headers } = error;
    const sentence = `${message}; more than ${replayBytes} bytes had been sent, which are not kept`;
    const details = { streamId, remote, wireCode, reset, headers, retryable: false, cause: error };
    this.#failure = new StreamError(code, sentence, details);
    return this.#failure;
  }

  /** What a promise of the stream comes to, whichever stream that will be. */
  async #follow<T>(promiseOf: (inner: Stream) => Promise<T>, signal?: AbortSignal): Promise<T> {
    for (;;) {
      const inner = this.#inner;
      try {
        return await promiseOf(inner);
      } catch (error) {
        // What its user gave up for says nothing of the stream, whatever it looks like.
        if (signal?.aborted && error === signal.reason) throw error;
        if (!this.isReplaced(inner, error)) throw this.#reason(error);
      }
    }
  }

  // ------------------------------------------------------------------ looking

  get label(): string {
    return this.#inner.label;
  }

  set label(label: string) {
    this.#inner.label = label;
  }

  get headers(): StreamHeaders {
    return this.#inner.headers;
  }

  get state(): StreamState {
    return this.#stateOf(this.#inner, this.#inner.state);
  }

  get state$(): Observable<StreamState> {
    return new Observable((subscriber) => {
      let last: StreamState | undefined;
      const tell = (state: StreamState): void => {
        if (state === last) return;
        last = state;
        subscriber.next(state);
      };
      const attach = (inner: Stream): void => {
        const over = (): void => {
          tell('reset');
          subscriber.complete();
        };
        subscriber.add(
          inner.state$.subscribe({
            next: (state) => {
              if (state !== 'reset' || this.#isSettled) tell(this.#stateOf(inner, state));
            },
            complete: () => {
              if (inner.state !== 'reset') subscriber.complete();
              else if (this.#isSettled) over();
              else
                inner.closed.catch((error) => (this.isReplaced(inner, error) ? attach(this.#inner) : over()));
            },
          }),
        );
      };
      attach(this.#inner);
    });
  }

  /** What a state of `inner` is for our user: an end that was told is not taken back. */
  #stateOf(inner: Stream, state: StreamState): StreamState {
    return this.hasEndedBefore(inner) && !isLocalOver(state) ? 'half-closed-local' : state;
  }

  get stats(): StreamStats {
    const { stats } = this.#inner;
    const openedAt = this.#openedAt;
    if (openedAt === undefined) return stats;
    const { bytesIn, bytesOut, queuedIn, queuedOut, receiveWindow, sendWindow, blockedOn } = stats;
    return { bytesIn, bytesOut, queuedIn, queuedOut, receiveWindow, sendWindow, openedAt, blockedOn };
  }

  get reply(): Promise<StreamHeaders> {
    this.#reply ??= handled(this.#follow((inner) => inner.reply));
    return this.#reply;
  }

  get trailers(): Promise<StreamHeaders | undefined> {
    this.#trailers ??= handled(this.#follow((inner) => inner.trailers));
    return this.#trailers;
  }

  get closed(): Promise<void> {
    this.#closed ??= handled(this.#follow((inner) => inner.closed));
    return this.#closed;
  }

  accept(): this {
    throw new TypeError('only the acceptor of a stream can accept it');
  }

  reject(): void {
    throw new TypeError('only the acceptor of a stream can reject it');
  }

  // ------------------------------------------------------------------ receiving

  get data$(): Observable<Uint8Array> {
    if (this.#isSettled) return this.#inner.data$;
    return new Observable((subscriber) => {
      let subscription: Subscription | undefined;
      let isOver = false;
      const attach = (inner: Stream): void => {
        subscription = inner.data$.subscribe({
          next: (chunk) => subscriber.next(chunk),
          error: (error: unknown) => {
            if (this.isReplaced(inner, error)) attach(this.#inner);
            else {
              isOver = true;
              subscriber.error(this.#reason(error));
            }
          },
          complete: () => {
            isOver = true;
            subscriber.complete();
          },
        });
      };
      attach(this.#inner);
      return () => {
        // Whoever leaves early has stopped, wherever the stream goes.
        if (!isOver) this.#stopped ??= { code: undefined };
        subscription?.unsubscribe();
      };
    });
  }

  read(options?: { signal?: AbortSignal }): Promise<Uint8Array | null> {
    if (this.#isSettled) return this.#inner.read(options);
    return handled(this.#follow((inner) => inner.read(options), options?.signal));
  }

  get readable(): ReadableStream<Uint8Array> {
    this.#readable ??= readableOf(this);
    return this.#readable;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return iterate(this);
  }

  stop(code?: ResetCode): void {
    this.#inner.stop(code);
    this.#stopped = { code };
  }

  // ------------------------------------------------------------------ sending

  send(source: ByteSource, options: SendOptions = {}): Promise<void> {
    if (this.#isSettled) return this.#inner.send(source, options);
    checkSource(source, options);
    if (this.#hasEnded()) return handled(this.#follow((inner) => inner.send(source, options)));
    if (isChunk(source)) {
      this.record(toBytes(source));
      const sent = this.#inner.send(source, options);
      if (options.end !== false) this.#end ??= { trailers: undefined };
      return handled(this.#taken(this.#inner, sent, options.signal));
    }
    const moving = movingSource(source, this);
    const sending: Sending = { source: moving, options, promise: done };
    this.#sendings.add(sending);
    sending.promise = this.#inner.send(moving.attempt(), options);
    return handled(this.#sent(sending));
  }

  async #sent(sending: Sending): Promise<void> {
    for (;;) {
      const inner = this.#inner;
      try {
        await sending.promise;
        // What it gave is kept, and so is its end.
        if (sending.options.end !== false) this.#end ??= { trailers: undefined };
        this.#sendings.delete(sending);
        return;
      } catch (error) {
        if (this.isReplaced(inner, error)) continue;
        this.#sendings.delete(sending);
        sending.source.close();
        throw this.#reason(error);
      }
    }
  }

  write(chunk: Chunk): Promise<void> {
    if (this.#isSettled) return this.#inner.write(chunk);
    const bytes = toBytes(chunk);
    if (this.#hasEnded()) return handled(this.#follow((inner) => inner.write(bytes)));
    const written = this.#inner.write(bytes);
    this.record(bytes);
    return handled(this.#taken(this.#inner, written));
  }

  async #taken(inner: Stream, promise: Promise<unknown>, signal?: AbortSignal): Promise<void> {
    try {
      await promise;
    } catch (error) {
      if (!this.isReplaced(inner, error)) throw this.#reason(error);
      await this.#taken(this.#inner, this.#resent(signal), signal);
    }
  }

  end(trailers?: HeadersInit): Promise<void> {
    const isSent = this.#inner.state === 'half-closed-local';
    const ended = this.#inner.end(trailers);
    if (this.#isSettled) return ended;
    // Trailers can be added until the end is on its way.
    if (!this.#wantsEnd || (!isSent && this.#end?.trailers === undefined)) this.#end = { trailers };
    return handled(this.#taken(this.#inner, ended));
  }

  get writable(): WritableStream<Chunk> {
    this.#writable ??= writableOf(this);
    return this.#writable;
  }

  next(chunk: Chunk): void {
    if (!this.#isSettled) {
      try {
        this.record(toBytes(chunk));
      } catch (error) {
        // No chunk at all: it is to go on nowhere.
        this.reset('internal-error', error);
        return;
      }
    }
    this.#inner.next(chunk);
  }

  error(error: unknown): void {
    this.#fail();
    this.#inner.error(error);
  }

  complete(): void {
    void this.end();
  }

  reset(code?: ResetCode, cause?: unknown): void {
    this.#fail();
    this.#inner.reset(code, cause);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isSettled) await this.#inner[Symbol.asyncDispose]();
    else if (this.#wantsEnd) {
      this.stop();
      await this.closed.catch(() => {});
    } else this.reset('cancel');
  }

  /** Nothing more is taken, here or elsewhere. A source may have told its end to us, and not yet to the inner stream. */
  #hasEnded(): boolean {
    if (!this.#wantsEnd) return false;
    if (this.#end === null) void this.end();
    return true;
  }

  /** Our half is to end behind what was sent, here or elsewhere. */
  get #wantsEnd(): boolean {
    if (this.#end !== null) return true;
    for (const { source, options } of this.#sendings) {
      if (source.isExhausted && options.end !== false) return true;
    }
    return false;
  }
}

/** `bytes` with room for `most`, and for as much again as they have: small pieces are not to be copied each time. */
function widened(bytes: Uint8Array, most: number): Uint8Array {
  const wider = new Uint8Array(Math.min(Math.max(most, 2 * bytes.length), replayBytes));
  wider.set(bytes);
  return wider;
}

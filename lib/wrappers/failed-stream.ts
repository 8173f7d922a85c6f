import { Observable } from 'rxjs';
import type { HeadersInit, ResetCode, Stream, StreamHeaders, StreamState, StreamStats } from '../api.js';
import type { StreamError } from '../core/errors.js';
import { toHeaders } from '../core/headers.js';
import { rejected } from '../core/promises.js';
import { iterate, readableOf, writableOf } from '../core/views.js';

/** A stream that could not be opened: whatever is asked of it fails with the reason, as on one that was refused. */
export class FailedStream implements Stream {
  readonly id: number = 0;
  readonly origin: 'local' | 'remote' = 'local';
  readonly headers: StreamHeaders;
  readonly state: StreamState = 'reset';
  readonly stats: StreamStats;
  label: string;
  readonly #error: StreamError;

  constructor(error: StreamError, headers: HeadersInit | undefined, label: string, now: number) {
    this.#error = error;
    this.headers = toHeaders(headers);
    this.label = label;
    const none = { bytesIn: 0, bytesOut: 0, queuedIn: 0, queuedOut: 0, receiveWindow: 0, sendWindow: 0 };
    this.stats = { ...none, openedAt: now, blockedOn: null };
  }

  get state$(): Observable<StreamState> {
    return new Observable((subscriber) => {
      subscriber.next('reset');
      subscriber.complete();
    });
  }

  get reply(): Promise<StreamHeaders> {
    return rejected(this.#error);
  }

  get trailers(): Promise<StreamHeaders | undefined> {
    return rejected(this.#error);
  }

  get closed(): Promise<void> {
    return rejected(this.#error);
  }

  accept(): this {
    throw new TypeError('only the acceptor of a stream can accept it');
  }

  reject(): void {
    throw new TypeError('only the acceptor of a stream can reject it');
  }

  get data$(): Observable<Uint8Array> {
    return new Observable((subscriber) => subscriber.error(this.#error));
  }

  read(): Promise<Uint8Array | null> {
    return rejected(this.#error);
  }

  get readable(): ReadableStream<Uint8Array> {
    return readableOf(this);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return iterate(this);
  }

  stop(_code?: ResetCode): void {}

  send(): Promise<void> {
    return rejected(this.#error);
  }

  write(): Promise<void> {
    return rejected(this.#error);
  }

  end(): Promise<void> {
    return rejected(this.#error);
  }

  get writable(): WritableStream<Uint8Array | string> {
    return writableOf(this);
  }

  next(): void {}

  error(): void {}

  complete(): void {}

  reset(): void {}

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

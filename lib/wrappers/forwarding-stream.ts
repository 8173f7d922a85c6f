import type { Observable } from 'rxjs';
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

/**
 * A stream that does what another does: the base of decorated ones, which override a little. `readable`, `writable` and
 * iteration are those of the inner stream, so whoever changes `read()` or `write()` overrides them too.
 */
export class ForwardingStream implements Stream {
  readonly inner: Stream;

  constructor(inner: Stream) {
    this.inner = inner;
  }

  get id(): number {
    return this.inner.id;
  }

  get origin(): 'local' | 'remote' {
    return this.inner.origin;
  }

  get label(): string {
    return this.inner.label;
  }

  set label(label: string) {
    this.inner.label = label;
  }

  get headers(): StreamHeaders {
    return this.inner.headers;
  }

  get state(): StreamState {
    return this.inner.state;
  }

  get state$(): Observable<StreamState> {
    return this.inner.state$;
  }

  get stats(): StreamStats {
    return this.inner.stats;
  }

  get reply(): Promise<StreamHeaders> {
    return this.inner.reply;
  }

  get trailers(): Promise<StreamHeaders | undefined> {
    return this.inner.trailers;
  }

  get closed(): Promise<void> {
    return this.inner.closed;
  }

  accept(headers?: HeadersInit | PromiseLike<HeadersInit>): this {
    this.inner.accept(headers);
    return this;
  }

  reject(code?: ResetCode, headers?: HeadersInit): void {
    this.inner.reject(code, headers);
  }

  get data$(): Observable<Uint8Array> {
    return this.inner.data$;
  }

  read(options?: { signal?: AbortSignal }): Promise<Uint8Array | null> {
    return this.inner.read(options);
  }

  get readable(): ReadableStream<Uint8Array> {
    return this.inner.readable;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.inner[Symbol.asyncIterator]();
  }

  stop(code?: ResetCode): void {
    this.inner.stop(code);
  }

  send(source: ByteSource, options?: SendOptions): Promise<void> {
    return this.inner.send(source, options);
  }

  write(chunk: Chunk): Promise<void> {
    return this.inner.write(chunk);
  }

  end(trailers?: HeadersInit): Promise<void> {
    return this.inner.end(trailers);
  }

  get writable(): WritableStream<Chunk> {
    return this.inner.writable;
  }

  next(chunk: Chunk): void {
    this.inner.next(chunk);
  }

  error(error: unknown): void {
    this.inner.error(error);
  }

  complete(): void {
    this.inner.complete();
  }

  reset(code?: ResetCode, cause?: unknown): void {
    this.inner.reset(code, cause);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.inner[Symbol.asyncDispose]());
  }
}

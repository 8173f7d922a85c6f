import type { Observable } from 'rxjs';
import type {
  FrameEvent,
  HeadersInit,
  NewStreamOptions,
  Provider,
  ProviderEvent,
  ProviderInfo,
  ProviderOperator,
  Stream,
} from '../api.js';

/**
 * A provider that does what another does: the base of wrappers, which override a little. One that hands out other streams
 * than the inner provider's overrides `streams` and `events$` too, so that they speak of the same ones.
 */
export class ForwardingProvider implements Provider {
  readonly inner: Provider;

  constructor(inner: Provider) {
    this.inner = inner;
  }

  get info(): ProviderInfo {
    return this.inner.info;
  }

  get streams(): ReadonlyMap<number, Stream> {
    return this.inner.streams;
  }

  newStream(headers?: HeadersInit, options?: NewStreamOptions): Stream {
    return this.inner.newStream(headers, options);
  }

  get accept$(): Observable<Stream> {
    return this.inner.accept$;
  }

  accept(options?: { signal?: AbortSignal }): Promise<Stream | null> {
    return this.inner.accept(options);
  }

  get events$(): Observable<ProviderEvent> {
    return this.inner.events$;
  }

  get frames$(): Observable<FrameEvent> {
    return this.inner.frames$;
  }

  ping(options?: { signal?: AbortSignal }): Promise<number> {
    return this.inner.ping(options);
  }

  close(options?: { signal?: AbortSignal }): Promise<void> {
    return this.inner.close(options);
  }

  abort(reason?: unknown): void {
    this.inner.abort(reason);
  }

  get closed(): Promise<void> {
    return this.inner.closed;
  }

  pipe(...operators: ProviderOperator[]): Provider {
    return operators.reduce<Provider>((provider, operator) => operator(provider), this);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.inner[Symbol.asyncDispose]());
  }
}

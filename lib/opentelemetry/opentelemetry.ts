import { context, type Meter, metrics, type Tracer, trace } from '@opentelemetry/api';
import { Observable } from 'rxjs';
import type {
  HeadersInit,
  NewStreamOptions,
  Provider,
  ProviderEvent,
  ProviderInfo,
  ProviderOperator,
  Stream,
  StreamHeaders,
} from '../api.js';
import { toHeaders } from '../core/headers.js';
import { ForwardingProvider } from '../wrappers/forwarding-provider.js';
import { type RedactOptions, redactor } from '../wrappers/redact.js';
import { StreamMetrics } from './stream-metrics.js';
import { acceptSpan, addSpanEvent, contextOf, openSpan, type SpanOptions } from './stream-span.js';

export interface OpenTelemetryOptions extends RedactOptions {
  /** Default: the global one, under the name `rxmux`. False: no spans, and no headers are added. */
  tracer?: Tracer | false;
  /** Default: the global one, under the name `rxmux`. False: no metrics. */
  meter?: Meter | false;
  /** What a stream's span is called. Few different names, or they are of no use: default `rxmux stream`. */
  spanName?: (headers: StreamHeaders, info: ProviderInfo) => string;
}

/**
 * A span for each stream, from its open to its end, and metrics. The context active at `newStream()` is the span's parent
 * and travels in the stream's headers (W3C `traceparent`, or whatever propagator is set), so the span at the other end has
 * ours as its parent. What `accept$` delivers is delivered within the context of its span; elsewhere `contextOf(stream)`
 * is it. A protocol without headers has the spans, unconnected.
 */
export function opentelemetry(options: OpenTelemetryOptions = {}): ProviderOperator {
  const { tracer = trace.getTracer('rxmux'), meter = metrics.getMeter('rxmux') } = options;
  const { spanName = () => 'rxmux stream' } = options;
  const measures = meter === false ? null : StreamMetrics.of(meter);
  return (provider) => {
    measures?.watch(provider);
    if (tracer === false) return provider;
    return new TracedProvider(provider, { tracer, nameOf: spanName, redact: redactor(options) });
  };
}

class TracedProvider extends ForwardingProvider {
  readonly #options: SpanOptions;

  constructor(inner: Provider, options: SpanOptions) {
    super(inner);
    this.#options = options;
    // Before anybody can take it from accept$, and from the moment it has come.
    for (const stream of inner.streams.values()) {
      if (stream.origin === 'remote') acceptSpan(inner, stream, options);
    }
    inner.events$.subscribe({ next: (event) => this.#see(event), error: () => {} });
  }

  override newStream(init?: HeadersInit, options?: NewStreamOptions): Stream {
    return openSpan(this.inner, toHeaders(init), this.#options, (headers) => {
      return this.inner.newStream(headers, options);
    });
  }

  override get accept$(): Observable<Stream> {
    const { accept$ } = this.inner;
    return new Observable((subscriber) =>
      accept$.subscribe({
        next: (stream) => context.with(contextOf(stream), () => subscriber.next(stream)),
        error: (error: unknown) => subscriber.error(error),
        complete: () => subscriber.complete(),
      }),
    );
  }

  #see(event: ProviderEvent): void {
    switch (event.type) {
      case 'accept':
        acceptSpan(this.inner, event.stream, this.#options);
        break;
      case 'reply':
        addSpanEvent(event.stream, 'reply');
        break;
      case 'end':
        addSpanEvent(event.stream, 'half-close', { state: event.stream.state });
        break;
      case 'stall':
      case 'resume':
        addSpanEvent(event.stream, event.type, { side: event.side });
    }
  }
}

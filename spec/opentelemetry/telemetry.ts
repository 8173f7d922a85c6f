import {
  type Context,
  type ContextManager,
  context,
  metrics,
  propagation,
  ROOT_CONTEXT,
  trace,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';

/** A span, as far as a spec looks, so that it can cross to another process. */
export interface PlainSpan {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | undefined;
  readonly status: number;
  readonly attributes: Record<string, unknown>;
  readonly events: readonly string[];
}

/** One figure of one instrument. */
export interface Point {
  readonly name: string;
  readonly attributes: Record<string, unknown>;
  readonly value: unknown;
}

export interface Telemetry {
  spans(): PlainSpan[];
  points(): Promise<Point[]>;
  stop(): Promise<void>;
}

/**
 * Knows the context of synchronous calls, as specs need it. One with AsyncLocalStorage makes every promise of the process
 * larger from then on, and other specs of it weigh streams.
 */
class StackContextManager implements ContextManager {
  #active: Context = ROOT_CONTEXT;

  active(): Context {
    return this.#active;
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    inner: Context,
    call: F,
    thisArg?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    const outer = this.#active;
    this.#active = inner;
    try {
      return call.call(thisArg, ...args);
    } finally {
      this.#active = outer;
    }
  }

  bind<T>(_inner: Context, target: T): T {
    return target;
  }

  enable(): this {
    return this;
  }

  disable(): this {
    this.#active = ROOT_CONTEXT;
    return this;
  }
}

/** OpenTelemetry's own SDK, set up as an application does it, that keeps everything in memory. */
export function startTelemetry(manager: ContextManager = new StackContextManager()): Telemetry {
  const spanExporter = new InMemorySpanExporter();
  const tracers = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spanExporter)] });
  const metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({
    exporter: metricExporter,
    exportIntervalMillis: 1 << 30,
    exportTimeoutMillis: 1000,
  });
  const meters = new MeterProvider({ readers: [reader] });
  context.setGlobalContextManager(manager.enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(tracers);
  metrics.setGlobalMeterProvider(meters);
  return {
    spans: () => spanExporter.getFinishedSpans().map(plain),
    points: async () => {
      metricExporter.reset();
      await reader.forceFlush();
      return metricExporter
        .getMetrics()
        .flatMap(({ scopeMetrics }) =>
          scopeMetrics.flatMap((scope) =>
            scope.metrics.flatMap(({ descriptor: { name }, dataPoints }) =>
              dataPoints.map(({ attributes, value }) => ({ name, attributes: { ...attributes }, value })),
            ),
          ),
        );
    },
    stop: async () => {
      await meters.shutdown();
      await tracers.shutdown();
      for (const api of [context, propagation, trace, metrics]) api.disable();
    },
  };
}

function plain(span: ReadableSpan): PlainSpan {
  const { traceId, spanId } = span.spanContext();
  return {
    name: span.name,
    kind: span.kind,
    traceId,
    spanId,
    parentId: span.parentSpanContext?.spanId,
    status: span.status.code,
    attributes: { ...span.attributes },
    events: span.events.map(({ name }) => name),
  };
}

import { context, metrics, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
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

/** OpenTelemetry's own SDK, set up as an application does it, that keeps everything in memory. */
export function startTelemetry(): Telemetry {
  const spanExporter = new InMemorySpanExporter();
  const tracers = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spanExporter)] });
  const metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({
    exporter: metricExporter,
    exportIntervalMillis: 1 << 30,
    exportTimeoutMillis: 1000,
  });
  const meters = new MeterProvider({ readers: [reader] });
  const manager = new AsyncLocalStorageContextManager().enable();
  context.setGlobalContextManager(manager);
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

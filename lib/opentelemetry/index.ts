/** Spans and metrics of streams by way of `@opentelemetry/api`, which the application brings and configures. */
export { type OpenTelemetryOptions, opentelemetry } from './opentelemetry.js';
export { contextOf } from './stream-span.js';

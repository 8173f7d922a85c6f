/** Spans and metrics of streams by way of `@opentelemetry/api`, which the application installs beside rxmux and configures. */
export { type OpenTelemetryOptions, opentelemetry } from './opentelemetry.js';
export { contextOf } from './stream-span.js';

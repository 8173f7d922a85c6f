/** Many streams of bytes over one connection. This entry runs wherever JavaScript does. */
export type * from './api.js';
export { StreamError, type StreamErrorCode } from './core/errors.js';
export { hold, type Release } from './core/hold.js';
export { pullMap } from './core/pull-map.js';
export { framer } from './framer/index.js';
export { memoryPair } from './transports/memory.js';
export { ForwardingProvider } from './wrappers/forwarding-provider.js';
export { ForwardingStream } from './wrappers/forwarding-stream.js';
export { join } from './wrappers/join.js';
export { readTrace, type Trace } from './wrappers/read-trace.js';
export {
  isSecretName,
  type RedactOptions,
  type Redactor,
  redacted,
  redactHeaders,
  redactor,
} from './wrappers/redact.js';
export { tapProvider } from './wrappers/tap.js';
export { type TraceOptions, trace, traceStatsOf } from './wrappers/trace.js';
export type {
  TraceData,
  TraceEvent,
  TraceEventName,
  TraceHeader,
  TraceStats,
} from './wrappers/trace-events.js';
export { type TraceRow, TraceTable } from './wrappers/trace-table.js';

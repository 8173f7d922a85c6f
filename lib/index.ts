/** Many streams of bytes over one connection. This entry runs wherever JavaScript does. */
export type * from './api.js';
export { StreamError, type StreamErrorCode } from './core/errors.js';
export { hold, type Release } from './core/hold.js';
export type { LimitValues } from './core/limits.js';
export { pullMap } from './core/pull-map.js';
export { framer } from './framer/index.js';
export { http2 } from './http2/index.js';
export { spdy } from './spdy/index.js';
export { memoryPair } from './transports/memory.js';
export { fromMessagePort, type MessagePortEvent, type MessagePortLike } from './transports/message-port.js';
export {
  fromWebSocket,
  type WebSocketEvent,
  type WebSocketLike,
  type WebSocketOptions,
} from './transports/web-socket.js';
export { type DebugOptions, debug } from './wrappers/debug.js';
export { ForwardingProvider } from './wrappers/forwarding-provider.js';
export { ForwardingStream } from './wrappers/forwarding-stream.js';
export { type HandlerAnswer, handle } from './wrappers/handle.js';
export { type InterceptHooks, intercept } from './wrappers/intercept.js';
export { join } from './wrappers/join.js';
export { type ByteLimits, type LimitOptions, limit } from './wrappers/limit.js';
export { type Meter, meter, prometheusContentType } from './wrappers/meter.js';
export { readTrace, type Trace, type TracedConnection } from './wrappers/read-trace.js';
export {
  isSecretName,
  type RedactOptions,
  type Redactor,
  redacted,
  redactHeaders,
  redactor,
} from './wrappers/redact.js';
export { type RedialOptions, redial } from './wrappers/redial.js';
export { type Span, type SpanOptions, span } from './wrappers/span.js';
export type { SpanMember } from './wrappers/span-member.js';
export type { Picker } from './wrappers/span-pick.js';
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

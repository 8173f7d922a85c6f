import {
  type Context,
  context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  type TextMapSetter,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { Provider, ProviderInfo, Stream, StreamHeaders } from '../api.js';
import { findBeneath } from '../core/beneath.js';
import { StreamError } from '../core/errors.js';
import type { Redactor } from '../wrappers/redact.js';

/** What is said of every stream. */
export interface SpanOptions {
  readonly tracer: Tracer;
  readonly nameOf: (headers: StreamHeaders, info: ProviderInfo) => string;
  readonly redact: Redactor;
}

type Carrier = [string, string][];
const setter: TextMapSetter<Carrier> = { set: (carrier, name, value) => carrier.push([name, value]) };
const getter: TextMapGetter<StreamHeaders> = {
  keys: (headers) => Array.from(headers, ([name]) => name),
  get: (headers, name) => headers.get(name),
};

/** Where the spans of streams are; one table for all operators, so that `contextOf` needs none of them. */
const contexts: WeakMap<Stream, Context> = new WeakMap();

/**
 * The context of a stream's span, for spans within it: `context.with(contextOf(stream), work)`. Operators that replace
 * streams may be in between. The active context for a stream that has no span.
 */
export function contextOf(stream: Stream): Context {
  return findBeneath(contexts, stream) ?? context.active();
}

/** Opens a stream with a span around it, whose context goes along in the stream's headers. */
export function openSpan(
  provider: Provider,
  headers: StreamHeaders,
  options: SpanOptions,
  open: (headers: Iterable<readonly [string, string]>) => Stream,
): Stream {
  const { info } = provider;
  const parent = context.active();
  const span = options.tracer.startSpan(
    options.nameOf(headers, info),
    { kind: SpanKind.CLIENT, attributes: attributesOf(info) },
    parent,
  );
  const within = trace.setSpan(parent, span);
  const carried: Carrier = [];
  if (info.features.headers) propagation.inject(within, carried, setter);
  const replaced = new Set(carried.map(([name]) => name.toLowerCase()));
  try {
    const stream = open([...[...headers].filter(([name]) => !replaced.has(name.toLowerCase())), ...carried]);
    follow(stream, span, within, options);
    return stream;
  } catch (error) {
    fail(span, error, options);
    span.end();
    throw error;
  }
}

/** The span of a stream that the peer opened, begun now; its parent is what the headers say. */
export function acceptSpan(provider: Provider, stream: Stream, options: SpanOptions): void {
  if (contexts.has(stream)) return;
  const { info } = provider;
  const parent = propagation.extract(context.active(), stream.headers, getter);
  const span = options.tracer.startSpan(
    options.nameOf(stream.headers, info),
    { kind: SpanKind.SERVER, attributes: attributesOf(info) },
    parent,
  );
  follow(stream, span, trace.setSpan(parent, span), options);
}

/** Says on a stream's span what has happened to it. */
export function addSpanEvent(stream: Stream, name: string, attributes: Record<string, string> = {}): void {
  const within = contexts.get(stream);
  if (within !== undefined) trace.getSpan(within)?.addEvent(name, attributes);
}

function follow(stream: Stream, span: Span, within: Context, options: SpanOptions): void {
  contexts.set(stream, within);
  span.setAttributes({
    'rxmux.stream.id': stream.id,
    'rxmux.stream.label': options.redact(stream.label),
  });
  const end = (): void => {
    const { bytesIn, bytesOut } = stream.stats;
    span.setAttributes({ 'rxmux.stream.bytes_in': bytesIn, 'rxmux.stream.bytes_out': bytesOut });
    span.end();
  };
  stream.closed.then(end, (error: unknown) => {
    fail(span, error, options);
    end();
  });
}

function fail(span: Span, error: unknown, { redact }: SpanOptions): void {
  const message = redact(error instanceof Error ? error.message : String(error));
  span.setStatus({ code: SpanStatusCode.ERROR, message });
  span.setAttribute('error.type', StreamError.is(error) ? error.code : 'error');
}

/** In the names of OpenTelemetry's conventions, where there are some. */
function attributesOf({ protocol, role, local, remote }: ProviderInfo): Record<string, string | number> {
  return {
    'network.protocol.name': protocol,
    'rxmux.role': role,
    ...addressOf('network.peer', remote),
    ...addressOf('network.local', local),
  };
}

function addressOf(name: string, address: string | undefined): Record<string, string | number> {
  if (address === undefined) return {};
  const [, host, port] = /^(.*):(\d+)$/.exec(address) ?? [];
  if (host === undefined) return { [`${name}.address`]: address };
  return { [`${name}.address`]: host, [`${name}.port`]: Number(port) };
}

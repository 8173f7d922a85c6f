/**
 * What a trace is made of: the records of docs/trace.md, which `trace()` writes and `readTrace()` reads. Times are
 * milliseconds since the epoch, sizes bytes.
 */
import type { ProviderFeatures, ResetCode, StreamState, StreamStats } from '../api.js';

/** The first record, in the manner of qlog's main schema for JSON text sequences. */
export interface TraceHeader {
  readonly file_schema: 'urn:ietf:params:qlog:file:sequential';
  readonly serialization_format: 'application/qlog+json-seq';
  readonly title?: string;
  readonly trace: {
    readonly vantage_point: { readonly name?: string; readonly type: 'client' | 'server' };
    readonly event_schemas: readonly string[];
    readonly common_fields: {
      readonly group_id: string;
      readonly protocol_types: readonly string[];
      readonly time_format: 'relative_to_epoch';
      readonly reference_time: { readonly clock_type: 'system'; readonly epoch: string };
    };
  };
}

/** A stream's figures, in the names of the trace. */
export interface TraceStats {
  readonly bytes_in: number;
  readonly bytes_out: number;
  readonly queued_in: number;
  readonly queued_out: number;
  readonly receive_window: number;
  /** Null where the peer keeps to no window. */
  readonly send_window: number | null;
  readonly blocked_on: StreamStats['blockedOn'];
}

interface OfStream {
  readonly stream_id: number;
}

/** The data of each event, by its name. */
export interface TraceData {
  'rxmux:connection_started': {
    readonly protocol: string;
    readonly role: 'client' | 'server';
    readonly local?: string;
    readonly remote?: string;
    readonly features: ProviderFeatures;
  };
  'rxmux:stream_opened': OfStream & {
    readonly origin: 'local' | 'remote';
    readonly label: string;
    readonly headers: readonly (readonly [name: string, value: string])[];
    readonly state: StreamState;
    readonly opened_at: number;
  };
  'rxmux:stream_replied': OfStream & { readonly state: StreamState };
  'rxmux:stream_half_closed': OfStream & { readonly state: StreamState };
  'rxmux:stream_closed': OfStream & { readonly stats: TraceStats };
  'rxmux:stream_reset': OfStream & {
    readonly remote: boolean;
    readonly code: ResetCode;
    readonly stats: TraceStats;
  };
  'rxmux:stream_stalled': OfStream & { readonly side: 'send' | 'receive' };
  'rxmux:stream_resumed': OfStream & { readonly side: 'send' | 'receive' };
  'rxmux:stats': { readonly streams: readonly (OfStream & TraceStats & { readonly state: StreamState })[] };
  'rxmux:ping': { readonly rtt: number };
  'rxmux:goaway': { readonly remote: boolean; readonly last_id: number };
  'rxmux:frame': OfStream & {
    readonly direction: 'in' | 'out';
    readonly frame: string;
    readonly length: number;
    readonly flags: number;
  };
  'rxmux:connection_closed': { readonly error?: string };
}

export type TraceEventName = keyof TraceData;

/** One event of a trace. */
export type TraceEvent = {
  [Name in TraceEventName]: {
    readonly time: number;
    /** The connection that it is about. */
    readonly group_id: string;
    readonly name: Name;
    readonly data: TraceData[Name];
  };
}[TraceEventName];

/** The version of the event names above. */
export const traceEventSchema = 'urn:rxmux:events:1';

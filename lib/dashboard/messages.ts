/** What the dashboard's server tells its page; both import it. */
import type { ProviderEvent, ProviderFeatures, StreamState } from '../api.js';

/** In the order of their numbers in `Tick.figures`. */
export const streamStates: readonly StreamState[] = [
  'opening',
  'open',
  'half-closed-local',
  'half-closed-remote',
  'closed',
  'reset',
];

/** What a stream waits for, in the order of their numbers in `Tick.figures`; 0 is nothing. */
export const blocks = ['', 'window', 'transport', 'reader'] as const;

/** One connection. Sent when it appears, and again when a figure of it has changed. */
export interface ConnectionRow {
  readonly id: number;
  /** What the application calls it, if anything. */
  readonly name?: string;
  readonly protocol: string;
  readonly role: 'client' | 'server';
  readonly local?: string;
  readonly remote?: string;
  readonly features: ProviderFeatures;
  readonly state: 'open' | 'going-away' | 'closed' | 'failed';
  /** Why it failed. */
  readonly error?: string;
  /** Since the dashboard looks. */
  readonly opened: number;
  readonly live: number;
  readonly resets: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** The last round trip in milliseconds. */
  readonly rtt: number | null;
}

/** What does not change about a stream, but for its label. */
export interface StreamRow {
  /** Unique on this dashboard; a protocol may use its own ids again. */
  readonly key: number;
  readonly connection: number;
  readonly id: number;
  readonly label: string;
  readonly origin: 'local' | 'remote';
  readonly headers: readonly (readonly [string, string])[];
  readonly openedAt: number;
}

/** Numbers per stream in `Tick.figures`: key, state, in, out, queue in, queue out, window in, window out, block. */
export const figuresPerStream = 9;

/** A window without an end, in `Tick.figures`. */
export const unlimited = -1;

export type EventType = ProviderEvent['type'];

/** `[at, type, connection, key of the stream or 0, detail]` */
export type EventRow = readonly [number, EventType, number, number, string];

/** `[at, connection, 0 in or 1 out, name, stream id, payload bytes, flags]` */
export type FrameRow = readonly [number, number, 0 | 1, string, number, number, number];

/** What was there and is not in the message, so that the page can say so. */
export interface Omitted {
  readonly events: number;
  readonly frames: number;
  /** Streams that came and went without a row. */
  readonly streams: number;
}

/** Everything that has happened since the message before. */
export interface Tick {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Everything that is there now: what the page had before is void. */
  readonly isWhole?: true;
  /** How often figures are taken now. */
  readonly everyMs: number;
  /** Over how long the figures have been gathered, if that is longer than since the message before. */
  readonly figuresMs?: number;
  readonly connections: readonly ConnectionRow[];
  readonly streams: readonly StreamRow[];
  /** Flat, `figuresPerStream` each, of the streams whose figures have changed. */
  readonly figures: readonly number[];
  /** Oldest first. */
  readonly events: readonly EventRow[];
  readonly frames: readonly FrameRow[];
  readonly omitted: Omitted;
}

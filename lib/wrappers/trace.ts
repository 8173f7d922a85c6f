import type {
  FrameEvent,
  Provider,
  ProviderEvent,
  ProviderOperator,
  Stream,
  StreamState,
  StreamStats,
} from '../api.js';
import { type Clock, longestTimerMs, systemClock } from '../core/clock.js';
import { noHeaders } from '../core/headers.js';
import { checkLeast } from '../core/option.js';
import { microtask } from '../core/promises.js';
import { type RedactOptions, type Redactor, redactHeaders, redactor } from './redact.js';
import { type TraceHeader, type TraceStats, traceEventSchema } from './trace-events.js';

export interface TraceOptions extends RedactOptions {
  /** A record for every frame, both directions. Default false. */
  frames?: boolean;
  /** A record with the figures of every open stream each so many milliseconds. Default 0: none. */
  statsMs?: number;
  /** For people. */
  title?: string;
  /**
   * What connections are called in a trace, each with a number of its own behind it, so that any number may share one
   * file: `group: 'edge'` makes `edge-1`, `edge-2`. Default: the protocol.
   */
  group?: string;
  /** The time of what has no time of its own, and of `statsMs`. */
  clock?: Clock;
}

/**
 * Writes down what happens on a connection, as JSON text sequences (RFC 7464) in the manner of qlog's main schema, with
 * event names of our own: docs/trace.md. `write` is given whole records, as many as one turn has made; secret values
 * of headers are left out. Connections may share one `write`: every event says which it is about. `readTrace()` reads it
 * back.
 */
export function trace(write: (text: string) => void, options: TraceOptions = {}): ProviderOperator {
  checkLeast('statsMs', options.statsMs, 0);
  return (provider) => {
    new Tracer(provider, write, options).start();
    return provider;
  };
}

/** Traced in this process; two processes that write into one file call theirs by different names. */
let connections = 0;

/** Nothing to escape, and nothing that a secret could follow: most labels are `framer#5`. */
const isPlain = /^[\w#./-]*$/;

const streamEvents = [
  'stream_opened',
  'stream_replied',
  'stream_half_closed',
  'stream_closed',
  'stream_reset',
  'stream_stalled',
  'stream_resumed',
  'frame',
] as const;
type StreamEventName = (typeof streamEvents)[number];

const states = ['opening', 'open', 'half-closed-local', 'half-closed-remote', 'closed', 'reset'] as const;

const recordStart = '\x1e{"time":';

/** The end of an event of a stream: of its data, and of its record. */
const eventEnd = '}}\n';

/** The rest of an event that says no more than what its stream is now. */
const stateTexts = tableOf(states, (state: StreamState) => `,"state":"${state}"${eventEnd}`);

const origins = tableOf(['local', 'remote'], (origin: Stream['origin']) => `,"origin":"${origin}","label":`);

/** What stands between the label of a stream and the time it was opened. */
const withHeaders = (list: readonly unknown[]): string => `,"headers":${JSON.stringify(list)},"opened_at":`;
const withoutHeaders = withHeaders([]);

function tableOf<Key extends string>(
  keys: readonly Key[],
  text: (key: Key) => string,
): Readonly<Record<Key, string>> {
  return Object.fromEntries(keys.map((key) => [key, text(key)])) as Record<Key, string>;
}

/** The decimals of a time, ready made: printing a double of seventeen digits takes longer than the rest of a record. */
const thousandths: readonly string[] = Array.from(
  { length: 1000 },
  (_, index) => `.${String(index).padStart(3, '0')}`,
);

/**
 * Text is put together by hand, from few parts, most of them ready made: every stream makes five records, and a record
 * costs what the number of its parts does.
 */
class Tracer {
  readonly #provider: Provider;
  readonly #write: (text: string) => void;
  readonly #options: TraceOptions;
  readonly #clock: Clock;
  readonly #redact: Redactor;
  readonly #group: string;
  /** Of every record, what stands between its time and its name. */
  readonly #groupText: string;
  /** Of each event of a stream, what stands between its time and the stream's number. */
  readonly #heads: Readonly<Record<StreamEventName, string>>;
  readonly #statsText: StatsText = new StatsText();
  readonly #flushSoon: () => void = () => this.#flush();
  #text = '';
  #millisecond = -1;
  #digits = '';
  #cancel: (() => void) | null = null;
  #over = false;

  constructor(provider: Provider, write: (text: string) => void, options: TraceOptions) {
    this.#provider = provider;
    this.#write = write;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#redact = redactor(options);
    this.#group = `${options.group ?? provider.info.protocol}-${++connections}`;
    this.#groupText = `,"group_id":${JSON.stringify(this.#group)},"name":"rxmux:`;
    this.#heads = tableOf(streamEvents, (name) => `${this.#groupText}${name}","data":{"stream_id":`);
  }

  start(): void {
    const { info, streams, events$, frames$, closed } = this.#provider;
    this.#put(`\x1e${JSON.stringify(headerOf(this.#provider, this.#group, this.#options))}\n`);
    const { protocol, role, local, remote, features } = info;
    this.#record(this.#clock.now(), 'connection_started', { protocol, role, local, remote, features });
    for (const stream of streams.values()) this.#opened(stream, this.#clock.now());
    events$.subscribe({ next: (event) => this.#told(event), error: () => {} });
    if (this.#options.frames) frames$.subscribe({ next: (frame) => this.#framed(frame), error: () => {} });
    this.#scheduleStats();
    closed.then(
      () => this.#finish({}),
      (error: unknown) => this.#finish({ error: this.#redact(messageOf(error)) }),
    );
  }

  #told(event: ProviderEvent): void {
    const { at, type } = event;
    if (type === 'ping') {
      this.#record(at, 'ping', { rtt: event.rtt });
      return;
    }
    if (type === 'goaway') {
      this.#record(at, 'goaway', { remote: event.remote, last_id: event.lastId });
      return;
    }
    const { stream } = event;
    switch (type) {
      case 'open':
      case 'accept':
        this.#opened(stream, at);
        break;
      case 'reply':
        this.#event(at, 'stream_replied', stream.id, stateTexts[stream.state]);
        break;
      case 'end':
        this.#event(at, 'stream_half_closed', stream.id, stateTexts[stream.state]);
        break;
      case 'close':
        this.#event(at, 'stream_closed', stream.id, this.#statsText.of(stream));
        break;
      case 'reset': {
        const why = `,"remote":${event.remote},"code":${JSON.stringify(event.code)}`;
        this.#event(at, 'stream_reset', stream.id, why + this.#statsText.of(stream));
        break;
      }
      case 'stall':
        this.#event(at, 'stream_stalled', stream.id, `,"side":"${event.side}"${eventEnd}`);
        break;
      case 'resume':
        this.#event(at, 'stream_resumed', stream.id, `,"side":"${event.side}"${eventEnd}`);
    }
  }

  #opened(stream: Stream, at: number): void {
    const { label: plain, headers } = stream;
    const label = isPlain.test(plain) ? `"${plain}"` : JSON.stringify(this.#redact(plain));
    const list = headers === noHeaders ? withoutHeaders : withHeaders(redactHeaders(headers, this.#redact));
    this.#event(
      at,
      'stream_opened',
      stream.id,
      origins[stream.origin] + label + list + this.#time(stream.stats.openedAt) + stateTexts[stream.state],
    );
  }

  #framed({ at, direction, name, streamId, length, flags }: FrameEvent): void {
    const rest = `,"direction":"${direction}","frame":${JSON.stringify(name)},"length":${length},"flags":${flags}`;
    this.#event(at, 'frame', streamId, rest + eventEnd);
  }

  /** `rest` begins with a comma, and closes what is open. */
  #event(at: number, name: StreamEventName, id: number, rest: string): void {
    this.#put(recordStart + this.#time(at) + this.#heads[name] + id + rest);
  }

  #record(at: number, name: string, data: object): void {
    this.#put(`${recordStart}${this.#time(at)}${this.#groupText}${name}","data":${JSON.stringify(data)}}\n`);
  }

  /** Milliseconds with three decimals. Most events fall into the millisecond of the one before: its digits are kept. */
  #time(at: number): string {
    const whole = Math.floor(at);
    if (whole !== this.#millisecond) {
      this.#millisecond = whole;
      this.#digits = `${whole}`;
    }
    return this.#digits + (thousandths[Math.floor((at - whole) * 1000)] as string);
  }

  #put(record: string): void {
    if (this.#over) return;
    if (this.#text === '') microtask(this.#flushSoon);
    this.#text += record;
  }

  #flush(): void {
    const text = this.#text;
    this.#text = '';
    if (text !== '') this.#write(text);
  }

  #scheduleStats(): void {
    const { statsMs = 0 } = this.#options;
    if (statsMs > 0 && !this.#over) {
      this.#cancel = this.#clock.after(Math.min(longestTimerMs, statsMs), () => {
        this.#stats();
        this.#scheduleStats();
      });
    }
  }

  #stats(): void {
    const streams = [...this.#provider.streams.values()].map((stream) => ({
      stream_id: stream.id,
      state: stream.state,
      ...traceStatsOf(stream),
    }));
    this.#record(this.#clock.now(), 'stats', { streams });
  }

  #finish(data: object): void {
    this.#cancel?.();
    this.#record(this.#clock.now(), 'connection_closed', data);
    this.#flush();
    this.#over = true;
  }
}

function headerOf({ info }: Provider, group: string, options: TraceOptions): TraceHeader {
  return {
    file_schema: 'urn:ietf:params:qlog:file:sequential',
    serialization_format: 'application/qlog+json-seq',
    ...(options.title === undefined ? {} : { title: options.title }),
    trace: {
      vantage_point: { type: info.role },
      event_schemas: [traceEventSchema],
      common_fields: {
        group_id: group,
        protocol_types: [info.protocol],
        time_format: 'relative_to_epoch',
        reference_time: { clock_type: 'system', epoch: '1970-01-01T00:00:00.000Z' },
      },
    },
  };
}

/** The figures of a stream now, as a trace has them. */
export function traceStatsOf(stream: Stream): TraceStats {
  const { stats } = stream;
  return {
    bytes_in: stats.bytesIn,
    bytes_out: stats.bytesOut,
    queued_in: stats.queuedIn,
    queued_out: stats.queuedOut,
    receive_window: stats.receiveWindow,
    send_window: Number.isFinite(stats.sendWindow) ? stats.sendWindow : null,
    blocked_on: stats.blockedOn,
  };
}

/** The rest of an event that ends with the figures of its stream. Most streams end with nothing queued, and alike. */
class StatsText {
  #receiveWindow = -1;
  #sendWindow = -1;
  #quiet = '';

  of({ stats }: Stream): string {
    const { bytesIn, bytesOut, queuedIn, queuedOut, receiveWindow, sendWindow, blockedOn } = stats;
    const counts = `,"stats":{"bytes_in":${bytesIn},"bytes_out":${bytesOut}`;
    if (queuedIn > 0 || queuedOut > 0 || blockedOn !== null) return counts + restOf(stats);
    if (receiveWindow !== this.#receiveWindow || sendWindow !== this.#sendWindow) {
      this.#receiveWindow = receiveWindow;
      this.#sendWindow = sendWindow;
      this.#quiet = restOf(stats);
    }
    return counts + this.#quiet;
  }
}

function restOf({ queuedIn, queuedOut, receiveWindow, sendWindow, blockedOn }: StreamStats): string {
  const window = Number.isFinite(sendWindow) ? sendWindow : null;
  const blocked = blockedOn === null ? null : `"${blockedOn}"`;
  const queued = `,"queued_in":${queuedIn},"queued_out":${queuedOut}`;
  return `${queued},"receive_window":${receiveWindow},"send_window":${window},"blocked_on":${blocked}}${eventEnd}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

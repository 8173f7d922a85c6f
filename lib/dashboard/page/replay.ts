import type { StreamState } from '../../api.js';
import { readTrace } from '../../wrappers/read-trace.js';
import type { TraceEvent, TraceStats } from '../../wrappers/trace-events.js';
import {
  blocks,
  type ConnectionRow,
  type EventRow,
  type EventType,
  type FrameRow,
  type StreamRow,
  streamStates,
  type Tick,
  unlimited,
} from '../messages.js';
import { lanePoints } from './lane.js';
import type { Store } from './store.js';

/** A replay takes as many steps as a lane has points. */
const steps = lanePoints;

/** A stream of the trace, by the id that it has there. */
interface Known {
  readonly key: number;
  bytesIn: number;
  bytesOut: number;
  state: StreamState;
}

type ConnectionState = { -readonly [Name in keyof ConnectionRow]: ConnectionRow[Name] };

/** Says what a trace says in the messages that a live dashboard would have sent. */
class Translator {
  readonly #known: Map<number, Known> = new Map();
  readonly #connections: ConnectionState[] = [];
  #keys = 0;
  /** When figures were last in the trace, and how long before these. */
  #figuresAt = Number.NaN;
  #figuresMs = 0;
  #streams: StreamRow[] = [];
  #figures: number[] = [];
  #events: EventRow[] = [];
  #frames: FrameRow[] = [];

  /** One message for all of these. */
  tick(at: number, everyMs: number, events: readonly TraceEvent[]): Tick {
    this.#streams = [];
    this.#figures = [];
    this.#events = [];
    this.#frames = [];
    this.#figuresMs = 0;
    for (const event of events) this.#take(event);
    return {
      at,
      everyMs,
      figuresMs: this.#figuresMs,
      connections: this.#connections.map((connection) => ({ ...connection })),
      streams: this.#streams,
      figures: this.#figures,
      events: this.#events,
      frames: this.#frames,
      omitted: { events: 0, frames: 0, streams: 0 },
    };
  }

  #take({ time, name, data }: TraceEvent): void {
    if (name === 'rxmux:connection_started') {
      this.#known.clear();
      const id = this.#connections.length + 1;
      const counts = { opened: 0, live: 0, resets: 0, bytesIn: 0, bytesOut: 0, rtt: null };
      this.#connections.push({ id, ...data, state: 'open', ...counts });
      return;
    }
    const connection = this.#connections.at(-1) ?? this.#unnamed();
    switch (name) {
      case 'rxmux:stream_opened': {
        const key = ++this.#keys;
        const { stream_id: id, origin, label, headers, opened_at: openedAt, state } = data;
        this.#known.set(id, { key, bytesIn: 0, bytesOut: 0, state });
        this.#streams.push({ key, connection: connection.id, id, label, origin, headers, openedAt });
        connection.opened++;
        connection.live++;
        this.#tell(time, origin === 'local' ? 'open' : 'accept', id, '');
        break;
      }
      case 'rxmux:stream_replied':
      case 'rxmux:stream_half_closed':
        this.#tell(time, name === 'rxmux:stream_replied' ? 'reply' : 'end', data.stream_id, data.state);
        this.#moved(data.stream_id, data.state);
        break;
      case 'rxmux:stream_stalled':
      case 'rxmux:stream_resumed':
        this.#tell(time, name === 'rxmux:stream_stalled' ? 'stall' : 'resume', data.stream_id, data.side);
        break;
      case 'rxmux:stream_closed':
        this.#tell(time, 'close', data.stream_id, '');
        this.#over(data.stream_id, 'closed', data.stats);
        break;
      case 'rxmux:stream_reset':
        connection.resets++;
        this.#tell(time, 'reset', data.stream_id, `${data.code} ${data.remote ? 'by the peer' : 'by us'}`);
        this.#over(data.stream_id, 'reset', data.stats);
        break;
      case 'rxmux:stats':
        if (!Number.isNaN(this.#figuresAt)) this.#figuresMs = time - this.#figuresAt;
        this.#figuresAt = time;
        for (const { stream_id, state, ...stats } of data.streams) this.#stats(stream_id, state, stats);
        break;
      case 'rxmux:ping':
        connection.rtt = data.rtt;
        this.#tell(time, 'ping', 0, String(data.rtt));
        break;
      case 'rxmux:goaway':
        if (connection.state === 'open') connection.state = 'going-away';
        this.#tell(time, 'goaway', 0, data.remote ? 'by the peer' : 'by us');
        break;
      case 'rxmux:frame': {
        const { direction, frame, stream_id, length, flags } = data;
        this.#frames.push([time, connection.id, direction === 'in' ? 0 : 1, frame, stream_id, length, flags]);
        break;
      }
      case 'rxmux:connection_closed':
        connection.state = data.error === undefined ? 'closed' : 'failed';
        if (data.error !== undefined) connection.error = data.error;
    }
  }

  /** A trace that has lost its beginning. */
  #unnamed(): ConnectionState {
    const no = { headers: true, replyHeaders: true, trailers: true, flowControl: true } as const;
    const features = { ...no, halfStop: true, ping: true, goAway: true };
    const counts = { opened: 0, live: 0, resets: 0, bytesIn: 0, bytesOut: 0, rtt: null };
    const connection: ConnectionState = {
      id: 1,
      protocol: 'trace',
      role: 'client',
      features,
      state: 'open',
      ...counts,
    };
    this.#connections.push(connection);
    return connection;
  }

  #tell(at: number, type: EventType, id: number, detail: string): void {
    this.#events.push([at, type, this.#connections.length, this.#known.get(id)?.key ?? 0, detail]);
  }

  #moved(id: number, state: StreamState): void {
    const known = this.#known.get(id);
    if (known === undefined) return;
    known.state = state;
    const { key, bytesIn, bytesOut } = known;
    this.#figures.push(key, streamStates.indexOf(state), bytesIn, bytesOut, 0, 0, 0, 0, 0);
  }

  #over(id: number, state: StreamState, stats: TraceStats): void {
    this.#stats(id, state, stats);
    const connection = this.#connections.at(-1);
    if (connection !== undefined && this.#known.delete(id)) connection.live--;
  }

  #stats(id: number, state: StreamState, stats: TraceStats): void {
    const known = this.#known.get(id);
    const connection = this.#connections.at(-1);
    if (known === undefined || connection === undefined) return;
    const { bytes_in, bytes_out, queued_in, queued_out, receive_window, send_window, blocked_on } = stats;
    connection.bytesIn += bytes_in - known.bytesIn;
    connection.bytesOut += bytes_out - known.bytesOut;
    Object.assign(known, { bytesIn: bytes_in, bytesOut: bytes_out, state });
    const block = blocked_on === null ? 0 : blocks.indexOf(blocked_on);
    this.#figures.push(known.key, streamStates.indexOf(state), bytes_in, bytes_out, queued_in, queued_out);
    this.#figures.push(receive_window, send_window ?? unlimited, block);
  }
}

/** Plays a trace into a store, at any speed, and to any moment. */
export class Replay {
  readonly from: number;
  readonly to: number;
  readonly name: string;
  /** Records that could not be read. */
  readonly broken: number;
  readonly events: readonly TraceEvent[];
  isPlaying = true;
  /** Trace milliseconds in one of ours. */
  speed = 1;
  /** Where it is. */
  at: number;
  readonly #store: Store;
  #translator: Translator = new Translator();
  #next = 0;

  constructor(name: string, text: string, store: Store) {
    const { events, broken } = readTrace(text);
    if (events.length === 0) throw new Error(`${name} is not a trace: it has no events`);
    this.name = name;
    this.broken = broken;
    this.events = [...events].sort((a, b) => a.time - b.time);
    this.from = this.events[0]?.time ?? 0;
    this.to = Math.max(this.from + 1, this.events.at(-1)?.time ?? 0);
    this.at = this.from;
    this.#store = store;
    // All of it in ten seconds, if it took longer than that; a short one slowly enough to be seen.
    this.speed = (this.to - this.from) / 10_000;
    this.seek(this.from);
  }

  get isOver(): boolean {
    return this.at >= this.to;
  }

  /** `ms` of ours have passed. */
  advance(ms: number): void {
    if (!this.isPlaying) return;
    this.#playTo(this.at + ms * this.speed);
    if (this.isOver) this.isPlaying = false;
  }

  seek(at: number): void {
    if (at <= this.at) {
      this.#store.clear();
      this.#store.bucketMs = Math.max(0.5, (this.to - this.from) / steps);
      this.#translator = new Translator();
      this.#next = 0;
      this.at = this.from;
    }
    this.#playTo(at);
  }

  #playTo(at: number): void {
    const stepMs = (this.to - this.from) / steps;
    const end = Math.min(at, this.to);
    while (this.at < end) {
      const until = Math.min(end, this.at + stepMs);
      this.at = until;
      const first = this.#next;
      while ((this.events[this.#next]?.time ?? Number.POSITIVE_INFINITY) <= until) this.#next++;
      this.#store.apply(this.#translator.tick(until, stepMs, this.events.slice(first, this.#next)));
    }
    this.#store.fixedNow = this.at;
  }
}

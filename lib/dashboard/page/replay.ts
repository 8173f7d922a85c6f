import type { StreamState } from '../../api.js';
import { readTrace } from '../../wrappers/read-trace.js';
import type { TraceData, TraceEvent, TraceStats } from '../../wrappers/trace-events.js';
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
  /** As they were last told. */
  figures: readonly number[];
}

type ConnectionState = { -readonly [Name in keyof ConnectionRow]: ConnectionRow[Name] };

/** A connection of the trace. */
interface Traced {
  readonly row: ConnectionState;
  readonly known: Map<number, Known>;
  /** Its beginning is in the trace. */
  readonly isStarted: boolean;
  /** When figures of it were last in the trace. */
  figuresAt: number;
}

/** Says what a trace says in the messages that a live dashboard would have sent. */
class Translator {
  readonly #connections: Traced[] = [];
  /** The last one of each name. */
  readonly #named: Map<string, Traced> = new Map();
  #keys = 0;
  /** How long before these figures others were in the trace. */
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
      connections: this.#connections.map(({ row }) => ({ ...row })),
      streams: this.#streams,
      figures: this.#figures,
      events: this.#events,
      frames: this.#frames,
      omitted: { events: 0, frames: 0, streams: 0 },
    };
  }

  #take({ time, name, group_id: group, data }: TraceEvent): void {
    if (name === 'rxmux:connection_started') {
      this.#begin(group, data);
      return;
    }
    const traced = this.#named.get(group) ?? this.#begin(group, undefined);
    const { row, known } = traced;
    const tell = (type: EventType, id: number, detail: string): void => {
      this.#events.push([time, type, row.id, known.get(id)?.key ?? 0, detail]);
    };
    switch (name) {
      case 'rxmux:stream_opened': {
        const { stream_id: id, origin, label, headers, opened_at: openedAt, state } = data;
        if (known.has(id)) break;
        const key = ++this.#keys;
        known.set(id, { key, figures: [key, 0, 0, 0, 0, 0, 0, 0, 0] });
        this.#streams.push({ key, connection: row.id, id, label, origin, headers, openedAt });
        row.opened++;
        row.live++;
        tell(origin === 'local' ? 'open' : 'accept', id, '');
        this.#moved(traced, id, state);
        break;
      }
      case 'rxmux:stream_replied':
      case 'rxmux:stream_half_closed':
        tell(name === 'rxmux:stream_replied' ? 'reply' : 'end', data.stream_id, data.state);
        this.#moved(traced, data.stream_id, data.state);
        break;
      case 'rxmux:stream_stalled':
      case 'rxmux:stream_resumed':
        tell(name === 'rxmux:stream_stalled' ? 'stall' : 'resume', data.stream_id, data.side);
        break;
      case 'rxmux:stream_closed':
        tell('close', data.stream_id, '');
        this.#over(traced, data.stream_id, 'closed', data.stats);
        break;
      case 'rxmux:stream_reset':
        row.resets++;
        tell('reset', data.stream_id, `${data.code} ${data.remote ? 'by the peer' : 'by us'}`);
        this.#over(traced, data.stream_id, 'reset', data.stats);
        break;
      case 'rxmux:stats':
        if (traced.figuresAt > 0) this.#figuresMs = Math.max(this.#figuresMs, time - traced.figuresAt);
        traced.figuresAt = time;
        for (const { stream_id, state, ...stats } of data.streams)
          this.#stats(traced, stream_id, state, stats);
        break;
      case 'rxmux:ping':
        row.rtt = data.rtt;
        tell('ping', 0, String(data.rtt));
        break;
      case 'rxmux:goaway':
        if (row.state === 'open') row.state = 'going-away';
        tell('goaway', 0, data.remote ? 'by the peer' : 'by us');
        break;
      case 'rxmux:frame': {
        const { direction, frame, stream_id, length, flags } = data;
        this.#frames.push([time, row.id, direction === 'in' ? 0 : 1, frame, stream_id, length, flags]);
        break;
      }
      case 'rxmux:connection_closed':
        row.state = data.error === undefined ? 'closed' : 'failed';
        if (data.error !== undefined) row.error = data.error;
    }
  }

  /** Without `started`, the trace has lost the beginning of this connection, or has events from before it. */
  #begin(group: string, started: TraceData['rxmux:connection_started'] | undefined): Traced {
    const before = this.#named.get(group);
    if (before !== undefined && !before.isStarted && started !== undefined) {
      Object.assign(before, { isStarted: true });
      Object.assign(before.row, started);
      return before;
    }
    const yes = { headers: true, replyHeaders: true, trailers: true, flowControl: true } as const;
    const features = { ...yes, halfStop: true, ping: true, goAway: true };
    const about: TraceData['rxmux:connection_started'] = started ?? {
      protocol: 'trace',
      role: 'client',
      features,
    };
    const counts = { opened: 0, live: 0, resets: 0, bytesIn: 0, bytesOut: 0, rtt: null };
    const id = this.#connections.length + 1;
    const row: ConnectionState = { id, name: group, ...about, state: 'open', ...counts };
    const traced = { row, known: new Map(), isStarted: started !== undefined, figuresAt: 0 };
    this.#connections.push(traced);
    this.#named.set(group, traced);
    return traced;
  }

  /** Its figures are what they were. */
  #moved({ known }: Traced, id: number, state: StreamState): void {
    const stream = known.get(id);
    if (stream !== undefined) this.#tell(stream, stream.figures.with(1, streamStates.indexOf(state)));
  }

  #over(traced: Traced, id: number, state: StreamState, stats: TraceStats): void {
    this.#stats(traced, id, state, stats);
    if (traced.known.delete(id)) traced.row.live--;
  }

  #stats({ row, known }: Traced, id: number, state: StreamState, stats: TraceStats): void {
    const stream = known.get(id);
    if (stream === undefined) return;
    const { bytes_in, bytes_out, queued_in, queued_out, receive_window, send_window, blocked_on } = stats;
    row.bytesIn += bytes_in - (stream.figures[2] ?? 0);
    row.bytesOut += bytes_out - (stream.figures[3] ?? 0);
    const block = blocked_on === null ? 0 : blocks.indexOf(blocked_on);
    const sizes = [bytes_in, bytes_out, queued_in, queued_out, receive_window, send_window ?? unlimited];
    this.#tell(stream, [stream.key, streamStates.indexOf(state), ...sizes, block]);
  }

  #tell(stream: Known, figures: readonly number[]): void {
    stream.figures = figures;
    this.#figures.push(...figures);
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

import type { Provider } from '../api.js';
import type { Redactor } from '../wrappers/redact.js';
import type { ConnectionRow, EventRow, FrameRow, StreamRow, Tick } from './messages.js';
import { Room } from './room.js';
import { shownOf, sizeOf } from './shown.js';
import { figuresOf, WatchedConnection, type WatchedStream } from './watched-connection.js';

/** Figures are taken this often while that is cheap. */
const fastestMs = 100;
/** And at least this often, so that a new stream shows within half a second. */
const slowestMs = 400;
/** The dashboard's share of the thread is at most one in so many. */
const share = 40;
/** Connections that are over and still listed. */
const mostOver = 16;
const defaultPingMs = 1000;
/** Connections pinged in one round; the others have their turn in the next ones. */
const mostPings = 16;

/** What a message holds beside figures, in characters; what there is no room for is told later, or counted. */
const mostOfMessage = 1 << 20;
/** What rows, events and frames take, beside texts of any length. */
const sizeOfRow = 160;
const sizeOfEvent = 64;

/** One open page. */
export interface Viewer {
  /** It takes no message now, and needs a whole one later. */
  readonly isBehind: boolean;
  send(message: string): void;
}

export interface HubOptions {
  /** Undefined: once a second, except for those who may take it ill. */
  readonly pingMs: number | undefined;
  /** Hides what is secret in headers, labels and messages. */
  readonly redact: Redactor;
}

/** Gathers what all connections have to say, and tells every page the same at the same time. */
export class Hub {
  readonly #options: HubOptions;
  readonly #connections: Set<WatchedConnection> = new Set();
  /** Whether each has to be told everything. */
  readonly #viewers: Map<Viewer, boolean> = new Map();
  #keys = 0;
  #ids = 0;
  #timer: NodeJS.Timeout | undefined;
  #everyMs: number = fastestMs;
  #pingAt = 0;
  #pinged = 0;

  constructor(options: HubOptions) {
    this.#options = options;
  }

  add(provider: Provider, name: string | undefined): void {
    const connection = new WatchedConnection(++this.#ids, provider, name, {
      nextKey: () => ++this.#keys,
      redact: this.#options.redact,
    });
    this.#connections.add(connection);
    connection.read(this.#viewers.size > 0);
    const over = [...this.#connections].filter(({ isOver }) => isOver);
    for (const old of over.slice(0, Math.max(0, over.length - mostOver))) {
      old.stop();
      this.#connections.delete(old);
    }
  }

  join(viewer: Viewer): void {
    this.#viewers.set(viewer, true);
    for (const connection of this.#connections) connection.read(true);
    // The next tick is far away only for one who has just come.
    clearTimeout(this.#timer);
    this.#schedule(0);
  }

  leave(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    if (this.#viewers.size > 0) return;
    clearTimeout(this.#timer);
    for (const connection of this.#connections) connection.read(false);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#viewers.clear();
    for (const connection of this.#connections) connection.stop();
    this.#connections.clear();
  }

  #schedule(ms: number): void {
    this.#timer = setTimeout(() => this.#tick(), ms);
    this.#timer.unref();
  }

  #tick(): void {
    const startedAt = performance.now();
    const news = JSON.stringify(this.#news());
    let whole: string | undefined;
    for (const [viewer, needsWhole] of this.#viewers) {
      const { isBehind } = viewer;
      this.#viewers.set(viewer, isBehind);
      if (isBehind) continue;
      if (needsWhole) whole ??= JSON.stringify(this.#whole());
      viewer.send(needsWhole ? (whole as string) : news);
    }
    this.#ping(startedAt);
    const cost = performance.now() - startedAt;
    this.#everyMs = Math.min(slowestMs, Math.max(fastestMs, Math.round(cost * share)));
    if (this.#viewers.size > 0) this.#schedule(this.#everyMs);
  }

  #ping(now: number): void {
    const { pingMs } = this.#options;
    const everyMs = pingMs ?? defaultPingMs;
    if (everyMs <= 0 || now < this.#pingAt) return;
    this.#pingAt = now + everyMs;
    const mayPing = ({ isOver, isPingable }: WatchedConnection): boolean =>
      !isOver && (pingMs !== undefined || isPingable);
    const asked = [...this.#connections].filter(mayPing);
    for (let i = 0; i < Math.min(mostPings, asked.length); i++) asked[this.#pinged++ % asked.length]?.ping();
  }

  /** What has changed since the last call. */
  #news(): Tick {
    const connections: ConnectionRow[] = [];
    const streams: StreamRow[] = [];
    const figures: number[] = [];
    const events: EventRow[] = [];
    const frames: FrameRow[] = [];
    const omitted = { events: 0, frames: 0, streams: 0 };
    const room = new Room(mostOfMessage, this.#connections.size);
    for (const connection of this.#connections) {
      room.turn();
      for (const watched of connection.live.values()) this.#look(watched, room, streams, figures);
      for (const watched of connection.justEnded) {
        this.#announce(watched, room, streams);
        if (watched.isAnnounced) append(figures, watched.figures);
        else omitted.streams++;
      }
      const row = connection.row(false);
      if (row !== null) connections.push(row);
      const fittingEvents = room.fit(connection.events, sizeOfEvent);
      const fittingFrames = room.fit(connection.frames.rows, sizeOfEvent);
      append(events, fittingEvents);
      append(frames, fittingFrames);
      omitted.events += connection.omittedEvents + connection.events.length - fittingEvents.length;
      omitted.streams += connection.omittedStreams;
      omitted.frames += connection.frames.omitted + connection.frames.rows.length - fittingFrames.length;
      connection.forgetNews();
    }
    return { at: now(), everyMs: this.#everyMs, connections, streams, figures, events, frames, omitted };
  }

  /** Everything that there is, or has room; figures as of the last `#news`. */
  #whole(): Tick {
    const connections: ConnectionRow[] = [];
    const streams: StreamRow[] = [];
    const figures: number[] = [];
    const omitted = { events: 0, frames: 0, streams: 0 };
    const room = new Room(mostOfMessage, this.#connections.size);
    for (const connection of this.#connections) {
      room.turn();
      connections.push(connection.row(true) as ConnectionRow);
      const rows: StreamRow[] = [];
      for (const watched of [...connection.live.values(), ...connection.ended.toReversed()]) {
        if (room.isFull) {
          // News bring the rows of those that are alive.
          if (watched.stream === null) omitted.streams++;
          else watched.isDue = true;
          continue;
        }
        rows.push(this.#rowOf(watched, room));
        append(figures, watched.figures);
      }
      append(
        streams,
        rows.sort((a, b) => a.key - b.key),
      );
    }
    const base = { at: now(), isWhole: true, everyMs: this.#everyMs } as const;
    return { ...base, connections, streams, figures, events: [], frames: [], omitted };
  }

  /** Says what has changed about a stream that is alive. */
  #look(watched: WatchedStream, room: Room, streams: StreamRow[], figures: number[]): void {
    const { stream } = watched;
    if (stream === null) return;
    const { label } = stream;
    if (label !== watched.label) {
      watched.label = label;
      watched.isDue = true;
    }
    const isNew = this.#announce(watched, room, streams);
    const seen = figuresOf(watched.key, stream);
    if (!isNew && isSame(seen, watched.figures)) return;
    watched.figures = seen;
    append(figures, seen);
  }

  /** Whether its row is in this message. One that has no room is in a later one. */
  #announce(watched: WatchedStream, room: Room, streams: StreamRow[]): boolean {
    if (!watched.isDue || room.isFull) return false;
    watched.isDue = false;
    watched.isAnnounced = true;
    streams.push(this.#rowOf(watched, room));
    return true;
  }

  #rowOf(watched: WatchedStream, room: Room): StreamRow {
    const { key, connection, id, origin, openedAt, label, headers } = watched;
    const shown = watched.shown ?? shownOf(label, headers, this.#options.redact);
    room.take(sizeOfRow + sizeOf(shown.label, shown.headers));
    return { key, connection, id, origin, openedAt, label: shown.label, headers: shown.headers };
  }
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** `push(...values)` has a limit of arguments. */
function append<T>(to: T[], values: readonly T[]): void {
  for (const value of values) to.push(value);
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

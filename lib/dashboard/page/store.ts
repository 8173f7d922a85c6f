import type { StreamState } from '../../api.js';
import {
  type ConnectionRow,
  type EventRow,
  type FrameRow,
  figuresPerStream,
  type StreamRow,
  streamStates,
  type Tick,
} from '../messages.js';
import { History } from './history.js';
import { Lane } from './lane.js';

/** A moment in a stream's life, for its lane and its details. */
export interface Mark {
  readonly at: number;
  readonly type: 'open' | 'accept' | 'reply' | 'end-in' | 'end-out' | 'reset' | 'close' | 'stall' | 'resume';
  readonly detail: string;
}

/** One stream, as the table shows it. */
export interface Row extends StreamRow {
  label: string;
  state: StreamState;
  bytesIn: number;
  bytesOut: number;
  /** Bytes per second, smoothed over about half a second. */
  rateIn: number;
  rateOut: number;
  queuedIn: number;
  queuedOut: number;
  receiveWindow: number;
  sendWindow: number;
  /** A number of `blocks`. */
  block: number;
  /** Since when it waits for that. */
  blockedSince: number;
  /** How long it has waited for each of `blocks`, this time not included. */
  readonly waited: number[];
  endedAt: number | null;
  resetDetail: string;
  readonly marks: Mark[];
  lane: Lane | null;
  /** When its figures were last taken. */
  seenAt: number;
  /** What a filter looks through. */
  text: string;
}

/** A connection with what the page works out itself. */
export interface Connection extends ConnectionRow {
  rateIn: number;
  rateOut: number;
  readonly history: History;
}

/** A line of the log: a frame or an event. */
export type LogLine = { readonly frame: FrameRow } | { readonly event: EventRow };

/** Rows of ended streams, lines of the log and marks of a stream that are kept. */
const mostEndedRows = 1000;
const mostLines = 5000;
const mostMarks = 200;
/** What is taken from a message in one step: far less than a millisecond's work. */
const stepSize = 100;
/** Buckets that one message is spread over at most. */
const mostSpread = 100;

/** Everything the page knows. Changed in place by messages; `version` counts the changes. */
export class Store {
  version = 0;
  /** The server's time at the last message. */
  at = 0;
  /** The page's own clock (`performance.now()`) at that moment. */
  heardAt = 0;
  everyMs = 0;
  bucketMs = 100;
  /** What time it is in a replay. */
  fixedNow: number | null = null;
  readonly rows: Map<number, Row> = new Map();
  readonly connections: Map<number, Connection> = new Map();
  lines: LogLine[] = [];
  /** Lines ever added; what is beyond `lines` has been dropped here. */
  linesSeen = 0;
  framesSeen = 0;
  framesOmitted = 0;
  eventsOmitted = 0;
  streamsOmitted = 0;
  rowsDropped = 0;
  readonly history: History = new History();
  #ended: number[] = [];
  #before = 0;
  #figuresMs = 0;

  /** Live rows and those that ended lately. */
  get live(): number {
    return this.rows.size - this.#ended.length;
  }

  apply(tick: Tick): void {
    const steps = this.steps(tick);
    while (!steps.next().done);
  }

  /** Takes a message in small steps, between which the page can do something else. */
  *steps(tick: Tick): Generator<void, void, void> {
    if (tick.isWhole) this.clear();
    const before = this.at;
    this.#before = before;
    this.#figuresMs = tick.figuresMs ?? 0;
    this.at = tick.at;
    this.heardAt = performance.now();
    this.everyMs = tick.everyMs;
    for (const part of parts(tick.streams, stepSize)) {
      for (const row of part) this.#announce(row);
      yield;
    }
    for (const part of parts(tick.events, stepSize)) {
      this.#takeEvents(part);
      yield;
    }
    for (const part of parts(tick.figures, stepSize * figuresPerStream)) {
      this.#takeFigures(part, tick.isWhole === true);
      yield;
    }
    this.#takeLines(tick.events, tick.frames);
    yield;
    this.#takeConnections(tick.connections, before);
    this.framesOmitted += tick.omitted.frames;
    this.framesSeen += tick.omitted.frames;
    this.eventsOmitted += tick.omitted.events;
    this.streamsOmitted += tick.omitted.streams;
    this.#settle();
    this.#prune();
    this.version++;
  }

  clear(): void {
    this.rows.clear();
    this.connections.clear();
    this.lines = [];
    this.linesSeen = 0;
    this.framesSeen = 0;
    this.framesOmitted = 0;
    this.eventsOmitted = 0;
    this.streamsOmitted = 0;
    this.rowsDropped = 0;
    this.history.clear();
    this.#ended = [];
    this.at = 0;
    this.version++;
  }

  /** The server's time now, as far as the page can tell. */
  now(): number {
    if (this.fixedNow !== null) return this.fixedNow;
    return this.at + Math.min(1000, performance.now() - this.heardAt);
  }

  #announce(row: StreamRow): void {
    const text = [`#${row.id}`, row.label, ...row.headers.map(([name, value]) => `${name}: ${value}`)];
    const known = this.rows.get(row.key);
    if (known !== undefined) {
      known.label = row.label;
      known.text = text.join('\n').toLowerCase();
      return;
    }
    this.rows.set(row.key, {
      ...row,
      state: 'opening',
      bytesIn: 0,
      bytesOut: 0,
      rateIn: 0,
      rateOut: 0,
      queuedIn: 0,
      queuedOut: 0,
      receiveWindow: 0,
      sendWindow: 0,
      block: 0,
      blockedSince: 0,
      waited: [0, 0, 0, 0],
      endedAt: null,
      resetDetail: '',
      marks: [],
      lane: null,
      seenAt: row.openedAt,
      text: text.join('\n').toLowerCase(),
    });
  }

  #takeFigures(figures: readonly number[], isWhole: boolean): void {
    const [first, bucket] = this.#buckets();
    for (let i = 0; i < figures.length; i += figuresPerStream) {
      const row = this.rows.get(figures[i] as number);
      if (row === undefined) continue;
      const bytesIn = figures[i + 2] as number;
      const bytesOut = figures[i + 3] as number;
      const block = figures[i + 8] as number;
      const newIn = isWhole ? 0 : bytesIn - row.bytesIn;
      const newOut = isWhole ? 0 : bytesOut - row.bytesOut;
      if (newIn > 0 || newOut > 0 || block !== 0) {
        row.lane ??= new Lane();
        const begin = Math.max(first, Math.floor(row.openedAt / this.bucketMs));
        row.lane.spread(Math.min(begin, bucket), bucket, newIn, newOut, block);
      }
      this.#setRates(row, newIn, newOut);
      row.bytesIn = bytesIn;
      row.bytesOut = bytesOut;
      row.queuedIn = figures[i + 4] as number;
      row.queuedOut = figures[i + 5] as number;
      row.receiveWindow = figures[i + 6] as number;
      row.sendWindow = figures[i + 7] as number;
      if (block !== row.block) this.#setBlock(row, block);
      this.#setState(row, streamStates[figures[i + 1] as number] as StreamState);
    }
  }

  /** The buckets of time that a message is about. */
  #buckets(): [number, number] {
    const last = Math.floor(this.at / this.bucketMs);
    const since = Math.min(this.#before, this.at - this.#figuresMs);
    const first = Math.floor(since / this.bucketMs) + 1;
    return [Math.min(last, Math.max(first, last - mostSpread)), last];
  }

  #setRates(row: Row, newIn: number, newOut: number): void {
    const ms = Math.max(1, this.at - row.seenAt);
    const weight = 1 - Math.exp(-ms / 400);
    row.rateIn += weight * ((newIn * 1000) / ms - row.rateIn);
    row.rateOut += weight * ((newOut * 1000) / ms - row.rateOut);
    row.seenAt = this.at;
  }

  #setBlock(row: Row, block: number): void {
    if (row.block !== 0) row.waited[row.block] = (row.waited[row.block] ?? 0) + this.at - row.blockedSince;
    row.block = block;
    row.blockedSince = this.at;
  }

  #setState(row: Row, state: StreamState): void {
    const isOver = state === 'closed' || state === 'reset';
    if (isOver && row.endedAt === null) {
      row.endedAt = row.marks.findLast(({ type }) => type === state || type === 'close')?.at ?? this.at;
      if (row.block !== 0) this.#setBlock(row, 0);
      row.rateIn = 0;
      row.rateOut = 0;
      this.#ended.push(row.key);
    }
    row.state = state;
  }

  #takeEvents(events: readonly EventRow[]): void {
    for (const event of events) {
      const [at, type, , key, detail] = event;
      if (type === 'ping') continue;
      const row = this.rows.get(key);
      if (row === undefined) continue;
      if (type === 'reset') row.resetDetail = detail;
      if (row.marks.length < mostMarks) row.marks.push({ at, type: markOf(row, type, detail), detail });
    }
  }

  /** Connections tell of themselves one after the other; the log is one, in the order of time. */
  #takeLines(events: readonly EventRow[], frames: readonly FrameRow[]): void {
    const lines: LogLine[] = [...frames.map((frame) => ({ frame })), ...events.map((event) => ({ event }))];
    lines.sort((a, b) => timeOf(a) - timeOf(b));
    for (const line of lines) this.lines.push(line);
    this.linesSeen += lines.length;
    this.framesSeen += frames.length;
  }

  #takeConnections(rows: readonly ConnectionRow[], before: number): void {
    const ms = Math.max(1, this.at - before);
    const changed = new Set<number>();
    for (const row of rows) {
      const known = this.connections.get(row.id);
      const weight = 1 - Math.exp(-ms / 300);
      const rateIn = known === undefined ? 0 : ((row.bytesIn - known.bytesIn) * 1000) / ms;
      const rateOut = known === undefined ? 0 : ((row.bytesOut - known.bytesOut) * 1000) / ms;
      changed.add(row.id);
      const isOver = row.state === 'closed' || row.state === 'failed';
      this.connections.set(row.id, {
        ...row,
        rateIn: isOver ? 0 : (known?.rateIn ?? 0) + weight * (rateIn - (known?.rateIn ?? 0)),
        rateOut: isOver ? 0 : (known?.rateOut ?? 0) + weight * (rateOut - (known?.rateOut ?? 0)),
        history: known?.history ?? new History(),
      });
    }
    for (const connection of this.connections.values()) {
      if (changed.has(connection.id)) continue;
      connection.rateIn = fade(connection.rateIn, ms);
      connection.rateOut = fade(connection.rateOut, ms);
    }
  }

  /** What follows from all of a message: rates of silent streams, and the points of the charts. */
  #settle(): void {
    const waiting = new Map<number, number[]>();
    const [first, bucket] = this.#buckets();
    for (const row of this.rows.values()) {
      if (row.seenAt < this.at && (row.rateIn > 0 || row.rateOut > 0)) {
        row.rateIn = fade(row.rateIn, this.everyMs);
        row.rateOut = fade(row.rateOut, this.everyMs);
      }
      if (row.block === 0) continue;
      if (row.seenAt < this.at) row.lane?.spread(first, bucket, 0, 0, row.block);
      const counts = waiting.get(row.connection) ?? [0, 0, 0, 0];
      counts[row.block] = (counts[row.block] ?? 0) + 1;
      waiting.set(row.connection, counts);
    }
    const all = [0, 0, 0, 0];
    let rateIn = 0;
    let rateOut = 0;
    const rtts: number[] = [];
    for (const connection of this.connections.values()) {
      const counts = waiting.get(connection.id) ?? [0, 0, 0, 0];
      for (let i = 1; i < 4; i++) all[i] = (all[i] as number) + (counts[i] as number);
      const isOpen = connection.state === 'open' || connection.state === 'going-away';
      const rtt = isOpen ? connection.rtt : null;
      connection.history.add(this.at, connection.rateIn, connection.rateOut, rtt, rtt, counts);
      rateIn += connection.rateIn;
      rateOut += connection.rateOut;
      if (rtt !== null) rtts.push(rtt);
    }
    rtts.sort((a, b) => a - b);
    const median = rtts[Math.floor((rtts.length - 1) / 2)] ?? null;
    this.history.add(this.at, rateIn, rateOut, median, rtts.at(-1) ?? null, all);
  }

  #prune(): void {
    const extra = this.#ended.length - mostEndedRows;
    if (extra > 100) {
      for (const key of this.#ended.splice(0, extra)) this.rows.delete(key);
      this.rowsDropped += extra;
    }
    if (this.lines.length > mostLines * 1.2) this.lines = this.lines.slice(-mostLines);
  }
}

function* parts<T>(list: readonly T[], size: number): Generator<readonly T[], void, void> {
  for (let i = 0; i < list.length; i += size) yield list.slice(i, i + size);
}

function timeOf(line: LogLine): number {
  return 'frame' in line ? line.frame[0] : line.event[0];
}

/** A rate while nothing is said of it any more. */
function fade(rate: number, ms: number): number {
  const faded = rate * Math.exp(-ms / 400);
  return faded < 1 ? 0 : faded;
}

/** An `end` is told with the state after it, which says whose half it was. */
function markOf(row: Row, type: Exclude<EventRow[1], 'ping'>, detail: string): Mark['type'] {
  if (type === 'goaway') return 'close';
  if (type !== 'end') return type;
  if (detail === 'half-closed-local') return 'end-out';
  if (detail === 'half-closed-remote') return 'end-in';
  return row.marks.some((mark) => mark.type === 'end-out') ? 'end-in' : 'end-out';
}

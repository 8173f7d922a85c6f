import type { Chunk, StreamHeaders } from '../api.js';
import { ByteQueue } from './byte-queue.js';
import { toBytes } from './bytes.js';
import { StreamError } from './errors.js';
import { canHold, hold, type Release } from './hold.js';
import { Deferred, done, reject, rejected } from './promises.js';
import { maxCredit } from './window.js';

/** What a sending half asks of its stream. */
export interface OutboxOwner {
  readonly id: number;
  /** There is something to send, or may be. */
  outboxReady(): void;
  /** A source waits for room. */
  outboxThirsty(): void;
  /** Bytes that the window lets go were queued, or are gone again (negative). */
  outboxQueued(bytes: number): void;
  /** Whether the connection has room for more data now. */
  outboxMayTake(bytes: number): boolean;
  /** A source that cannot be held ran too far ahead. */
  halfBroke(error: StreamError): void;
}

class Waiter extends Deferred<void> {
  /** Total of bytes sent at which it is over; the end counts as one more. */
  readonly at: number;

  constructor(at: number) {
    super();
    this.at = at;
  }
}

/** Who waits for room: told within the turn in which there is some. */
export interface RoomWaiter {
  readonly bytes: number;
  resolve(): void;
  reject(error: unknown): void;
}

/** What to do with a source that cannot be held. */
export interface Unpaced {
  readonly maxBuffered: number;
  readonly overflow: 'strict' | 'unbounded' | 'drop-newest';
}

export const defaultUnpaced: Unpaced = { maxBuffered: 1024 * 1024, overflow: 'strict' };

/**
 * The sending half of a stream: takes bytes from writers and sources, and lets them wait while the peer's window or
 * the transport has no room. It frames nothing itself: the connection moves bytes out, turn by turn.
 */
export class Outbox {
  /** What the peer allows us to send; may be negative after its settings shrank. */
  window: number;
  /** The widest the window was. */
  widest: number;
  bytesOut = 0;
  /** The longest piece of data that the peer takes on this stream. */
  maxDataBytes: number = maxCredit;
  /** The peer has taken the stream, whether its headers are here or still to come: data may go. */
  isConfirmed = false;
  trailers: StreamHeaders | null = null;
  error: unknown = undefined;
  readonly #owner: OutboxOwner;
  readonly #queueBytes: number;
  #queue: ByteQueue | null = null;
  #waiters: Waiter[] | null = null;
  #room: RoomWaiter[] | null = null;
  #holds: Release[] | null = null;
  #onFail: Set<(error: unknown) => void> | null = null;
  /** What the owner knows to be queued. */
  #told = 0;
  #ending = false;
  #ended = false;
  #failed = false;

  constructor(owner: OutboxOwner, windowBytes: number, queueBytes: number) {
    this.#owner = owner;
    this.window = windowBytes;
    this.widest = windowBytes;
    this.#queueBytes = queueBytes;
  }

  get queued(): number {
    return this.#queue === null ? 0 : this.#queue.byteLength;
  }

  get hasFailed(): boolean {
    return this.#failed;
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  /** The end was asked for and is not on the wire. */
  get wantsEnd(): boolean {
    return this.#ending && !this.#ended;
  }

  /** A source waits for room. */
  get isThirsty(): boolean {
    return this.#room !== null || this.#holds !== null;
  }

  /** Less than half of the window is left: what a source waits for is the peer. */
  get isNearEdge(): boolean {
    return this.window - this.queued <= this.widest >> 1;
  }

  /** Sent, and not read by the peer's application as far as we know. */
  get unreturned(): number {
    return this.widest - this.window;
  }

  get isWaiting(): boolean {
    return this.queued > 0 || this.isThirsty;
  }

  /** Whether `bytes` more would be in the window, and the connection could take them. */
  hasRoom(bytes: number): boolean {
    const queued = this.queued;
    return queued + bytes <= this.window && queued < this.#queueBytes && this.#owner.outboxMayTake(bytes);
  }

  /** Who is told of a failure: each source on its way. */
  get onFail(): Set<(error: unknown) => void> {
    this.#onFail ??= new Set();
    return this.#onFail;
  }

  /** Takes bytes; resolves once they are in the window. */
  write(chunk: Chunk): Promise<void> {
    const bytes = toBytes(chunk);
    const refusal = this.refusal;
    if (refusal !== undefined) return rejected(refusal);
    const taken = bytes.length === 0 || this.hasRoom(bytes.length);
    this.take(bytes);
    return taken ? done : this.sent();
  }

  /**
   * Takes what a source pushes. While there is no room, the delivery in progress is held; if there is none, the bytes
   * are kept up to a bound. False once the half takes no more.
   */
  next(chunk: Chunk, unpaced: Unpaced): boolean {
    const bytes = toBytes(chunk);
    if (this.refusal !== undefined) return false;
    const holdable = canHold();
    if (!holdable && this.queued + bytes.length > unpaced.maxBuffered && !this.hasRoom(bytes.length)) {
      if (unpaced.overflow === 'drop-newest') return true;
      if (unpaced.overflow === 'strict') {
        const ahead = this.queued + bytes.length;
        const message = `stream ${this.#owner.id}: its source ran ${ahead} bytes ahead of the peer's window`;
        this.#owner.halfBroke(new StreamError('overflow', message, { streamId: this.#owner.id }));
        return false;
      }
    }
    this.take(bytes);
    // Whoever has heard of a stall may have reset the stream.
    if (holdable && !this.#failed && !this.hasRoom(1)) {
      this.#holds ??= [];
      this.#holds.push(hold());
      this.#owner.outboxThirsty();
    }
    return true;
  }

  /** Takes bytes, whether there is room or not: that is the caller's to ask. */
  take(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#queue ??= new ByteQueue();
    this.#queue.push(bytes);
    this.#count();
    this.#owner.outboxReady();
  }

  /**
   * False if the waiter's bytes have room now; otherwise it is told once they have. Waiting for more than half of the
   * window could be for ever, since the reader returns credit by halves: that much is enough.
   */
  waitsForRoom(waiter: RoomWaiter): boolean {
    if (this.#hasRoomFor(waiter.bytes)) return false;
    this.#room ??= [];
    this.#room.push(waiter);
    this.#owner.outboxThirsty();
    return true;
  }

  /** Resolves once all that was taken is with the transport. */
  sent(): Promise<void> {
    if (this.#failed) return rejected(this.error);
    return this.#reached(this.bytesOut + this.queued);
  }

  end(trailers: StreamHeaders | null): Promise<void> {
    if (this.#failed) return rejected(this.error);
    if (!this.#ending) {
      this.#ending = true;
      this.trailers = trailers;
      this.#owner.outboxReady();
      // A source that waits for room would wait for ever: there is none behind the end.
      if (this.isThirsty) this.#noRoom(this.refusal);
    } else if (trailers !== null) {
      // A source has ended, and said so: trailers can be added until the end is on its way.
      if (this.#ended) return rejected(this.refusal);
      this.trailers ??= trailers;
    }
    return this.#ended ? done : this.#reached(this.bytesOut + this.queued + 1);
  }

  /** Why nothing more can be written, if so. */
  get refusal(): unknown {
    if (this.#failed) return this.error;
    if (!this.#ending) return undefined;
    const message = `stream ${this.#owner.id}: its sending half has ended`;
    return new StreamError('ended', message, { streamId: this.#owner.id });
  }

  // ---- from the connection

  /** The queue, for moving `bytes` of it to the wire. */
  moving(bytes: number): ByteQueue {
    const queue = this.#queue as ByteQueue;
    this.window -= bytes;
    this.bytesOut += bytes;
    if (queue.byteLength === bytes) this.#queue = null;
    this.#told -= bytes;
    this.#owner.outboxQueued(-bytes);
    return queue;
  }

  /** The end is on the wire. */
  ended(): void {
    this.#ended = true;
  }

  credit(bytes: number): void {
    this.window += bytes;
    this.#count();
    // The peer's own settings can be narrower than what was assumed of it.
    if (bytes < 0) this.widest = Math.max(0, this.widest + bytes);
    else if (this.window > this.widest) this.widest = this.window;
  }

  /** There is a window now where there was none; what was sent before counts. */
  limit(window: number): void {
    this.window = window - this.bytesOut;
    this.#count();
    this.widest = Math.max(0, this.window);
  }

  /** Tells writers and sources what is sent, and that there is room. */
  settle(): void {
    if (this.#waiters !== null) this.#settleWaiters(this.#waiters);
    if (this.#room !== null) this.#settleRoom(this.#room);
    if (this.#holds !== null && this.hasRoom(1)) this.#letGo();
  }

  /** No more is sent, except for an end that the wire may still need. */
  fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.error = error;
    this.#queue = null;
    this.#count();
    const waiters = this.#waiters;
    this.#waiters = null;
    if (waiters !== null) for (const waiter of waiters) reject(waiter, error);
    // Each for itself: a source's teardown that throws is an unhandled rejection, and keeps nothing here from ending.
    for (const listener of [...(this.#onFail ?? [])]) void (async () => listener(error))();
    this.#noRoom(error);
  }

  /** The peer reads no more: everything waiting fails, and the half ends on the wire. */
  stopped(error: StreamError): void {
    if (this.#ended) return;
    this.fail(error);
    this.trailers = null;
    this.#ending = true;
    this.#owner.outboxReady();
  }

  /** What waits for the window of this stream is in nobody's way. */
  #count(): void {
    const queued = Math.max(0, Math.min(this.queued, this.window));
    const more = queued - this.#told;
    this.#told = queued;
    if (more !== 0) this.#owner.outboxQueued(more);
  }

  #reached(at: number): Promise<void> {
    if (at <= this.bytesOut) return done;
    const waiter = new Waiter(at);
    if (this.#waiters === null) this.#waiters = [waiter];
    else this.#waiters.push(waiter);
    return waiter.promise;
  }

  #settleWaiters(waiters: Waiter[]): void {
    const sent = this.bytesOut + (this.#ended ? 1 : 0);
    let count = 0;
    while (count < waiters.length && (waiters[count] as Waiter).at <= sent) count++;
    if (count === 0) return;
    this.#waiters = count === waiters.length ? null : waiters.slice(count);
    for (let at = 0; at < count; at++) (waiters[at] as Waiter).resolve();
  }

  #settleRoom(waiters: RoomWaiter[]): void {
    const isReady = ({ bytes }: RoomWaiter): boolean => this.#hasRoomFor(bytes);
    // Most often nobody is: the streams of a busy connection are asked again and again.
    if (!waiters.some(isReady)) return;
    const ready = waiters.filter(isReady);
    this.#room = ready.length === waiters.length ? null : waiters.filter((waiter) => !ready.includes(waiter));
    for (const waiter of ready) waiter.resolve();
  }

  #hasRoomFor(bytes: number): boolean {
    return this.hasRoom(Math.max(1, Math.min(bytes, this.widest >> 1)));
  }

  #noRoom(error: unknown): void {
    const room = this.#room;
    this.#room = null;
    if (room !== null) for (const waiter of room) waiter.reject(error);
    this.#letGo();
  }

  #letGo(): void {
    const holds = this.#holds;
    this.#holds = null;
    if (holds !== null) for (const release of holds) release();
  }
}

import type { Subject } from 'rxjs';
import type { ProviderEvent, ResetCode, StreamHeaders } from '../api.js';
import type { Backlog } from './backlog.js';
import type { Crediting, EarlyWindows } from './crediting.js';
import type { Ending } from './ending.js';
import { StreamError, violation } from './errors.js';
import { type Fault, Faults } from './faults.js';
import { noHeaders } from './headers.js';
import type { IdTable } from './id-table.js';
import type { LimitValues } from './limits.js';
import type { Pings } from './pings.js';
import { CoreStream } from './stream.js';
import type { StreamHost } from './stream-host.js';
import { Tombstones } from './tombstones.js';
import type { Transmitter } from './transmitter.js';
import { maxCredit } from './window.js';
import type { Reason } from './wire.js';

/** What the peer's side needs of the connection. */
export interface PeerHost extends StreamHost {
  readonly limits: LimitValues;
  readonly streams: IdTable<CoreStream>;
  readonly backlog: Backlog<CoreStream>;
  readonly crediting: Crediting;
  readonly ending: Ending;
  readonly pings: Pings;
  readonly transmitter: Transmitter;
  readonly events: Subject<ProviderEvent> | null;
  /** The id of the next stream that we open. */
  readonly nextId: number;
  sendRefusalOf(id: number, code: Reason, reason: string, headers: StreamHeaders): void;
  tellGoAway(lastId: number, remote: boolean): void;
  tellStall(stream: CoreStream, type: 'stall' | 'resume', side: 'send' | 'receive'): void;
}

/** A peer that has not seen our end yet may give credit for what it took, stop, and reset. */
const lateFramesPerStream = 4;
const mostLateFrames = 4096;

/**
 * What the peer's frames mean, whatever the protocol: its streams, credit, resets and goodbyes, and how often it may do
 * what is of no use. A method throws a StreamError where the peer has broken the rules of the connection.
 */
export class Peer {
  /** Credit with which a stream starts towards the peer, if that keeps to windows. */
  initialWindow: number;
  /** The peer keeps to no windows, as far as we know. */
  windowless: boolean;
  readonly #host: PeerHost;
  readonly #faults: Faults;
  readonly #tombstones: Tombstones;
  readonly #maxCredit: number;
  /** Credit of the connection, while the peer's own is not known. */
  earlyConnectionWindow: number;
  #lastId = 0;
  /** Frames for streams that have ended, which may still come. */
  #lateFrames = 0;
  #openStreams = 0;
  /** Ids above this were told in our go-away to be unprocessed. */
  #goAwayId = Number.POSITIVE_INFINITY;

  constructor(host: PeerHost, early: EarlyWindows) {
    const { limits } = host;
    this.#host = host;
    // We assume no more of the peer than we grant ourselves: both ends tend to be set up alike.
    this.initialWindow = Math.min(early.earlyWindow, limits.windowBytes);
    this.earlyConnectionWindow = Math.min(early.earlyConnectionWindow, limits.receiveBudgetBytes);
    this.windowless = (early.flowControl ?? 'on') !== 'on';
    this.#maxCredit = early.maxCredit ?? maxCredit;
    this.#faults = new Faults(limits);
    this.#tombstones = new Tombstones(limits.tombstones, limits.tombstoneMs);
  }

  /** Credit with which a stream starts. */
  get streamWindow(): number {
    return this.windowless ? Number.POSITIVE_INFINITY : this.initialWindow;
  }

  /** The last stream that the peer opened. */
  get lastId(): number {
    return this.#lastId;
  }

  // ------------------------------------------------------------------ streams

  /** The peer opens a stream. Null if it is refused; its frames are then to be ignored. */
  opened(id: number, headers: StreamHeaders | StreamError, urgency: number): CoreStream | null {
    const { limits, backlog, ending } = this.#host;
    if (this.#isOurs(id)) throw violation(`the peer opened stream ${id}, which is ours to open`);
    if (id <= this.#lastId) throw violation(`the peer opened stream ${id} after ${this.#lastId}`);
    this.#lastId = id;
    if (ending.isOver) return null;
    // Once we go away, only what is already under way is taken, if there is somebody to take it.
    const takesNone = ending.isGoingAway && !(ending.isWarning && backlog.hasReader);
    if (id > this.#goAwayId) {
      this.fault('refusal');
      return null;
    }
    if (StreamError.is(headers)) {
      this.#refuse(id, reasonOf(headers), headers.message);
    } else if (takesNone || this.#openStreams >= limits.maxStreams) {
      this.#refuse(id, 'refused', 'no more streams are taken');
    } else if (backlog.size >= limits.backlog) {
      this.#refuse(id, 'refused', 'too many streams wait to be accepted');
    } else {
      const stream = new CoreStream(this.#host, id, 'remote', headers, urgency, this.streamWindow);
      this.#openStreams++;
      this.#host.streams.add(stream);
      return stream;
    }
    return null;
  }

  /** Hands an opened stream on, with the data that came with it. Observers heard of it before that. */
  offered(stream: CoreStream): void {
    if (stream.state !== 'reset') this.#host.backlog.push(stream);
  }

  /** Whether a stream of this id is or was there, whoever opened it. */
  wasOpened(id: number): boolean {
    return (
      this.#host.streams.get(id)?.announced ?? id < (this.#isOurs(id) ? this.#host.nextId : this.#lastId + 1)
    );
  }

  /**
   * The stream of a frame. Null if it is over, and the frame is to be ignored; `counts` once for each frame, as `weight`
   * among the late ones.
   */
  find(id: number, counts = true, weight = 1): CoreStream | null {
    const stream = this.#host.streams.get(id);
    if (stream?.announced) return stream;
    if (!this.wasOpened(id)) {
      throw violation(`the peer sent a frame for stream ${id}, which was never opened`);
    }
    if (counts && id <= this.#goAwayId && !this.#isExpected(id, weight)) this.fault('useless');
    return null;
  }

  /** Whether a frame for a stream that is over can be the network's delay. */
  #isExpected(id: number, weight: number): boolean {
    if (this.#tombstones.has(id, this.#host.now(), weight)) return true;
    if (this.#lateFrames === 0) return false;
    this.#lateFrames--;
    return true;
  }

  refused(
    stream: CoreStream,
    code: ResetCode,
    wireCode: number,
    reason: string,
    headers: StreamHeaders,
    retryable: boolean = code === 'refused',
  ): void {
    const message = `stream ${stream.id} was refused by the peer (${code})${reason && `: ${reason}`}`;
    const details = { streamId: stream.id, remote: true, wireCode, headers, reset: code, retryable };
    stream.fail(new StreamError('refused', message, details), code, true);
  }

  reset(stream: CoreStream, code: ResetCode, wireCode: number, reason: string): void {
    // Opening and resetting costs us work; a reset of what we opened ourselves does not, nor one in the place of a STOP.
    if (stream.origin === 'remote') {
      if (stream.answer !== 'written' || !stream.remoteOver) this.fault('reset');
      this.#host.backlog.remove(stream);
    }
    const message = `stream ${stream.id} was reset by the peer (${code})${reason && `: ${reason}`}`;
    const details = { streamId: stream.id, remote: true, wireCode, reset: code };
    stream.fail(new StreamError('reset', message, details), code, true);
    // It knows that the stream is over, and has no more to say on it.
    this.#tombstones.delete(stream.id);
  }

  stopped(stream: CoreStream, code: ResetCode, wireCode: number): void {
    // The first STOP of a stream costs us no more than its end would.
    if (stream.outbox.hasFailed || stream.outbox.hasEnded) this.fault('useless');
    stream.peerStopped(code, wireCode);
  }

  /** A broken stream, which the connection survives. */
  broke(stream: CoreStream, error: StreamError): void {
    this.fault('error');
    this.#host.sendReset(stream, reasonOf(error), error.message);
    stream.fail(error, error.reset ?? 'protocol-error', true);
  }

  /** A stream is over. */
  forget(stream: CoreStream): void {
    if (stream.origin === 'remote') this.#openStreams--;
    this.#expectLate();
    if (stream.state === 'reset') this.forgive(stream.id);
  }

  /** Frames of a stream that is over may still come. */
  forgive(id: number): void {
    this.#tombstones.add(id, this.#host.now());
  }

  // ------------------------------------------------------------------ data and credit

  /** Counts data against the windows. To be called before `data`, with null if the stream is over. */
  sent(stream: CoreStream | null, bytes: number): void {
    this.#host.crediting.received(stream, bytes);
  }

  data(stream: CoreStream, chunk: Uint8Array): void {
    stream.inbox.receive(chunk);
    if (stream.readStalled || !stream.inbox.isStalling) return;
    stream.readStalled = true;
    this.#host.tellStall(stream, 'stall', 'receive');
  }

  /** The peer has shown that it keeps to windows: they hold from here on, and what was sent before counts. */
  keepsToWindows(): void {
    if (!this.windowless) return;
    this.windowless = false;
    const { streams, transmitter, crediting } = this.#host;
    for (const stream of streams.values()) stream.outbox.limit(this.initialWindow);
    // Credit was kept back until now.
    crediting.review();
    transmitter.addCredit(this.earlyConnectionWindow);
  }

  /** The peer changed the window that streams start with, and that of those which have. */
  windows(bytes: number): void {
    const change = bytes - this.initialWindow;
    this.initialWindow = bytes;
    for (const stream of this.#host.streams.values()) this.#widen(stream, change);
  }

  /** The window of the connection, which replaces the one that was assumed. */
  connectionWindow(bytes: number): void {
    this.connectionCredit(bytes - this.earlyConnectionWindow);
  }

  credit(stream: CoreStream, bytes: number): void {
    if (stream.outbox.window + bytes > this.#maxCredit) {
      throw tooMuchCredit(`stream ${stream.id}`, this.#maxCredit);
    }
    this.#widen(stream, bytes);
  }

  connectionCredit(bytes: number): void {
    if (!this.#host.transmitter.addCredit(bytes)) throw tooMuchCredit('the connection', maxCredit);
  }

  // ------------------------------------------------------------------ the connection

  ponged(payload: number): void {
    const rtt = this.#host.pings.answered(payload);
    if (rtt === undefined) this.fault('useless');
    else this.#host.events?.next({ type: 'ping', at: this.#host.now(), rtt });
  }

  /** The peer takes no stream above `lastId` any more; with an error, it has given up altogether. */
  goesAway(lastId: number, error: StreamError | null): void {
    const { ending, streams } = this.#host;
    this.#host.tellGoAway(lastId, true);
    if (ending.peerIsGoingAway) this.fault('useless');
    if (error === null) ending.peerGoAway(null);
    for (const stream of [...streams.values()]) {
      // What it has confirmed it has taken, whatever it counts; what was never sent it has not, and must not be (RFC 9113 §6.8).
      if (
        stream.outbox.isConfirmed ||
        stream.origin === 'remote' ||
        (stream.announced && stream.id <= lastId)
      )
        continue;
      const message = `stream ${stream.id} was not processed: the peer is going away`;
      const details = { streamId: stream.id, remote: true, retryable: true, reset: 'refused' } as const;
      stream.fail(new StreamError('refused', message, details), 'refused', true);
    }
    if (error === null) ending.drained();
    else ending.peerGoAway(error);
  }

  /** Our go-away: gives the last id of the peer's that we take. */
  goAway(): number {
    this.#goAwayId = this.#lastId;
    return this.#lastId;
  }

  /** Counts a useless act of the peer's. */
  fault(fault: Fault): void {
    if (this.#host.ending.isOver || this.#faults.allow(fault, this.#host.now())) return;
    throw new StreamError('limit', `the peer sent too much that is of no use (${fault})`, { remote: true });
  }

  #isOurs(id: number): boolean {
    return id % 2 === this.#host.nextId % 2;
  }

  #expectLate(): void {
    this.#lateFrames = Math.min(this.#lateFrames + lateFramesPerStream, mostLateFrames);
  }

  #refuse(id: number, code: Reason, reason: string): void {
    this.fault(code === 'refused' ? 'refusal' : 'error');
    this.#tombstones.add(id, this.#host.now());
    this.#expectLate();
    this.#host.sendRefusalOf(id, code, reason, noHeaders);
  }

  #widen(stream: CoreStream, bytes: number): void {
    const { outbox } = stream;
    if (outbox.hasEnded) return;
    outbox.credit(bytes);
    if (stream.stalled && outbox.window > 0) {
      stream.stalled = false;
      this.#host.tellStall(stream, 'resume', 'send');
    }
    outbox.settle();
    this.#host.transmitter.ready(stream);
  }
}

function reasonOf(error: StreamError): Reason {
  return error.wireCode ?? (error.code === 'limit' ? 'limit' : (error.reset ?? 'protocol-error'));
}

function tooMuchCredit(whose: string, most: number): StreamError {
  return violation(
    `the peer raised the window of ${whose} above 2^${Math.log2(most + 1)} - 1`,
    'flow-control',
  );
}

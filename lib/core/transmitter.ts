import type { Transport } from '../api.js';
import { Fifo } from './fifo.js';
import { FrameWriter } from './frame-writer.js';
import type { LimitValues } from './limits.js';
import { startReaders } from './paced-queue.js';
import { microtask } from './promises.js';
import { Scheduler } from './scheduler.js';
import type { CoreStream } from './stream.js';
import { maxCredit, trickle } from './window.js';
import type { Wire } from './wire.js';

/** As much as is collected for one write of the transport: enough to amortise it, little to wait behind. */
const batchBytes = 128 * 1024;
/** As much goes out before other connections have their turn: a peer as fast as we are never says stop. */
const bytesPerTurn = 1024 * 1024;
/** First bytes that travel with the opening frame; more would make the openings of others wait. */
const openingBytes = 2048;

/** Data in a frame that has headers too; with the longest of them, it must not exceed what any peer takes. */
const preludeBytes = 16 * 1024;

/** More than any connection sends, and counted exactly. */
const unlimited = 2 ** 53;

/** What the sending side asks of its connection. */
export interface TransmitterHost {
  readonly limits: LimitValues;
  /** Calls `yielded` in the next turn of the event loop. */
  yieldTurn(): void;
  /** Adds the credit frames that are due to the batch. */
  readonly crediting: { write(): void };
  /** Whole frames are about to go. Whoever observes them may add further ones. */
  showFrames(): void;
  tellStall(stream: CoreStream, type: 'stall' | 'resume', side: 'send' | 'receive'): void;
  /** Tells the peer that its bytes are not wanted any more. */
  sayStop(stream: CoreStream): void;
  /** Answers wait for a transport that does not take them: true once they are too many. */
  answersWaiting(bytes: number): void;
}

/**
 * The sending side of a connection. Whatever happens in one turn is put into frames together, in one microtask at its
 * end: control frames first, then openings in the order of their ids, then data by urgency and in turns.
 */
export class Transmitter {
  readonly writer: FrameWriter = new FrameWriter();
  /** What the peer allows the connection as a whole to send. While it sets no limit, what was sent is counted down from here. */
  credit: number = unlimited;
  /** The last part of it, for streams that have little on their way: the peer returns their credit at once. */
  reserve = 0;
  /** The longest piece of data in one frame. */
  maxDataBytes: number = 64 * 1024;
  /** How many streams of ours the peer lets be open; further ones wait. */
  #maxOpen = Number.POSITIVE_INFINITY;
  #open = 0;
  readonly #transport: Transport;
  readonly #host: TransmitterHost;
  readonly #wire: Wire;
  readonly #opening: Fifo<CoreStream> = new Fifo();
  readonly #scheduler: Scheduler<CoreStream> = new Scheduler();
  /** Streams that wait for the connection, and not for their own window. */
  readonly #parked: Set<CoreStream> = new Set();
  /** Bytes written since others had their turn. */
  #turnBytes = 0;
  #yielding = false;
  #queued = 0;
  /** Queued bytes have gone: whoever waits for room is to be told. */
  #roomAgain = false;
  #blocked = false;
  #scheduled = false;
  #flushing = false;
  #over = false;
  readonly #flush: () => void = () => {
    startReaders();
    this.flush();
  };

  constructor(transport: Transport, wire: Wire, host: TransmitterHost) {
    this.#transport = transport;
    this.#wire = wire;
    this.#host = host;
  }

  get isBlocked(): boolean {
    return this.#blocked;
  }

  /** What data of a stream waits for, apart from its own window. */
  blockOf(stream: CoreStream): 'window' | 'transport' | null {
    if (this.#blocked) return 'transport';
    return this.#hasShare(stream) ? null : 'window';
  }

  /** Puts what is new into frames, at the end of this turn. */
  schedule(): void {
    if (this.#scheduled || this.#over) return;
    this.#scheduled = true;
    if (this.#blocked) this.#host.answersWaiting(this.writer.bytes);
    microtask(this.#flush);
  }

  open(stream: CoreStream): void {
    this.#opening.push(stream);
    this.schedule();
  }

  /** The peer lets so many streams of ours be open at a time. */
  allowOpen(count: number): void {
    this.#maxOpen = count;
    if (this.#opening.size > 0) this.schedule();
  }

  ready(stream: CoreStream): void {
    if (!stream.announced || this.#queue(stream)) this.schedule();
  }

  /** A source of the stream waits for room. */
  thirsty(stream: CoreStream): void {
    this.#parked.add(stream);
    if (!stream.stalled && stream.outbox.isNearEdge && !this.#blocked) this.#stalled(stream);
  }

  queued(bytes: number): void {
    this.#queued += bytes;
    // Once there is only the reserve, each stream has its own share of it.
    if (bytes >= 0 || this.#parked.size === 0 || this.credit - bytes <= this.reserve) return;
    this.#roomAgain = true;
    this.schedule();
  }

  /** Puts openings into frames now: what is said next comes behind them. False if some have to wait for the peer. */
  announceAll(): boolean {
    for (let stream = this.#nextOpening(); stream !== undefined; stream = this.#nextOpening())
      this.#visit(stream, openingBytes);
    return this.#opening.size === 0;
  }

  /** Takes back the streams that wait to be opened, or did until they were over. */
  takeOpenings(): CoreStream[] {
    return this.#opening.takeAll();
  }

  mayTake(stream: CoreStream, bytes: number): boolean {
    if (this.#blocked || this.#isFull || !this.#mayEnd(stream)) return false;
    // Any room will do: the peer may take back what it had widened the connection's window by.
    return bytes === 0 || this.#hasShare(stream);
  }

  /** Sets the connection's credit, less what was sent before, or changes it. False if that is more than there can be. */
  addCredit(bytes: number): boolean {
    const before = this.credit;
    this.credit += before > maxCredit ? bytes - unlimited : bytes;
    if (this.credit > maxCredit) return false;
    if (before <= 0 || this.credit > this.reserve) this.#unpark();
    return true;
  }

  /** The others had their turn. */
  yielded(): void {
    this.#yielding = false;
    this.#turnBytes = 0;
    this.drained();
  }

  /** The transport takes more. It may say so within the turn in which it was full. */
  drained(): void {
    if (this.#yielding) return;
    this.#blocked = false;
    this.flush();
    this.#unpark();
  }

  /** Forgets a stream that is over. */
  forget(stream: CoreStream): void {
    this.#parked.delete(stream);
    if (stream.origin === 'remote' || !stream.announced) return;
    this.#open--;
    if (this.#opening.size > 0) this.schedule();
  }

  stop(): void {
    this.#over = true;
    this.#parked.clear();
  }

  flush(): void {
    this.#scheduled = false;
    if (this.#over || this.#flushing) return;
    this.#flushing = true;
    if (this.#roomAgain) {
      this.#roomAgain = false;
      this.#unpark();
    }
    this.#host.crediting.write();
    while (!this.#blocked && !this.#over) {
      this.#collect();
      this.#host.showFrames();
      if (this.writer.bytes === 0) break;
      this.#turnBytes += this.writer.bytes;
      try {
        this.#blocked = !this.#transport.write(this.writer.take());
      } catch (error) {
        // Nothing more goes; what it had is lost, as on any transport that is.
        this.#blocked = true;
        this.#transport.destroy(error);
      }
      if (this.#turnBytes < bytesPerTurn || this.#blocked) continue;
      this.#yielding = true;
      this.#blocked = true;
      this.#host.yieldTurn();
    }
    this.#flushing = false;
  }

  /** Before the transport is ended: what is in frames goes, whether the transport has room or not, and no more. */
  finish(): void {
    this.#host.showFrames();
    if (this.writer.bytes > 0) this.#transport.write(this.writer.take());
  }

  #collect(): void {
    // Sources are pulled while a batch is made: what a stream may have queued bounds that too.
    const most = Math.min(batchBytes, this.#host.limits.streamQueueBytes);
    while (this.writer.bytes < most) {
      const opening = this.#nextOpening();
      if (opening !== undefined) {
        this.#visit(opening, openingBytes);
        continue;
      }
      const next = this.#scheduler.next();
      if (next === undefined) return;
      const alone = this.#scheduler.size === 0;
      this.#visit(
        next,
        alone ? this.maxDataBytes : Math.min(this.#host.limits.sendQuantumBytes, this.maxDataBytes),
      );
    }
  }

  /** The next stream to open, if the peer lets one more be open. */
  #nextOpening(): CoreStream | undefined {
    while (this.#opening.peek()?.isOver) this.#opening.shift();
    return this.#open < this.#maxOpen ? this.#opening.shift() : undefined;
  }

  /** One turn of a stream: whatever it has for the wire, with at most `quantum` bytes of data. */
  #visit(stream: CoreStream, quantum: number): void {
    if (stream.isOver) return;
    const { outbox } = stream;
    const wire = this.#wire;
    const prelude = !stream.announced || stream.answer === 'ready';
    const ahead = this.#ahead(stream);
    // There is no window yet: as much as goes now, and no more.
    if (ahead > 0) outbox.credit(Math.min(outbox.queued, ahead, quantum));
    let bytes = this.#mayMove(stream, prelude ? Math.min(quantum, preludeBytes) : quantum);
    if (prelude && ahead === 0 && !wire.mergesData) bytes = 0;
    const wantsEnd = this.#wantsEnd(stream);
    let end = wantsEnd && bytes === outbox.queued && outbox.trailers === null;
    if (wire.endsApart && ahead === 0 && (prelude || bytes > 0)) end = false;
    if (!stream.announced) {
      stream.announced = true;
      this.#open++;
      wire.open(stream, bytes, end);
    } else if (stream.answer === 'ready') {
      stream.answer = 'written';
      wire.accept(stream, stream.replyHeaders, bytes, end);
    } else if (bytes > 0 || (end && this.#mayEnd(stream))) {
      wire.data(stream, bytes, end);
    } else end = false;
    if (bytes > 0) {
      this.credit -= bytes;
      outbox.moving(bytes).moveTo(this.writer, bytes);
    }
    if (end) stream.localEnded();
    else if (wantsEnd && outbox.trailers !== null && outbox.queued === 0 && this.#mayEnd(stream)) {
      wire.trailers(stream, outbox.trailers);
      stream.localEnded();
    }
    if (this.#maySayStop(stream)) this.#host.sayStop(stream);
    outbox.settle();
    this.#queue(stream);
  }

  /** Gives a stream its next turn. False if it has none to take, and what it has may wait for its window. */
  #queue(stream: CoreStream): boolean {
    const { outbox } = stream;
    const hasWork = this.#hasWork(stream);
    if (hasWork) this.#scheduler.add(stream);
    else if (outbox.queued > 0 && outbox.window <= 0 && !stream.stalled) this.#stalled(stream);
    return hasWork;
  }

  /** What a stream has, or its source, waits for its window. */
  #stalled(stream: CoreStream): void {
    stream.stalled = true;
    this.#host.tellStall(stream, 'stall', 'send');
  }

  /** How much data of a stream may go now. */
  #mayMove(stream: CoreStream, quantum: number): number {
    if (!this.#mayEnd(stream)) return 0;
    const { outbox } = stream;
    return Math.max(
      0,
      Math.min(outbox.queued, outbox.window, this.#share(stream), quantum, outbox.maxDataBytes),
    );
  }

  /** Enough is queued. Streams that have to wait for more than the reserve must not stop the others. */
  get #isFull(): boolean {
    return this.#queued >= this.#host.limits.queueBytes && this.credit > this.reserve;
  }

  /** How much of the connection's credit a stream may use. */
  #share({ outbox }: CoreStream): number {
    const { credit, reserve } = this;
    if (reserve === 0) return credit;
    return Math.min(credit, Math.max(credit - reserve, trickle(reserve) - outbox.unreturned));
  }

  /** Whether a stream may use more of it than is queued already: in it, or in all while there is enough for all. */
  #hasShare(stream: CoreStream): boolean {
    const queued = this.credit > this.reserve ? this.#queued : stream.outbox.queued;
    return this.#share(stream) > queued;
  }

  /** The acceptor answers before its data; the opener waits for that where the protocol demands it. */
  #mayEnd(stream: CoreStream): boolean {
    if (stream.origin === 'remote') return stream.answer === 'ready' || stream.answer === 'written';
    if (this.#wire.dataBeforeReply || stream.outbox.isConfirmed) return true;
    return this.#ahead(stream) > 0;
  }

  /** How much may travel with the opening of a stream, where the rest waits for the answer. */
  #ahead(stream: CoreStream): number {
    return stream.announced ? 0 : (this.#wire.openingBytes?.(stream) ?? 0);
  }

  /** Where the wire has no STOP, a reset says it once our own half is done. */
  #maySayStop(stream: CoreStream): boolean {
    if (stream.stopDue === null) return false;
    if (this.#wire.features.halfStop) return true;
    return !this.#wire.losesUnread && onlyReads(stream);
  }

  #wantsEnd(stream: CoreStream): boolean {
    return stream.outbox.wantsEnd && !this.#wire.holdsEnd?.(stream);
  }

  #hasWork(stream: CoreStream): boolean {
    const { outbox } = stream;
    // It is opened in its turn.
    if (stream.isOver || !stream.announced) return false;
    if (stream.answer === 'ready' || this.#maySayStop(stream)) return true;
    if (!this.#mayEnd(stream)) return false;
    if (outbox.queued === 0) return this.#wantsEnd(stream);
    if (outbox.window <= 0) return false;
    if (this.#share(stream) > 0) return true;
    this.#parked.add(stream);
    return false;
  }

  #unpark(): void {
    for (const stream of this.#parked) {
      if (this.#blocked) return;
      // With thousands of them, most would be asked for nothing.
      if (!this.#isFull) stream.outbox.settle();
      if (this.#hasWork(stream)) {
        this.#scheduler.add(stream);
        this.schedule();
      }
      if (!stream.outbox.isThirsty && (this.#share(stream) > 0 || stream.outbox.queued === 0))
        this.#parked.delete(stream);
    }
  }
}

/** It is answered, our half is done, and the peer's is not. */
export function onlyReads(stream: CoreStream): boolean {
  return stream.state === 'half-closed-local' && stream.isAnswered;
}

import type { Transport } from '../api.js';
import type { Clock } from './clock.js';
import { StreamError } from './errors.js';
import type { LimitValues } from './limits.js';
import { microtask } from './promises.js';
import type { Transmitter } from './transmitter.js';
import type { Wire } from './wire.js';

/** What the end of a connection asks of it. */
export interface EndingHost {
  readonly limits: LimitValues;
  readonly streams: ReadonlyMap<number, unknown>;
  readonly isEstablished: boolean;
  readonly wire: Wire;
  readonly transmitter: Transmitter;
  /** Warns the peer, where the wire can; gives when it has heard. */
  warn(): Promise<unknown> | null;
  /** Tells the peer, with the error if there is one. */
  sayGoAway(error: StreamError | null): void;
  /** Settles everything that waits for the connection. Called once. */
  settle(error: StreamError | null): void;
}

/** Whoever goes on sending after we have given up is read and discarded up to here, so that our reason can arrive. */
const lastWordsBytes = 1024 * 1024;
const lastWordsMs = 1000;
const strangerMs = 200;

/** A peer that has not heard a warning by then has opened nothing lately that it has not sent. */
const warningMs = 1000;

/**
 * How a connection ends:
 *
 *     open ── close(), or the peer's go-away ──▶ draining ── last stream over ──▶ ending ── transport closed ──▶ over
 *       └────── abort(), a violation, a lost transport, a deadline: settled at once, as an error ───────────────▶ over
 *
 * Where the wire can warn the peer, draining begins with that, and what was under way meanwhile is drained too.
 */
export class Ending {
  /** We said go-away. */
  isGoingAway = false;
  peerIsGoingAway = false;
  /** The peer may not have heard yet that we go away: what it opens is still taken. */
  isWarning = false;
  /** Everything is settled; only the transport may still be closing. */
  isOver = false;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #host: EndingHost;
  /** The peer has been told, or warned. */
  #isTold = false;
  /** The last stream is over, and the transport is to close. */
  #ending = false;
  #discarded = 0;
  #cancelDeadline: (() => void) | null = null;
  #cancelWarning: (() => void) | null = null;

  constructor(transport: Transport, clock: Clock, host: EndingHost) {
    this.#transport = transport;
    this.#clock = clock;
    this.#host = host;
  }

  /** No new streams from here on; those that are open may finish. */
  close(): void {
    if (this.isGoingAway || this.isOver) return;
    this.isGoingAway = true;
    this.announced();
    const { drainMs } = this.#host.limits;
    this.#deadline(drainMs, () => {
      this.abort(new StreamError('timeout', `streams were still open after the ${drainMs} ms to drain them`));
    });
    this.drained();
  }

  /** Tells the peer that we go away, behind all streams that were to be opened. */
  announced(): void {
    if (!this.isGoingAway || this.#isTold || this.isOver || !this.#host.transmitter.announceAll()) return;
    this.#isTold = true;
    const heard = this.#host.warn();
    if (heard !== null) this.#warn(heard);
    else if (!this.#host.wire.goAwayLast) this.#host.sayGoAway(null);
  }

  abort(reason: unknown): void {
    if (this.isOver) return;
    this.#host.sayGoAway(new StreamError('closed', 'the peer aborted the connection', { reset: 'cancel' }));
    this.#settle(new StreamError('closed', 'the connection was aborted by us', { cause: reason }));
    this.#transport.destroy();
  }

  /** After a go-away, the last stream takes the connection with it. */
  drained(): void {
    if (this.isOver || this.#ending || this.#host.streams.size > 0) return;
    if (!this.isGoingAway && !this.peerIsGoingAway) return;
    if (this.isWarning && !this.peerIsGoingAway) return;
    this.#ending = true;
    // After this turn, so that what is being said in it is sent.
    microtask(() => {
      if (this.isOver) return;
      if (this.isGoingAway && this.#host.wire.goAwayLast) this.#host.sayGoAway(null);
      this.#host.transmitter.finish();
      this.#transport.end();
      // Who has said nothing yet is not waited for.
      const { isEstablished, limits } = this.#host;
      this.#deadline(isEstablished ? limits.closeMs : Math.min(limits.closeMs, strangerMs), () => {
        this.#settle(null);
        this.#transport.destroy();
      });
    });
  }

  /** The peer's go-away: with an error it has given up, else it takes no new streams. */
  peerGoAway(error: StreamError | null): void {
    if (error === null) this.peerIsGoingAway = true;
    else {
      this.#settle(error);
      this.#leave();
    }
  }

  /** The peer broke the protocol, or its time is up: it is told why, and then the transport closes. */
  fail(error: StreamError): void {
    if (this.isOver) return;
    if (this.#host.wire.isRecognised) this.#host.sayGoAway(error);
    this.#settle(error);
    this.#leave();
  }

  /** The peer's side of the transport has ended. */
  transportEnded(): void {
    const { streams, isEstablished, wire, limits } = this.#host;
    if (this.isOver) this.#transport.end();
    else if (streams.size > 0) this.#lose(`the connection ended, streams open: ${streams.size}`);
    else if (!this.#ending && !isEstablished)
      this.#lose('the connection ended before the peer had said what it speaks');
    else if (!this.#ending && wire.isMidFrame) this.#lose('the connection ended within a frame');
    else {
      this.#host.transmitter.finish();
      this.#settle(null);
      this.#transport.end();
      this.#deadline(limits.closeMs, () => this.#transport.destroy());
    }
  }

  transportClosed(error: unknown): void {
    this.#cancel();
    const { size } = this.#host.streams;
    if (this.isOver) return;
    if (this.#ending && size === 0) this.#settle(null);
    else this.#lose(`the connection was lost, streams open: ${size}`, error);
  }

  /** Counts what still arrives after the end. */
  discard(bytes: number): void {
    this.#discarded += bytes;
    if (this.#discarded > lastWordsBytes) this.#transport.destroy();
  }

  #warn(heard: Promise<unknown>): void {
    this.isWarning = true;
    const warned = (): void => {
      if (!this.isWarning) return;
      this.#endWarning();
      if (this.isOver || this.#ending) return;
      this.#host.sayGoAway(null);
      this.drained();
    };
    heard.then(warned, warned);
    const ms = this.#host.isEstablished ? warningMs : strangerMs;
    this.#cancelWarning = this.#clock.after(ms, warned);
  }

  #endWarning(): void {
    this.isWarning = false;
    this.#cancelWarning?.();
    this.#cancelWarning = null;
  }

  #lose(message: string, cause?: unknown): void {
    this.#settle(new StreamError('closed', message, { remote: true, cause }));
    this.#transport.destroy();
  }

  #leave(): void {
    this.#transport.end();
    this.#deadline(lastWordsMs, () => this.#transport.destroy());
  }

  #settle(error: StreamError | null): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#endWarning();
    this.#cancel();
    this.#host.settle(error);
  }

  #deadline(ms: number, task: () => void): void {
    this.#cancel();
    if (ms > 0 && ms < 2 ** 31) this.#cancelDeadline = this.#clock.after(ms, task);
  }

  #cancel(): void {
    this.#cancelDeadline?.();
    this.#cancelDeadline = null;
  }
}

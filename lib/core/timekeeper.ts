import type { Clock } from './clock.js';
import { StreamError } from './errors.js';
import type { LimitValues } from './limits.js';
import type { Pings } from './pings.js';
import type { CoreStream } from './stream.js';
import { isLocalOver } from './stream-state.js';

/** What the timekeeper watches, and whom it tells. */
export interface Watched {
  readonly streams: ReadonlyMap<number, CoreStream>;
  /** The peer's preface has arrived. */
  readonly isEstablished: boolean;
  /** The peer may be unable to answer a ping before somebody reads, at its end or at ours: its silence proves nothing. */
  readonly mayBeLate: boolean;
  readonly pings: Pings;
  ping(): void;
  /** Where the connection is given up. */
  readonly ending: { fail(error: StreamError): void };
  /** No stream for `idleMs`. */
  beginClose(): void;
  timeOut(stream: CoreStream, message: string): void;
}

/** A stream that waits for something, with what it had moved when it was last seen, and since when nothing changed. */
interface Waiting {
  moved: number;
  since: number;
}

/** No deadline is noticed later than this, or an eighth of itself. */
const slowestTickMs = 2000;
const fastestTickMs = 5;

/**
 * Every wait has a deadline: one timer per connection looks over it and its streams. It costs a stream nothing while
 * it moves, and nothing at all in between.
 */
export class Timekeeper {
  /** When the peer was last heard, data or not. */
  heardAt: number;
  readonly #clock: Clock;
  readonly #limits: LimitValues;
  readonly #watched: Watched;
  readonly #startedAt: number;
  readonly #waiting: Map<CoreStream, Waiting> = new Map();
  #idleSince: number;
  #pinged = false;
  #cancel: (() => void) | null = null;

  constructor(clock: Clock, limits: LimitValues, watched: Watched) {
    this.#clock = clock;
    this.#limits = limits;
    this.#watched = watched;
    this.#startedAt = clock.now();
    this.heardAt = this.#startedAt;
    this.#idleSince = this.#startedAt;
    this.#schedule();
  }

  heard(): void {
    this.heardAt = this.#clock.now();
    this.#pinged = false;
  }

  forget(stream: CoreStream): void {
    this.#waiting.delete(stream);
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#waiting.clear();
  }

  #schedule(): void {
    const limits = this.#limits;
    const times = [
      limits.handshakeMs,
      limits.keepaliveMs,
      limits.deadMs,
      limits.idleMs,
      limits.openMs,
      limits.stallMs,
      limits.halfClosedMs,
    ];
    const shortest = Math.min(...times.filter((ms) => ms > 0)) / 8;
    const tick = Math.max(fastestTickMs, Math.min(slowestTickMs, shortest));
    this.#cancel = this.#clock.after(tick, () => {
      this.#look(this.#clock.now());
      if (this.#cancel !== null) this.#schedule();
    });
  }

  #look(now: number): void {
    const limits = this.#limits;
    const watched = this.#watched;
    if (!watched.isEstablished) {
      if (isPast(now - this.#startedAt, limits.handshakeMs)) {
        watched.ending.fail(timeout(`the peer said nothing that we know for ${limits.handshakeMs} ms`));
        return;
      }
    } else {
      const silent = now - this.heardAt;
      if (isPast(silent, limits.deadMs)) {
        if (!watched.mayBeLate) {
          watched.ending.fail(timeout(`the peer was silent for ${Math.round(silent)} ms`));
          return;
        }
        // It all begins anew, with a ping too: only writing shows that such a peer is gone.
        this.heard();
      }
      if (isPast(silent, limits.keepaliveMs) && !this.#pinged) {
        this.#pinged = true;
        watched.ping();
      }
    }
    if (watched.streams.size > 0) this.#idleSince = now;
    else if (isPast(now - this.#idleSince, limits.idleMs)) {
      this.#idleSince = now;
      watched.beginClose();
    }
    watched.pings.expire(limits.deadMs);
    for (const stream of watched.streams.values()) this.#lookAt(stream, now);
  }

  #lookAt(stream: CoreStream, now: number): void {
    const limits = this.#limits;
    const { blockedOn } = stream.stats;
    const stalled = blockedOn === 'window' || blockedOn === 'transport';
    const half = isLocalOver(stream.state) || stream.remoteOver;
    if (!stream.isAnswered && isPast(now - stream.openedAt, limits.openMs)) {
      this.#watched.timeOut(stream, `nobody answered it within ${limits.openMs} ms`);
      return;
    }
    if (!stalled && !half) {
      this.#waiting.delete(stream);
      return;
    }
    const moved = stream.inbox.bytesIn + stream.outbox.bytesOut - stream.inbox.window.unread;
    const waiting = this.#waiting.get(stream);
    if (waiting === undefined || waiting.moved !== moved) this.#waiting.set(stream, { moved, since: now });
    else if (stalled && isPast(now - waiting.since, limits.stallMs)) {
      this.#watched.timeOut(
        stream,
        `nothing of it could be sent for ${limits.stallMs} ms: it waits for the ${blockedOn}`,
      );
    } else if (half && isPast(now - waiting.since, limits.halfClosedMs)) {
      this.#watched.timeOut(stream, `it was half closed, and nothing moved for ${limits.halfClosedMs} ms`);
    }
  }
}

/** A limit of 0 or Infinity is off. */
function isPast(elapsed: number, limitMs: number): boolean {
  return limitMs > 0 && elapsed > limitMs;
}

function timeout(message: string): StreamError {
  return new StreamError('timeout', message, { remote: true });
}

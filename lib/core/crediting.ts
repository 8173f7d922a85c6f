import { StreamError } from './errors.js';
import type { LimitValues } from './limits.js';
import type { Peer } from './peer.js';
import { microtask } from './promises.js';
import { pausedForBudget, type Receiver } from './receiver.js';
import type { CoreStream } from './stream.js';
import type { Transmitter } from './transmitter.js';
import { grownWindow, ReceiveWindow, trickle } from './window.js';
import type { Wire } from './wire.js';

/** The windows that both ends assume before they know each other's. */
export interface EarlyWindows {
  readonly earlyWindow: number;
  readonly earlyConnectionWindow: number;
  /** The connection as a whole has a window too. */
  readonly connectionWindow: boolean;
  /**
   * Whether the peer keeps to windows: `on`, as it has to; `off`; or `auto`, not before it has shown so. Default `on`.
   */
  readonly flowControl?: FlowControl;
  /** The most credit that a stream can have. Default 2^31 - 1. */
  readonly maxCredit?: number;
}

export type FlowControl = 'auto' | 'on' | 'off';

/** What the crediting side of a connection asks of it. */
export interface CreditingHost {
  readonly limits: LimitValues;
  readonly streams: ReadonlyMap<number, CoreStream>;
  readonly peer: Peer;
  readonly receiver: Receiver;
  readonly wire: Wire;
  readonly transmitter: Transmitter;
  now(): number;
  /** The last round trip, or NaN; unknown, it is asked for. */
  roundTrip(): number;
  tellStall(stream: CoreStream, type: 'stall' | 'resume', side: 'send' | 'receive'): void;
}

/**
 * Who may send us how much: counts what arrives against the windows, and returns credit as readers take it, to the
 * stream and to the connection. Windows grow while their readers keep up, within one budget for the connection.
 *
 * A peer that keeps to no windows cannot be held by them: reading pauses while the budget of the connection is unread.
 * That is several windows of a stream, so that a slow one does not make the others wait at once. It gets no credit
 * either: a frame that reaches a socket which its owner has just closed can cost us the last bytes of the connection.
 */
export class Crediting {
  readonly #host: CreditingHost;
  readonly #early: EarlyWindows;
  readonly #connection: ReceiveWindow;
  /** Streams whose credit frames are due. */
  #due: CoreStream[] = [];
  /** What grown windows have added to the connection's. */
  #grown = 0;
  /** What unread streams were lent out of the same budget, so that the others can go on. */
  #lent = 0;
  /** All is lent, and only the reserve is left: credit goes back in small pieces. */
  #scarce = false;
  /** The last part of the budget, for streams that have little unread. */
  readonly reserve: number;
  #paused = false;
  /** The peer sent more than it had credit for, and nobody had expected otherwise. */
  #overran = false;

  constructor(host: CreditingHost, early: EarlyWindows) {
    this.#host = host;
    this.#early = early;
    this.reserve = host.limits.receiveBudgetBytes >> 2;
    this.#connection = new ReceiveWindow(
      early.connectionWindow ? host.limits.receiveBudgetBytes : Number.POSITIVE_INFINITY,
    );
  }

  /** Reading is paused, since as much waits for readers as a peer without windows may leave unread. */
  get paused(): boolean {
    return this.#paused;
  }

  /** Counts data that arrived; a stream that is over counts for the connection only. Throws on an overrun. */
  received(stream: CoreStream | null, bytes: number): void {
    const { limits } = this.#host;
    this.#count(this.#connection, 0, bytes, this.#early.earlyConnectionWindow - limits.receiveBudgetBytes);
    this.#lend();
    if (stream === null) this.dropped(bytes);
    else
      this.#count(stream.inbox.window, stream.id, bytes, this.#early.earlyWindow - stream.inbox.startBytes);
    if (this.#host.peer.windowless && !this.#paused && this.#connection.unread >= limits.receiveBudgetBytes) {
      this.#paused = true;
      this.#host.receiver.pause(pausedForBudget);
    }
  }

  /** The stream's reader took bytes. */
  released(stream: CoreStream, bytes: number): void {
    if (!stream.isLeftBehind) this.dropped(bytes);
    if (stream.remoteOver || stream.creditDue || this.#owed(stream.inbox.window) === 0) return;
    stream.creditDue = true;
    this.#due.push(stream);
    this.#host.transmitter.schedule();
  }

  /** Bytes are gone, of whatever stream: the connection has room for others. */
  dropped(bytes: number): void {
    this.#connection.unread -= bytes;
    this.#takeBack();
    if (this.#owed(this.#connection) > 0) this.#host.transmitter.schedule();
    if (!this.#paused || this.#connection.unread >= this.#host.limits.receiveBudgetBytes) return;
    this.#paused = false;
    // Not within the reader's release, whose turn it still is.
    microtask(() => {
      if (!this.#paused) this.#host.receiver.resume(pausedForBudget);
    });
  }

  /** Writes the credit frames that are due. */
  write(): void {
    const streams = this.#due;
    const bytes = this.#early.connectionWindow ? this.#owed(this.#connection, streams.length > 0) : 0;
    if (bytes > 0) {
      this.#connection.credit += bytes;
      this.#host.wire.credit(0, bytes);
    }
    if (streams.length === 0) return;
    this.#due = [];
    const now = this.#host.now();
    for (const stream of streams) {
      stream.creditDue = false;
      if (!stream.remoteOver && !(stream.inbox.isStopped && this.#host.wire.features.halfStop))
        this.#grant(stream, now);
    }
  }

  /** All that is owed is to be looked at again. */
  review(): void {
    for (const stream of this.#host.streams.values()) this.released(stream, 0);
    this.dropped(0);
  }

  /** Takes back what the window of a stream that is over had grown. */
  forget(stream: CoreStream): void {
    const grown = stream.inbox.window.target - stream.inbox.startBytes;
    this.#grown -= grown;
    this.#connection.target -= grown;
    // Nobody may ever read what is left in it, and the connection must not wait for that.
    const { inbox } = stream;
    if (inbox.hasReader || inbox.hasFailed) return;
    stream.isLeftBehind = true;
    this.dropped(inbox.window.unread);
  }

  /**
   * Streams that nobody reads hold on to the connection's window. Before only the reserve is left, it is widened by
   * another stream's worth, as far as the budget for growth goes. Then the peer keeps the reserve for streams that have
   * little unread, and each of them has its credit back at once.
   */
  #lend(): void {
    const { limits } = this.#host;
    const { unread, target } = this.#connection;
    if (this.#scarce || this.#host.peer.windowless || unread < target - this.reserve) return;
    const more = Math.min(limits.windowBytes, limits.growthBudgetBytes - this.#grown - this.#lent);
    if (more > 0) {
      this.#lent += more;
      this.#connection.target += more;
      this.#host.transmitter.schedule();
    } else {
      this.#scarce = true;
      this.review();
    }
  }

  #takeBack(): void {
    if (!this.#scarce && this.#lent === 0) return;
    const { unread, target } = this.#connection;
    this.#scarce &&= unread * 2 > target;
    if (unread * 2 > this.#host.limits.receiveBudgetBytes) return;
    this.#connection.target -= this.#lent;
    this.#lent = 0;
  }

  /** The peer may not have known our window yet: `slack` is what it could assume beyond it. */
  #count(window: ReceiveWindow, id: number, bytes: number, slack: number): void {
    window.credit -= bytes;
    window.unread += bytes;
    if (window.credit >= 0 || window.credit >= -slack) return;
    if (this.#host.peer.windowless) {
      this.#overran = true;
      return;
    }
    const whose = id === 0 ? 'the connection' : `stream ${id}`;
    const left = Math.max(0, window.credit + bytes);
    throw new StreamError('flow-control', `${whose}: the peer sent ${bytes} bytes into a window of ${left}`, {
      remote: true,
      streamId: id || undefined,
      reset: 'flow-control',
    });
  }

  /**
   * Credit to give back: half a window is worth a frame; so is less, if the peer is about to run out. A peer that has
   * shown no windows must have used all it had: it stops there if it keeps to them after all, and is found out if it does
   * not. What travels beside other credit costs no write of its own: an eighth is enough.
   */
  #owed(window: ReceiveWindow, beside = false): number {
    if (this.#host.peer.windowless && (this.#overran || window.credit > 0)) return 0;
    const { credit, unread, target } = this.#connection;
    // With less than a quarter unread, half of it is owed by the time that the peer has only the reserve.
    const isShort =
      window === this.#connection ? credit <= this.reserve && unread > target >> 2 : this.#scarce;
    if (isShort) return window.due(trickle(this.reserve) >> 1);
    return window.due(beside ? window.target >> 3 : window.target);
  }

  #grant(stream: CoreStream, now: number): void {
    const { window } = stream.inbox;
    if (window.unread === 0 && !this.#host.peer.windowless) this.#grow(stream, now);
    stream.creditedAfterMs = Math.floor(now - stream.openedAt);
    const bytes = this.#owed(window);
    if (bytes === 0) return;
    window.credit += bytes;
    this.#host.wire.credit(stream.id, bytes);
    if (!stream.readStalled) return;
    stream.readStalled = false;
    this.#host.tellStall(stream, 'resume', 'receive');
  }

  #grow(stream: CoreStream, now: number): void {
    const { limits } = this.#host;
    const { window } = stream.inbox;
    const most = Math.min(
      limits.maxWindowBytes,
      window.target + limits.growthBudgetBytes - this.#grown - this.#lent,
    );
    if (window.target >= most) return;
    const rtt = this.#host.roundTrip();
    const elapsedMs = now - stream.openedAt - stream.creditedAfterMs;
    const grown = grownWindow(window.target, most, elapsedMs, rtt || 0) - window.target;
    window.target += grown;
    this.#connection.target += grown;
    this.#grown += grown;
  }
}

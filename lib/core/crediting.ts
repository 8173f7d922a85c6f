import { StreamError } from './errors.js';
import type { LimitValues } from './limits.js';
import type { CoreStream } from './stream.js';
import { grownWindow, ReceiveWindow } from './window.js';

/** The windows that both ends assume before they know each other's. */
export interface EarlyWindows {
  readonly earlyWindow: number;
  readonly earlyConnectionWindow: number;
  /** The connection as a whole has a window too. */
  readonly connectionWindow: boolean;
}

/** Less is not worth a frame, whoever waits for it. */
const leastCreditBytes = 4096;

/** What the crediting side of a connection asks of it. */
export interface CreditingHost {
  readonly limits: LimitValues;
  now(): number;
  /** The last round trip, or NaN; unknown, it is asked for. */
  roundTrip(): number;
  /** Credit is due: it goes with the next batch. */
  creditDue(): void;
  /** Writes the frame; id 0 is the connection. */
  sendCredit(id: number, bytes: number): void;
  tellStall(stream: CoreStream, type: 'stall' | 'resume', side: 'send' | 'receive'): void;
}

/**
 * Who may send us how much: counts what arrives against the windows, and returns credit as readers take it, to the
 * stream and to the connection. Windows grow while their readers keep up, within one budget for the connection.
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

  constructor(host: CreditingHost, early: EarlyWindows) {
    this.#host = host;
    this.#early = early;
    this.#connection = new ReceiveWindow(
      early.connectionWindow ? host.limits.receiveBudgetBytes : Number.POSITIVE_INFINITY,
    );
  }

  /** Counts data that arrived; a stream that is over counts for the connection only. Throws on an overrun. */
  received(stream: CoreStream | null, bytes: number): void {
    const { limits } = this.#host;
    this.#count(this.#connection, 0, bytes, this.#early.earlyConnectionWindow - limits.receiveBudgetBytes);
    this.#lend();
    if (stream === null) this.dropped(bytes);
    else this.#count(stream.inbox.window, stream.id, bytes, this.#early.earlyWindow - limits.windowBytes);
  }

  /** The stream's reader took bytes. */
  released(stream: CoreStream, bytes: number): void {
    if (!stream.isLeftBehind) this.dropped(bytes);
    if (stream.remoteOver || stream.creditDue || stream.inbox.window.due === 0) return;
    stream.creditDue = true;
    this.#due.push(stream);
    this.#host.creditDue();
  }

  /** Bytes are gone, of whatever stream: the connection has room for others. */
  dropped(bytes: number): void {
    this.#connection.unread -= bytes;
    if (this.#lent > 0) this.#takeBack();
    if (this.#connection.due > 0) this.#host.creditDue();
  }

  /** Writes the credit frames that are due. */
  write(): void {
    const bytes = this.#early.connectionWindow ? this.#connectionDue() : 0;
    if (bytes > 0) {
      this.#connection.grant(bytes);
      this.#host.sendCredit(0, bytes);
    }
    if (this.#due.length === 0) return;
    const streams = this.#due;
    this.#due = [];
    const now = this.#host.now();
    for (const stream of streams) {
      stream.creditDue = false;
      if (!stream.remoteOver && !stream.inbox.isStopped) this.#grant(stream, now);
    }
  }

  /** Half a window is worth a frame; so is less, if the peer is about to run out. */
  #connectionDue(): number {
    const { due, target, credit, unread } = this.#connection;
    const owed = target - credit - unread;
    return this.#lent > 0 && owed >= leastCreditBytes ? owed : due;
  }

  /** Takes back what the window of a stream that is over had grown. */
  forget(stream: CoreStream): void {
    const grown = stream.inbox.window.target - this.#host.limits.windowBytes;
    this.#grown -= grown;
    this.#connection.target -= grown;
    // Nobody may ever read what is left in it, and the connection must not wait for that.
    const { inbox } = stream;
    if (inbox.hasReader || inbox.hasFailed) return;
    stream.isLeftBehind = true;
    this.dropped(inbox.window.unread);
  }

  /**
   * Streams that nobody reads hold on to the connection's window. Before they have all of it, it is widened by another
   * stream's worth, as far as the budget for growth goes.
   */
  #lend(): void {
    const { limits } = this.#host;
    const { unread, credit, target } = this.#connection;
    if (unread * 2 < target || credit > limits.windowBytes) return;
    const more = Math.min(limits.windowBytes, limits.growthBudgetBytes - this.#grown - this.#lent);
    if (more <= 0) return;
    this.#lent += more;
    this.#connection.target += more;
    this.#host.creditDue();
  }

  #takeBack(): void {
    if (this.#connection.unread * 2 > this.#host.limits.receiveBudgetBytes) return;
    this.#connection.target -= this.#lent;
    this.#lent = 0;
  }

  /** The peer may not have known our window yet: `slack` is what it could assume beyond it. */
  #count(window: ReceiveWindow, id: number, bytes: number, slack: number): void {
    window.received(bytes);
    if (window.credit >= 0 || window.credit >= -slack) return;
    const whose = id === 0 ? 'the connection' : `stream ${id}`;
    const left = Math.max(0, window.credit + bytes);
    throw new StreamError('flow-control', `${whose}: the peer sent ${bytes} bytes into a window of ${left}`, {
      remote: true,
      streamId: id || undefined,
      reset: 'flow-control',
    });
  }

  #grant(stream: CoreStream, now: number): void {
    const { window } = stream.inbox;
    if (window.unread === 0) this.#grow(stream, now);
    stream.creditAt = now;
    const bytes = window.due;
    if (bytes === 0) return;
    window.grant(bytes);
    this.#host.sendCredit(stream.id, bytes);
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
    const grown =
      grownWindow(window.target, most, now - stream.creditAt, Number.isNaN(rtt) ? 0 : rtt) - window.target;
    window.target += grown;
    this.#connection.target += grown;
    this.#grown += grown;
  }
}

/** Highest credit that any of the protocols can express (RFC 9113 §6.9.1, and ours). */
export const maxCredit: number = 2 ** 31 - 1;

/**
 * The receiving side of one credit window, for a stream or a whole connection: what the peer may still send, and when
 * it is to be told of more.
 *
 * `target` = credit the peer has + bytes it has sent that nobody has taken + credit owed to it. Credit is given back in
 * one piece once half a window is owed, since each return is a frame.
 */
export class ReceiveWindow {
  /** How much the peer may be ahead of the reader. */
  target: number;
  /** What the peer may send now. */
  credit: number;
  /** Received and not taken yet. */
  unread = 0;

  constructor(target: number) {
    this.target = target;
    this.credit = target;
  }

  /** Credit to give back, once it is worth a frame, or as much as `least`; else 0. */
  due(least: number): number {
    const owed = this.target - this.credit - this.unread;
    return owed > 0 && owed >= Math.min(least, this.target >> 1) ? owed : 0;
  }
}

/** What each stream may have on its way when the connection has only its reserve left, for at least 256 of them. */
export function trickle(reserve: number): number {
  return Math.max(Math.min(reserve, 1024), reserve >> 8);
}

/**
 * How large a window should be: doubled when its reader took half of it, and all that was there, in less than four
 * round trips. The window, and not the reader, was then what the sender waited for.
 */
export function grownWindow(target: number, most: number, elapsedMs: number, rttMs: number): number {
  // Loopback answers in microseconds, and timers and scheduling then weigh more than the network.
  const fast = elapsedMs < Math.max(4 * rttMs, 20);
  return fast && target < most ? Math.min(target * 2, most) : target;
}

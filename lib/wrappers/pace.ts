/** A rate may be exceeded for so long: pauses shorter than this are not worth a timer. */
const burstMs = 20;

/** Bytes in a second, among an application's options; at 0 nothing would ever move. */
export function checkRate(rate: number | undefined): void {
  if (rate === undefined || (typeof rate === 'number' && rate > 0)) return;
  throw new RangeError(`rate is a number above 0, not ${rate}`);
}

/** How long to wait so that bytes keep to a rate. Pure: the clock is whoever asks. */
export class Pace {
  readonly #msPerByte: number;
  /** When what was taken so far will have been paid for. */
  #paidAt: number;

  constructor(bytesPerSecond: number, now: number) {
    checkRate(bytesPerSecond);
    this.#msPerByte = 1000 / bytesPerSecond;
    this.#paidAt = now;
  }

  /** Takes bytes, which go at once; gives the milliseconds to wait before the next ones. */
  take(bytes: number, now: number): number {
    this.#paidAt = Math.max(this.#paidAt, now - burstMs) + bytes * this.#msPerByte;
    return Math.max(0, this.#paidAt - now);
  }

  /** Gives back bytes that were taken, and did not go. */
  giveBack(bytes: number): void {
    this.#paidAt -= bytes * this.#msPerByte;
  }
}

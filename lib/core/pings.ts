import type { Clock } from './clock.js';
import { StreamError } from './errors.js';
import { Bucket } from './faults.js';
import { Deferred, reject } from './promises.js';

/** Below what a peer with default limits allows (16, then 4 a second): our own pings must never look like a flood. */
const burst = 10;
const perSecond = 3;
const retryMs = 50;

interface Sent extends Deferred<number> {
  readonly at: number;
}

/** Pings on their way, by the number in their payload; those too many wait for their turn. */
export class Pings {
  /** The last round trip, or NaN before the first. */
  rtt: number = Number.NaN;
  readonly #clock: Clock;
  readonly #send: (payload: number) => void;
  readonly #bucket: Bucket;
  readonly #sent: Map<number, Sent> = new Map();
  readonly #waiting: Deferred<number>[] = [];
  #next = 1;
  #cancel: (() => void) | null = null;
  #failure: unknown = undefined;

  constructor(clock: Clock, send: (payload: number) => void) {
    this.#clock = clock;
    this.#send = send;
    this.#bucket = new Bucket(burst, perSecond, clock.now());
  }

  /** Whether an answer is on its way. */
  get isPending(): boolean {
    return this.#sent.size > 0;
  }

  ping(): Promise<number> {
    const result = new Deferred<number>();
    if (this.#failure !== undefined) reject(result, this.#failure);
    else {
      this.#waiting.push(result);
      this.#pump();
    }
    return result.promise;
  }

  /** The round trip in milliseconds, or undefined for an answer to no ping of ours. */
  answered(payload: number): number | undefined {
    const sent = this.#sent.get(payload);
    if (sent === undefined) return undefined;
    this.#sent.delete(payload);
    this.rtt = this.#clock.now() - sent.at;
    sent.resolve(this.rtt);
    return this.rtt;
  }

  /** Whoever waits for longer than `ms` is told so. */
  expire(ms: number): void {
    for (const [payload, sent] of this.#sent) {
      if (!(ms > 0 && this.#clock.now() - sent.at > ms)) return;
      this.#sent.delete(payload);
      reject(sent, new StreamError('timeout', `no answer to a ping in ${ms} ms`, { remote: true }));
    }
  }

  fail(error: unknown): void {
    this.#failure = error;
    this.#cancel?.();
    this.#cancel = null;
    for (const sent of this.#sent.values()) reject(sent, error);
    for (const waiting of this.#waiting.splice(0)) reject(waiting, error);
    this.#sent.clear();
  }

  #pump(): void {
    while (this.#waiting.length > 0 && this.#cancel === null) {
      if (!this.#bucket.take(this.#clock.now())) {
        this.#cancel = this.#clock.after(retryMs, () => {
          this.#cancel = null;
          this.#pump();
        });
        return;
      }
      const payload = this.#next++;
      this.#sent.set(payload, { ...(this.#waiting.shift() as Deferred<number>), at: this.#clock.now() });
      this.#send(payload);
    }
  }
}

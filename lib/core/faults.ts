import type { LimitValues } from './limits.js';

/** What a peer can do that costs us work and does nothing for it. */
export type Fault = 'reset' | 'refusal' | 'error' | 'ping' | 'settings' | 'useless';

/** A leaky bucket: it holds `burst`, and refills at `perSecond`. */
export class Bucket {
  readonly #burst: number;
  readonly #perMs: number;
  #left: number;
  #at: number;

  constructor(burst: number, perSecond: number, now: number) {
    this.#burst = burst;
    this.#perMs = perSecond / 1000;
    this.#left = burst;
    this.#at = now;
  }

  /** Takes one; false once there is none left. */
  take(now: number): boolean {
    this.#left = Math.min(this.#burst, this.#left + (now - this.#at) * this.#perMs);
    this.#at = now;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}

/** The faults of one connection: no useless frame is free. */
export class Faults {
  readonly #limits: LimitValues;
  readonly #buckets: Map<Fault, Bucket> = new Map();

  constructor(limits: LimitValues) {
    this.#limits = limits;
  }

  /** Counts one; false when the peer has gone too far. */
  allow(fault: Fault, now: number): boolean {
    let bucket = this.#buckets.get(fault);
    if (bucket === undefined) {
      const rate = (fault.endsWith('s') ? `${fault}PerSecond` : `${fault}sPerSecond`) as keyof LimitValues;
      bucket = new Bucket(this.#limits[`${fault}Burst`], this.#limits[rate], now);
      this.#buckets.set(fault, bucket);
    }
    return bucket.take(now);
  }
}

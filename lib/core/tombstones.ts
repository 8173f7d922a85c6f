/** What is sent into a window until we are heard comes in no more frames, unless they are very small. */
const mostFrames = 1024;

/** Ids of streams that we reset a moment ago: late frames for them are the network's delay, and no fault. */
export class Tombstones {
  readonly #most: number;
  readonly #ms: number;
  /** By id the time it is forgotten, and the frames until then; oldest first. */
  readonly #until: Map<number, { readonly until: number; left: number }> = new Map();

  constructor(most: number, ms: number) {
    this.#most = most;
    this.#ms = ms;
  }

  add(id: number, now: number): void {
    if (this.#most === 0) return;
    if (this.#until.size >= this.#most) {
      const [oldest] = this.#until.keys();
      this.#until.delete(oldest as number);
    }
    this.#until.set(id, { until: now + this.#ms, left: mostFrames });
  }

  delete(id: number): void {
    this.#until.delete(id);
  }

  /** Whether a late frame is expected, which counts as `weight`. */
  has(id: number, now: number, weight: number): boolean {
    const one = this.#until.get(id);
    if (one === undefined) return false;
    one.left -= weight;
    if (one.until > now && one.left >= 0) return true;
    this.#until.delete(id);
    return false;
  }
}

/** More late frames than this for one stream are no delay of the network's. */
const mostFrames = 4096;

interface Tombstone {
  /** When it is forgotten. */
  readonly until: number;
  framesLeft: number;
}

/** Ids of streams that we reset a moment ago: late frames for them are the network's delay, and no fault. */
export class Tombstones {
  readonly #most: number;
  readonly #ms: number;
  /** By id, oldest first. */
  readonly #stones: Map<number, Tombstone> = new Map();

  constructor(most: number, ms: number) {
    this.#most = most;
    this.#ms = ms;
  }

  add(id: number, now: number): void {
    if (this.#most === 0) return;
    if (this.#stones.size >= this.#most) {
      const oldest = this.#stones.keys().next();
      if (!oldest.done) this.#stones.delete(oldest.value);
    }
    this.#stones.set(id, { until: now + this.#ms, framesLeft: mostFrames });
  }

  delete(id: number): void {
    this.#stones.delete(id);
  }

  /** Whether a frame for a stream is such a late one. Asked once for each frame. */
  has(id: number, now: number): boolean {
    const stone = this.#stones.get(id);
    if (stone === undefined) return false;
    if (stone.until > now && stone.framesLeft-- > 0) return true;
    this.#stones.delete(id);
    return false;
  }
}

/** Ids of streams that we reset a moment ago: late frames for them are the network's delay, and no fault. */
export class Tombstones {
  readonly #most: number;
  readonly #ms: number;
  /** Id to the time it is forgotten, oldest first. */
  readonly #until: Map<number, number> = new Map();

  constructor(most: number, ms: number) {
    this.#most = most;
    this.#ms = ms;
  }

  add(id: number, now: number): void {
    if (this.#most === 0) return;
    if (this.#until.size >= this.#most) {
      const oldest = this.#until.keys().next();
      if (!oldest.done) this.#until.delete(oldest.value);
    }
    this.#until.set(id, now + this.#ms);
  }

  delete(id: number): void {
    this.#until.delete(id);
  }

  has(id: number, now: number): boolean {
    const until = this.#until.get(id);
    if (until === undefined) return false;
    if (until > now) return true;
    this.#until.delete(id);
    return false;
  }
}

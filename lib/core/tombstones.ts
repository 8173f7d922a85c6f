/** More late frames than this for one stream are no delay of the network's. */
const mostFrames = 4096;

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
    this.#until.set(id, now + this.#ms);
    if (this.#until.size > this.#most) this.#until.delete(this.#until.keys().next().value as number);
  }

  delete(id: number): void {
    this.#until.delete(id);
  }

  /** Whether a frame is such a late one. Each takes its part of the time, so that there is an end of them. */
  has(id: number, now: number): boolean {
    const until = this.#until.get(id);
    if (!until || until <= now) return false;
    this.#until.set(id, until - this.#ms / mostFrames);
    return true;
  }
}

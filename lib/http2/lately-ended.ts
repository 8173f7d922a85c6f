/** Ids remembered: more than a peer has in flight, little to look through. */
const remembered = 256;

/** Ids that the peer passed over are ranges; few peers do it at all. */
const rememberedGaps = 32;

/**
 * What the peer itself did lately with streams that are gone: it ended them, or it never opened them. To send on such a
 * stream is its fault, unlike on one that we reset, whose late frames are only late (RFC 9113 §5.1, §5.1.1).
 */
export class LatelyEnded {
  readonly #ids = new Uint32Array(remembered);
  #next = 0;
  readonly #gaps: { from: number; to: number }[] = [];

  /** The peer ended or reset this stream. */
  add(id: number): void {
    this.#ids[this.#next] = id;
    this.#next = (this.#next + 1) % remembered;
  }

  has(id: number): boolean {
    return this.#ids.includes(id);
  }

  /** The peer opened `id` where `expected` was the next one. */
  opened(id: number, expected: number): void {
    if (id <= expected) return;
    this.#gaps.push({ from: expected, to: id - 2 });
    if (this.#gaps.length > rememberedGaps) this.#gaps.shift();
  }

  /** The peer passed over this id of its own, which can never be used. */
  wasSkipped(id: number): boolean {
    return this.#gaps.some(({ from, to }) => id >= from && id <= to && (id - from) % 2 === 0);
  }
}

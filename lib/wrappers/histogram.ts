/** Counts values by size, as Prometheus wants them: each bucket has all values up to its bound. */
export class Histogram {
  readonly bounds: readonly number[];
  readonly #counts: number[];
  count = 0;
  sum = 0;

  /** `bounds` rise; what is above the last one is in `count` only. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  add(value: number): void {
    this.count++;
    this.sum += value;
    const index = this.bounds.findIndex((bound) => value <= bound);
    if (index >= 0) this.#counts[index] = (this.#counts[index] as number) + 1;
  }

  /** How many values were at most so large, for each bound. */
  cumulative(): number[] {
    let total = 0;
    return this.#counts.map((count) => {
      total += count;
      return total;
    });
  }
}

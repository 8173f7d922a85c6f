/** How much a message may hold, in characters; every connection has its share, and what one leaves is for those after it. */
export class Room {
  #left: number;
  #waiting: number;
  #share = 0;

  constructor(size: number, connections: number) {
    this.#left = size;
    this.#waiting = connections;
  }

  /** The next connection has its turn. */
  turn(): void {
    const left = this.#left + this.#share;
    this.#share = Math.floor(left / this.#waiting--);
    this.#left = left - this.#share;
  }

  get isFull(): boolean {
    return this.#share <= 0;
  }

  take(size: number): void {
    this.#share -= size;
  }

  /** The first of a list, as many as there is room for. */
  fit<T>(list: readonly T[], sizeOfEach: number): readonly T[] {
    const count = Math.min(list.length, Math.max(0, Math.ceil(this.#share / sizeOfEach)));
    this.take(count * sizeOfEach);
    return count === list.length ? list : list.slice(0, count);
  }
}

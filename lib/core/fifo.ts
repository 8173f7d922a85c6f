/** Shared by all that are empty; never written to. */
const none: never[] = [];

/** First in, first out, without the cost of shifting an array. */
export class Fifo<T> {
  #items: (T | undefined)[] = none;
  #head = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    // A literal has room for one, an empty array that grows for seventeen: most have one.
    if (this.#items === none) this.#items = [item];
    else this.#items.push(item);
  }

  peek(): T | undefined {
    return this.#items[this.#head];
  }

  /** The item that came last, if any is left. */
  get last(): T | undefined {
    return this.#items[this.#items.length - 1];
  }

  /** To be asked only while an item is left. */
  set last(item: T) {
    this.#items[this.#items.length - 1] = item;
  }

  toArray(): T[] {
    return this.#items.slice(this.#head) as T[];
  }

  /** Takes out all that are left. */
  takeAll(): T[] {
    const all = this.toArray();
    this.clear();
    return all;
  }

  /** Takes `item` out, if it still is there. */
  remove(item: T): boolean {
    const at = this.#items.indexOf(item, this.#head);
    if (at < 0) return false;
    this.#items.splice(at, 1);
    if (this.size === 0) this.clear();
    return true;
  }

  shift(): T | undefined {
    if (this.size === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.size === 0) this.clear();
    else if (this.#head >= 64 && this.#head * 2 >= this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }

  clear(): void {
    this.#items = none;
    this.#head = 0;
  }
}

const firstSlots = 16;
/** Below this, memory is not worth a rebuilding. */
const spareSlots = 1024;

/**
 * What a connection has open, by id: a hash table with open addressing, for ids that mostly follow each other. It is here
 * because a `Map` whose entries come and go keeps them alive: each time it is rebuilt, V8 links the old table to the new
 * one, and a first one that has become old memory holds them all until the next full collection.
 *
 * Iterating goes over a copy, in the order of ids.
 */
export class IdTable<T extends { readonly id: number }> implements ReadonlyMap<number, T> {
  size = 0;
  /** A power of two of them, half of them empty: an entry is in the first free one from `id & mask` on. */
  #slots: (T | undefined)[] = new Array(firstSlots).fill(undefined);

  get(id: number): T | undefined {
    return this.#slots[this.#find(id)];
  }

  has(id: number): boolean {
    return this.get(id) !== undefined;
  }

  add(entry: T): void {
    if (this.size * 2 >= this.#slots.length) this.#resize(this.#slots.length * 2);
    this.#slots[this.#find(entry.id)] = entry;
    this.size++;
  }

  delete(id: number): boolean {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let free = this.#find(id);
    if (slots[free] === undefined) return false;
    slots[free] = undefined;
    this.size--;
    // Those behind it that are not where they belong move up, so that no search ends too early.
    for (let at = (free + 1) & mask; ; at = (at + 1) & mask) {
      const entry = slots[at];
      if (entry === undefined) break;
      if (((at - entry.id) & mask) < ((at - free) & mask)) continue;
      slots[free] = entry;
      slots[at] = undefined;
      free = at;
    }
    if (this.size * 8 < slots.length && slots.length > spareSlots) this.#resize(slots.length / 2);
    return true;
  }

  keys(): MapIterator<number> {
    return this.#copy().keys();
  }

  values(): MapIterator<T> {
    return this.#copy().values();
  }

  entries(): MapIterator<[number, T]> {
    return this.#copy().entries();
  }

  [Symbol.iterator](): MapIterator<[number, T]> {
    return this.entries();
  }

  forEach(visit: (value: T, key: number, map: ReadonlyMap<number, T>) => void): void {
    this.#copy().forEach(visit);
  }

  #copy(): Map<number, T> {
    const entries = this.#slots.filter((entry) => entry !== undefined).sort((a, b) => a.id - b.id);
    return new Map(entries.map((entry) => [entry.id, entry]));
  }

  /** Where an id is, or would be. */
  #find(id: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let at = id & mask;
    for (let entry = slots[at]; entry !== undefined && entry.id !== id; entry = slots[at])
      at = (at + 1) & mask;
    return at;
  }

  #resize(length: number): void {
    const entries = this.#slots;
    this.#slots = new Array(length).fill(undefined);
    for (const entry of entries) if (entry !== undefined) this.#slots[this.#find(entry.id)] = entry;
  }
}

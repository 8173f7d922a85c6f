import { Fifo } from './fifo.js';

/** Who can be scheduled: `queuedAt` is the scheduler's own mark, the urgency under which the entry waits, or -1. */
export interface Entry {
  readonly urgency: number;
  queuedAt: number;
}

/** Urgencies 0 to 7 (RFC 9218 §4.1). */
const levels = 8;

/**
 * Who writes next: the most urgent first, and those of one urgency in turn. A turn is a quantum of bytes, so that the
 * turns are fair in bytes.
 */
export class Scheduler<T extends Entry> {
  readonly #queues: readonly Fifo<T>[] = Array.from({ length: levels }, () => new Fifo());
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Puts an entry behind the others of its urgency, unless it waits already. */
  add(entry: T): void {
    if (entry.queuedAt >= 0) return;
    entry.queuedAt = entry.urgency;
    this.#queues[entry.urgency]?.push(entry);
    this.#size++;
  }

  next(): T | undefined {
    if (this.#size === 0) return undefined;
    for (const queue of this.#queues) {
      const entry = queue.shift();
      if (entry !== undefined) {
        entry.queuedAt = -1;
        this.#size--;
        return entry;
      }
    }
    return undefined;
  }
}

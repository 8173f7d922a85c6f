import { noBytes } from '../core/bytes.js';

/** Smaller buffers are not made: most frames that are cut are short, and then this one is the only allocation. */
const SMALLEST = 64;

/** Larger buffers are not kept: a connection may be idle for hours. */
const LARGEST_KEPT = 1024;

/** Bytes that came in pieces. Grows by what arrives, not by what a length field says. */
export class Gathered {
  #bytes: Uint8Array = noBytes;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** A view of what is there, good until the next `add`. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Copies a part of a chunk. */
  add(chunk: Uint8Array, start: number, end: number): void {
    const length = this.#length + end - start;
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(SMALLEST, this.#bytes.length * 2, length));
      larger.set(this.bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(chunk.subarray(start, end), this.#length);
    this.#length = length;
  }

  clear(): void {
    this.#length = 0;
    if (this.#bytes.length > LARGEST_KEPT) this.#bytes = noBytes;
  }
}

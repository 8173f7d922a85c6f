import type { FrameWriter } from './frame-writer.js';

/** Shared by all that are empty; never written to. */
const none: Uint8Array[] = [];

/** Bytes in order, as the chunks they came in: nothing is copied or joined. */
export class ByteQueue {
  byteLength = 0;
  #chunks: Uint8Array[] = none;
  #head = 0;
  /** How much of the first chunk is gone. */
  #offset = 0;

  push(chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return;
    if (this.#chunks === none) this.#chunks = [chunk];
    else this.#chunks.push(chunk);
    this.byteLength += chunk.byteLength;
  }

  /** Moves the first `bytes` to a frame. */
  moveTo(writer: FrameWriter, bytes: number): void {
    this.byteLength -= bytes;
    let left = bytes;
    while (left > 0) {
      const chunk = this.#chunks[this.#head] as Uint8Array;
      const here = chunk.byteLength - this.#offset;
      if (here <= left) {
        writer.append(this.#offset === 0 ? chunk : chunk.subarray(this.#offset));
        this.#drop();
        left -= here;
      } else {
        writer.append(chunk.subarray(this.#offset, this.#offset + left));
        this.#offset += left;
        left = 0;
      }
    }
  }

  clear(): void {
    this.#chunks = none;
    this.#head = 0;
    this.#offset = 0;
    this.byteLength = 0;
  }

  #drop(): void {
    this.#chunks[this.#head++] = undefined as never;
    this.#offset = 0;
    if (this.#head === this.#chunks.length) {
      this.#chunks = none;
      this.#head = 0;
    } else if (this.#head >= 64 && this.#head * 2 >= this.#chunks.length) {
      this.#chunks.splice(0, this.#head);
      this.#head = 0;
    }
  }
}

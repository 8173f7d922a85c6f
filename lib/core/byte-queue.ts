import { Fifo } from './fifo.js';
import type { FrameWriter } from './frame-writer.js';

/** Bytes in order, as the chunks they came in: nothing is copied or joined. */
export class ByteQueue extends Fifo<Uint8Array> {
  byteLength = 0;
  /** How much of the first chunk is gone. */
  #offset = 0;

  override push(chunk: Uint8Array): void {
    super.push(chunk);
    this.byteLength += chunk.length;
  }

  /** Moves the first `bytes` to a frame. */
  moveTo(writer: FrameWriter, bytes: number): void {
    this.byteLength -= bytes;
    for (let left = bytes; left > 0; ) {
      const chunk = this.peek() as Uint8Array;
      const from = this.#offset;
      const to = Math.min(chunk.length, from + left);
      left -= to - from;
      const isWhole = to === chunk.length;
      writer.append(isWhole && from === 0 ? chunk : chunk.subarray(from, to));
      this.#offset = isWhole ? 0 : to;
      if (isWhole) this.shift();
    }
  }
}

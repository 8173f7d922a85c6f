/** Payloads up to this are copied behind their header; a gather entry and its system call cost more than the copy. */
const copyBytes = 2048;
/** Small at first: most connections of a server idle. */
const firstSlabBytes = 4096;
const slabBytes = 64 * 1024;

/** Node can do without the zeros; every byte that goes out has been written. */
const { Buffer } = globalThis as { Buffer?: { allocUnsafeSlow(bytes: number): { buffer: ArrayBuffer } } };

function allocate(bytes: number): Uint8Array {
  return Buffer === undefined ? new Uint8Array(bytes) : new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer);
}

/**
 * Collects frames for one write of the transport: headers and small payloads in a slab, large payloads by reference.
 * A slab is never written over, since the transport owns what it was given.
 */
export class FrameWriter {
  /** Where `reserve` made room. */
  slab: Uint8Array = new Uint8Array(firstSlabBytes);
  /** Bytes collected since the last `take`. */
  bytes = 0;
  #at = 0;
  #from = 0;
  #pieces: Uint8Array[] = [];

  /** Makes room for `bytes` in `slab`, and gives their offset. */
  reserve(bytes: number): number {
    if (this.#at + bytes > this.slab.length) {
      this.#cut();
      this.slab = allocate(Math.max(slabBytes, bytes));
      this.#at = 0;
      this.#from = 0;
    }
    const at = this.#at;
    this.#at += bytes;
    this.bytes += bytes;
    return at;
  }

  append(chunk: Uint8Array): void {
    const length = chunk.length;
    if (length <= copyBytes) {
      const at = this.reserve(length);
      const slab = this.slab;
      // Below this, the call of `set` costs more than the loop.
      if (length <= 64) for (let i = 0; i < length; i++) slab[at + i] = chunk[i] as number;
      else slab.set(chunk, at);
    } else {
      this.#cut();
      this.#pieces.push(chunk);
      this.bytes += length;
    }
  }

  /** What was collected, for one gathered write. */
  take(): Uint8Array[] {
    this.#cut();
    const pieces = this.#pieces;
    this.#pieces = [];
    this.bytes = 0;
    return pieces;
  }

  #cut(): void {
    if (this.#at === this.#from) return;
    this.#pieces.push(this.slab.subarray(this.#from, this.#at));
    this.#from = this.#at;
  }
}

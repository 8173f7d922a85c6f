/** Buckets of a lane at most; with `bucketMs` of 100 a lane remembers a minute. */
export const lanePoints = 600;
/** Buckets that it begins with: most streams are short. */
const leastPoints = 32;

/** What went through one stream lately, bucket by bucket, in a ring that grows, and is then written over. */
export class Lane {
  /** The buckets that are kept: from `first` to the one before `end`. */
  first = 0;
  end = 0;
  #size = leastPoints;
  /** In and out by turns. */
  #bytes: Float32Array = new Float32Array(2 * leastPoints);
  #blocks: Uint8Array = new Uint8Array(leastPoints);

  bytesIn(bucket: number): number {
    return this.#bytes[2 * (bucket % this.#size)] as number;
  }

  bytesOut(bucket: number): number {
    return this.#bytes[2 * (bucket % this.#size) + 1] as number;
  }

  /** What the stream waited for: a number of `blocks`. */
  block(bucket: number): number {
    return this.#blocks[bucket % this.#size] as number;
  }

  /** What has happened from `first` to `last`, both included, in even parts. */
  spread(first: number, last: number, bytesIn: number, bytesOut: number, block: number): void {
    const count = last - first + 1;
    for (let bucket = first; bucket <= last; bucket++) {
      this.#add(bucket, bytesIn / count, bytesOut / count, block);
    }
  }

  #add(bucket: number, bytesIn: number, bytesOut: number, block: number): void {
    if (this.end === 0 || bucket - this.end > lanePoints) {
      this.first = bucket;
      this.end = bucket;
    }
    if (bucket < this.first) return;
    while (this.end <= bucket) this.#begin();
    const at = bucket % this.#size;
    this.#bytes[2 * at] = (this.#bytes[2 * at] as number) + bytesIn;
    this.#bytes[2 * at + 1] = (this.#bytes[2 * at + 1] as number) + bytesOut;
    if (block !== 0) this.#blocks[at] = block;
  }

  /** One more empty bucket at the end. */
  #begin(): void {
    if (this.end - this.first === this.#size) {
      if (this.#size < lanePoints) this.#grow();
      else this.first++;
    }
    const at = this.end++ % this.#size;
    this.#bytes[2 * at] = 0;
    this.#bytes[2 * at + 1] = 0;
    this.#blocks[at] = 0;
  }

  #grow(): void {
    const size = Math.min(lanePoints, 2 * this.#size);
    const bytes = new Float32Array(2 * size);
    const blocks = new Uint8Array(size);
    for (let bucket = this.first; bucket < this.end; bucket++) {
      const at = bucket % size;
      bytes[2 * at] = this.bytesIn(bucket);
      bytes[2 * at + 1] = this.bytesOut(bucket);
      blocks[at] = this.block(bucket);
    }
    this.#size = size;
    this.#bytes = bytes;
    this.#blocks = blocks;
  }
}

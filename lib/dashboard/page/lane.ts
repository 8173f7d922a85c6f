/** Buckets of a lane; with `bucketMs` of 100 a lane remembers a minute. */
export const lanePoints = 600;

/** What went through one stream lately, bucket by bucket, in a ring that is written over as time goes on. */
export class Lane {
  /** Which bucket of time is where in the ring. */
  readonly stamps: Float64Array = new Float64Array(lanePoints).fill(-1);
  readonly bytesIn: Float32Array = new Float32Array(lanePoints);
  readonly bytesOut: Float32Array = new Float32Array(lanePoints);
  /** What the stream waited for: a number of `blocks`. */
  readonly block: Uint8Array = new Uint8Array(lanePoints);

  /** What has happened from `first` to `last`, both included, in even parts. */
  spread(first: number, last: number, bytesIn: number, bytesOut: number, block: number): void {
    const count = last - first + 1;
    for (let bucket = first; bucket <= last; bucket++) {
      this.add(bucket, bytesIn / count, bytesOut / count, block);
    }
  }

  add(bucket: number, bytesIn: number, bytesOut: number, block: number): void {
    const at = ((bucket % lanePoints) + lanePoints) % lanePoints;
    if (this.stamps[at] !== bucket) {
      this.stamps[at] = bucket;
      this.bytesIn[at] = 0;
      this.bytesOut[at] = 0;
      this.block[at] = 0;
    }
    this.bytesIn[at] = (this.bytesIn[at] as number) + bytesIn;
    this.bytesOut[at] = (this.bytesOut[at] as number) + bytesOut;
    if (block !== 0) this.block[at] = block;
  }
}

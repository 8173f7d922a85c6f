import { seededRandom } from '../support/random.js';

/** A prime, so that no window or frame divides it. */
const period = 65_521;
const mostPiece = 65_536;

/** Seven bits each: any piece can also be sent as text. */
const table: Uint8Array = seededRandom(1)
  .bytes(period)
  .map((byte) => byte & 0x7f);
const twice: Uint8Array = Uint8Array.from(
  { length: period + mostPiece },
  (_, at) => table[at % period] as number,
);

/** From `start` on, the bytes are those of the table, or of another direction that is passed on. */
interface Segment {
  readonly start: number;
  readonly shift: number;
  readonly source: Direction | null;
}

/** What one end sends to the other: which bytes were given away, which have come out, and whether that is all. */
export class Direction {
  /** Bytes that the sender has given to the stream. */
  produced = 0;
  /** Bytes that the reader has been given. */
  consumed = 0;
  /** The sender's application has ended it, or is about to. */
  ended = false;
  readonly #segments: Segment[];

  constructor(key: number) {
    this.#segments = [{ start: 0, shift: (key * 7919) % period, source: null }];
  }

  /** The next `bytes` to give away; a copy. */
  peek(bytes: number): Uint8Array {
    const { shift } = this.#segmentAt(this.produced);
    const at = (this.produced + shift) % period;
    return twice.slice(at, at + bytes);
  }

  make(bytes: number): Uint8Array {
    const chunk = this.peek(bytes);
    this.produced += bytes;
    return chunk;
  }

  /** What is sent from here on is what `source` has yet to give its reader. */
  passOn(source: Direction): void {
    this.#segments.push({ start: this.produced, shift: source.consumed, source });
  }

  /** The sender makes its own bytes again. */
  ownAgain(): void {
    this.#segments.push({ start: this.produced, shift: (this.produced * 31) % period, source: null });
  }

  /** Whether this direction already gets its bytes from `other`, at whatever remove. */
  dependsOn(other: Direction): boolean {
    return this === other || this.#segments.some(({ source }) => source?.dependsOn(other));
  }

  /** Counts a chunk that came out; gives what is wrong with it. */
  consume(chunk: Uint8Array): string | null {
    const from = this.consumed;
    if (from + chunk.byteLength > this.produced) {
      return `${from + chunk.byteLength} bytes came out of ${this.produced}`;
    }
    const wrong = this.#compare(chunk, from);
    if (wrong >= 0) return `byte ${from + wrong} is not what was sent`;
    this.consumed += chunk.byteLength;
    return null;
  }

  /** Where `chunk` differs from what stands at `position`, or -1. */
  #compare(chunk: Uint8Array, position: number): number {
    let at = 0;
    while (at < chunk.byteLength) {
      const segment = this.#segmentAt(position + at);
      const next = this.#segments[this.#segments.indexOf(segment) + 1]?.start ?? Number.POSITIVE_INFINITY;
      const length = Math.min(chunk.byteLength - at, next - (position + at), mostPiece);
      const piece = chunk.subarray(at, at + length);
      const inSegment = position + at - segment.start;
      let wrong = -1;
      if (segment.source !== null) wrong = segment.source.#compare(piece, segment.shift + inSegment);
      else {
        const start = (position + at + segment.shift) % period;
        const expected = twice.subarray(start, start + length);
        if (Buffer.compare(piece, expected) !== 0) wrong = piece.findIndex((byte, i) => byte !== expected[i]);
      }
      if (wrong >= 0) return at + wrong;
      at += length;
    }
    return -1;
  }

  /** The last of several that start at the same place counts. */
  #segmentAt(position: number): Segment {
    const segment = this.#segments.findLast(({ start }) => start <= position);
    return segment as Segment;
  }
}

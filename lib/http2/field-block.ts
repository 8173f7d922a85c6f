import type { StreamError } from '../core/errors.js';
import type { FrameLimits } from './frame-handler.js';
import { PRIORITY_BYTES, paddingError, selfDependency, sizeError } from './frame-rules.js';
import { errorCode, frameFlag, frameType, uint31, wireError } from './frames.js';
import { Gathered } from './gathered.js';

/** A field block on its way: HEADERS and its CONTINUATION frames, joined and bounded (RFC 9113 §4.3, §6.2, §6.10). */
export class FieldBlock {
  readonly #limits: FrameLimits;
  readonly #gathered = new Gathered();
  #streamId = 0;
  #endStream = false;
  #error: StreamError | undefined;
  #continuations = 0;

  constructor(limits: FrameLimits) {
    this.#limits = limits;
  }

  /** The stream of the block while it is unfinished, else 0. */
  get streamId(): number {
    return this.#streamId;
  }

  get endStream(): boolean {
    return this.#endStream;
  }

  /** The stream is to be reset, once the block has been decoded. */
  get error(): StreamError | undefined {
    return this.#error;
  }

  /** Judges a HEADERS by its frame header, before its payload comes. */
  checkHeaders(streamId: number, flags: number, length: number): void {
    const mandatory = prefixBytes(flags);
    if (length < mandatory) throw sizeError(frameType.HEADERS, length, `${mandatory} at least`);
    // How much is padding is not known yet; this much is not.
    const most = (flags & frameFlag.PADDED) !== 0 ? 0xff : 0;
    this.#checkBytes(streamId, length - mandatory - most);
  }

  /** The same for a CONTINUATION. An empty one counts as well: a flood of them has no bytes to count. */
  checkContinuation(length: number): void {
    this.#continuations++;
    if (this.#continuations > this.#limits.maxContinuations) {
      throw tooMuch(this.#streamId, `${this.#continuations} CONTINUATION frames`);
    }
    this.#checkBytes(this.#streamId, this.#gathered.length + length);
  }

  /** Begins with the payload of a HEADERS; gives the block if that was all of it. */
  begin(streamId: number, flags: number, payload: Uint8Array): Uint8Array | undefined {
    let start = 0;
    let end = payload.length;
    if ((flags & frameFlag.PADDED) !== 0) {
      const padding = payload[start++] as number;
      end -= padding;
      if (end < prefixBytes(flags)) throw paddingError(frameType.HEADERS, padding);
    }
    this.#error = undefined;
    if ((flags & frameFlag.PRIORITY) !== 0) {
      // Priorities are deprecated, but this one mistake is still refused as RFC 7540 §5.3.1 had it.
      if (uint31(payload, start) === streamId) this.#error = selfDependency(streamId);
      start += PRIORITY_BYTES;
    }
    this.#streamId = streamId;
    this.#endStream = (flags & frameFlag.END_STREAM) !== 0;
    this.#continuations = 0;
    return this.add(flags, payload.subarray(start, end));
  }

  /** Goes on with a fragment; gives the block if that was the rest of it. Call `clear` once it has been read. */
  add(flags: number, fragment: Uint8Array): Uint8Array | undefined {
    const ended = (flags & frameFlag.END_HEADERS) !== 0;
    const before = this.#gathered.length;
    this.#checkBytes(this.#streamId, before + fragment.length);
    if (ended) this.#streamId = 0;
    if (ended && before === 0) return fragment;
    this.#gathered.add(fragment, 0, fragment.length);
    return ended ? this.#gathered.bytes : undefined;
  }

  clear(): void {
    this.#gathered.clear();
  }

  #checkBytes(streamId: number, bytes: number): void {
    if (bytes > this.#limits.maxHeaderBlockBytes) throw tooMuch(streamId, `${bytes} bytes`);
  }
}

/** What comes before the fragment in a HEADERS with these flags. */
function prefixBytes(flags: number): number {
  return (
    ((flags & frameFlag.PADDED) !== 0 ? 1 : 0) + ((flags & frameFlag.PRIORITY) !== 0 ? PRIORITY_BYTES : 0)
  );
}

function tooMuch(streamId: number, what: string): StreamError {
  return wireError(
    errorCode.ENHANCE_YOUR_CALM,
    `the peer sent a field block of ${what} for stream ${streamId}`,
  );
}

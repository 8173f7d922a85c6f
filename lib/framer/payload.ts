import { noBytes } from '../core/bytes.js';
import { type StreamError, violation } from '../core/errors.js';
import { tooMuch } from '../core/headers.js';
import type { LimitValues } from '../core/limits.js';
import { codes } from './frames.js';

/** Names and values in turn, or why they are not taken: they have not been read then. */
export interface HeaderBlock {
  readonly flat: readonly string[];
  readonly error: StreamError | null;
}

const emptyBlock: HeaderBlock = { flat: [], error: null };
const decoder: TextDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The peer's bytes are no frames. */
export function malformed(message: string): StreamError {
  return violation(message, 'protocol', codes['protocol-error']);
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

/** Reads a payload of known form, and no byte beyond it. */
export class PayloadReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  /** Of `bytes`, those from `at` to `end`. */
  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
  }

  get isEmpty(): boolean {
    return this.#at === this.#end;
  }

  uint8(): number {
    return this.#bytes[this.#skip(1)] as number;
  }

  uint16(): number {
    const at = this.#skip(2);
    return ((this.#bytes[at] as number) << 8) | (this.#bytes[at + 1] as number);
  }

  uint32(): number {
    return readUint32(this.#bytes, this.#skip(4));
  }

  string(): string {
    return this.#text(this.uint16());
  }

  /** Nothing is decoded that is beyond the limits. */
  block(limits: LimitValues): HeaderBlock {
    const length = this.uint16();
    if (length === 0) return emptyBlock;
    const end = this.#at + length;
    if (end > this.#end) throw malformed('a header block of the peer runs past its frame');
    const { maxHeaderBlockBytes, maxHeaders, maxHeaderNameBytes, maxHeaderValueBytes } = limits;
    const flat: string[] = [];
    let error =
      length > maxHeaderBlockBytes ? tooMuch(`headers of ${length} bytes`, maxHeaderBlockBytes) : null;
    while (this.#at < end) {
      const isName = flat.length % 2 === 0;
      const size = this.uint16();
      if (this.#at + size > end) throw malformed('a header of the peer runs past its block');
      const most = isName ? maxHeaderNameBytes : maxHeaderValueBytes;
      if (size > most) error ??= tooMuch(`a header ${isName ? 'name' : 'value'} of ${size} bytes`, most);
      if (error !== null || flat.length >= 2 * maxHeaders) {
        this.#skip(size);
        flat.push('');
      } else flat.push(this.#text(size));
    }
    if (this.#at > end || flat.length % 2 === 1) throw malformed('a header of the peer runs past its block');
    return { flat, error };
  }

  rest(): Uint8Array {
    if (this.isEmpty) return noBytes;
    const at = this.#at;
    this.#at = this.#end;
    return this.#bytes.subarray(at, this.#end);
  }

  exactly(bytes: number): Uint8Array {
    const at = this.#skip(bytes);
    return this.#last(this.#bytes.subarray(at, at + bytes));
  }

  lastUint32(): number {
    return this.#last(this.uint32());
  }

  lastString(): string {
    return this.#last(this.string());
  }

  lastBlock(limits: LimitValues): HeaderBlock {
    return this.#last(this.block(limits));
  }

  #last<T>(value: T): T {
    if (!this.isEmpty) throw malformed('a frame of the peer is longer than its form');
    return value;
  }

  #text(bytes: number): string {
    if (bytes === 0) return '';
    const at = this.#skip(bytes);
    try {
      return decoder.decode(this.#bytes.subarray(at, at + bytes));
    } catch {
      throw malformed('the peer sent text that is not UTF-8');
    }
  }

  #skip(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#end) throw malformed('a frame of the peer is shorter than its form');
    this.#at = at + bytes;
    return at;
  }
}

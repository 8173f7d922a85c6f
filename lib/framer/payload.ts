import { violation } from '../core/errors.js';

/** Names and values in turn, with their sizes in bytes beside them. */
export interface HeaderBlock {
  readonly flat: readonly string[];
  readonly sizes: readonly number[];
}

const emptyBlock: HeaderBlock = { flat: [], sizes: [] };
const none: Uint8Array = new Uint8Array(0);
const decoder: TextDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

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
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isEmpty(): boolean {
    return this.#at === this.#bytes.byteLength;
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

  block(): HeaderBlock {
    const length = this.uint16();
    if (length === 0) return emptyBlock;
    const end = this.#at + length;
    if (end > this.#bytes.byteLength) throw violation('a header block of the peer runs past its frame');
    const flat: string[] = [];
    const sizes: number[] = [];
    while (this.#at < end) {
      for (let half = 0; half < 2; half++) {
        const size = this.uint16();
        if (this.#at + size > end) throw violation('a header of the peer runs past its block');
        flat.push(this.#text(size));
        sizes.push(size);
      }
    }
    if (this.#at > end) throw violation('a header of the peer runs past its block');
    return { flat, sizes };
  }

  rest(): Uint8Array {
    if (this.isEmpty) return none;
    const rest = this.#bytes.subarray(this.#at);
    this.#at = this.#bytes.byteLength;
    return rest;
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

  lastBlock(): HeaderBlock {
    return this.#last(this.block());
  }

  #last<T>(value: T): T {
    if (!this.isEmpty) throw violation('a frame of the peer is longer than its form');
    return value;
  }

  #text(bytes: number): string {
    if (bytes === 0) return '';
    const at = this.#skip(bytes);
    try {
      return decoder.decode(this.#bytes.subarray(at, at + bytes));
    } catch {
      throw violation('the peer sent text that is not UTF-8');
    }
  }

  #skip(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#bytes.byteLength) throw violation('a frame of the peer is shorter than its form');
    this.#at = at + bytes;
    return at;
  }
}

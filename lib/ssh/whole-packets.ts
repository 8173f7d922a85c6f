import { readUint32 } from './codec.js';

/** The ciphers that are worth it, by the names of ssh2's classes: readable lengths, and decrypting over what was read. */
export const decryptingInPlace: ReadonlySet<string> = new Set(['AESGCMDecipherBinding']);

const lengthBytes = 4;
/** Authentication tag behind a packet (RFC 5647 §5). */
const tagBytes = 16;
/** A length beyond any that is taken (RFC 4253 §6.1) is nothing to wait for: whoever decrypts is to say so. */
const mostLength = 35_000;

/**
 * Cuts what arrives between its packets, for ciphers that leave their lengths readable (RFC 5647 §7.3). A packet that is
 * read in two parts has to be joined in memory of its own; one that lies in one piece is decrypted where it lies, and
 * reads of a socket often lie one behind the other.
 */
export class WholePackets {
  readonly #emit: (bytes: Uint8Array) => void;
  /** A packet that has begun, and of which nothing was given to `emit`. */
  #begun: Uint8Array | null = null;
  /** Bytes still to come of a packet of which a part was. */
  #left = 0;

  constructor(emit: (bytes: Uint8Array) => void) {
    this.#emit = emit;
  }

  /** Gives what is complete to `emit`, and what never will be. */
  push(chunk: Uint8Array): void {
    const begun = this.#begun;
    if (begun === null) this.#cut(chunk);
    else if (begun.buffer === chunk.buffer && begun.byteOffset + begun.length === chunk.byteOffset) {
      this.#begun = null;
      this.#cut(new Uint8Array(begun.buffer, begun.byteOffset, begun.length + chunk.length));
    } else this.#cutApart(begun, chunk);
  }

  /** Gives everything to `emit`: what is pushed next begins with a packet. */
  flush(): void {
    const begun = this.#begun;
    this.#begun = null;
    this.#left = 0;
    if (begun !== null) this.#emit(begun);
  }

  #cut(bytes: Uint8Array): void {
    const end = bytes.length;
    let at = this.#left;
    while (at + lengthBytes <= end) {
      const length = readUint32(bytes, at);
      const next = length > mostLength ? Number.POSITIVE_INFINITY : at + lengthBytes + length + tagBytes;
      if (next > end && next !== Number.POSITIVE_INFINITY) break;
      at = next;
    }
    this.#left = Math.max(0, at - end);
    const whole = Math.min(at, end);
    if (whole < end) this.#begun = bytes.subarray(whole);
    if (whole > 0) this.#emit(whole === end ? bytes : bytes.subarray(0, whole));
  }

  /** The packet can no longer be had in one piece. */
  #cutApart(begun: Uint8Array, chunk: Uint8Array): void {
    if (begun.length < lengthBytes) {
      // Its length is not known yet: a copy of so little is cheap.
      const joined = new Uint8Array(begun.length + chunk.length);
      joined.set(begun);
      joined.set(chunk, begun.length);
      this.#begun = null;
      this.#cut(joined);
      return;
    }
    const left = lengthBytes + readUint32(begun, 0) + tagBytes - begun.length;
    this.flush();
    this.#left = left;
    this.#cut(chunk);
  }
}

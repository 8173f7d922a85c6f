import { randomFillSync } from 'node:crypto';

/** Small at first: most connections of a server idle. */
const firstSlabBytes = 4096;
/** Room for two of the longest packets. More would come from the system as fresh pages each time, which costs more than it saves. */
const slabBytes = 2 * (32 * 1024 + 64);
const paddingBytes = 4096;
/** Authentication tag of the ciphers that have one (RFC 5647 §5, OpenSSH's PROTOCOL.chacha20poly1305). */
const tagBytes = 16;

/** The blocks of ciphers that write over the packet, by the names of ssh2's classes: those that are in C++. */
export const blocksInPlace: ReadonlyMap<string, number> = new Map([
  ['AESGCMCipherBinding', 16],
  ['ChaChaPolyCipherBinding', 8],
]);

/** Slabs that wait to serve again, of all connections: as much as is on its way where one sends all it can. */
const mostSpare = 8;
const spare: Uint8Array[] = [];

let padding = new Uint8Array(0);
let paddingAt = 0;

/**
 * Room for packets (RFC 4253 §6), one behind the other: a batch of them goes to the socket as one piece, and costs one
 * allocation instead of one each, or none where the memory serves again. Padding is taken from random bytes made in bulk.
 */
export class PacketSlab {
  #slab: Uint8Array = new Uint8Array(0);
  #at = 0;
  /** Full ones, of which the transport may still have a part. */
  readonly #full: Uint8Array[] = [];
  readonly #isReused: boolean;

  /** `isReused` if `reuse` is going to be called. */
  constructor(isReused: boolean) {
    this.#isReused = isReused;
  }

  /** A packet for `payload` bytes from its sixth byte on, for a cipher that encrypts in place and leaves the length out. */
  packet(payload: number, blockBytes: number): Uint8Array {
    let pad = blockBytes - ((1 + payload) % blockBytes);
    if (pad < 4) pad += blockBytes;
    const length = 1 + payload + pad;
    const total = 4 + length + tagBytes;
    if (this.#at + total > this.#slab.length) this.#next(total);
    const packet = this.#slab.subarray(this.#at, this.#at + total);
    this.#at += total;
    packet[0] = length >>> 24;
    packet[1] = length >>> 16;
    packet[2] = length >>> 8;
    packet[3] = length;
    packet[4] = pad;
    fillPadding(packet, 5 + payload, pad);
    return packet;
  }

  /** Nobody has any of the packets any more. */
  reuse(): void {
    this.#at = 0;
    for (let slab = this.#full.pop(); slab !== undefined; slab = this.#full.pop()) {
      if (spare.length < mostSpare) spare.push(slab);
    }
  }

  #next(bytes: number): void {
    const { byteLength } = this.#slab;
    if (this.#isReused && byteLength === slabBytes && this.#full.length < mostSpare)
      this.#full.push(this.#slab);
    const isFirst = byteLength === 0 && bytes <= firstSlabBytes;
    const wanted = isFirst ? firstSlabBytes : Math.max(slabBytes, bytes);
    const slab = wanted === slabBytes ? spare.pop() : undefined;
    this.#slab = slab ?? new Uint8Array(Buffer.allocUnsafeSlow(wanted).buffer);
    this.#at = 0;
  }
}

function fillPadding(packet: Uint8Array, at: number, bytes: number): void {
  if (paddingAt + bytes > padding.length) {
    padding = randomFillSync(new Uint8Array(paddingBytes));
    paddingAt = 0;
  }
  for (let index = 0; index < bytes; index++) packet[at + index] = padding[paddingAt++] as number;
}

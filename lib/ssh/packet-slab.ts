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

let padding = new Uint8Array(0);
let paddingAt = 0;

/**
 * Room for packets (RFC 4253 §6), one behind the other in memory that is never written again: a batch of them goes to the
 * socket as one piece, and costs one allocation instead of one each. Padding is taken from random bytes made in bulk.
 */
export class PacketSlab {
  #slab: Uint8Array = new Uint8Array(0);
  #at = 0;

  /** A packet for `payload` bytes from its sixth byte on, for a cipher that encrypts in place and leaves the length out. */
  packet(payload: number, blockBytes: number): Uint8Array {
    let pad = blockBytes - ((1 + payload) % blockBytes);
    if (pad < 4) pad += blockBytes;
    const length = 1 + payload + pad;
    const total = 4 + length + tagBytes;
    if (this.#at + total > this.#slab.byteLength) {
      const bytes = this.#slab.byteLength === 0 ? firstSlabBytes : slabBytes;
      this.#slab = new Uint8Array(Buffer.allocUnsafeSlow(Math.max(bytes, total)).buffer);
      this.#at = 0;
    }
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
}

function fillPadding(packet: Uint8Array, at: number, bytes: number): void {
  if (paddingAt + bytes > padding.byteLength) {
    padding = randomFillSync(new Uint8Array(paddingBytes));
    paddingAt = 0;
  }
  for (let index = 0; index < bytes; index++) packet[at + index] = padding[paddingAt++] as number;
}

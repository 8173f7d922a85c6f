import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { getHeapSpaceStatistics } from 'node:v8';

/** One read of the kernel goes to the next free part of a slab, so that a chunk is never copied and never reused. */
const firstSlabBytes = 64 * 1024;
/** Each slab is twice the last one, up to this: a connection that is idle or slow costs little. */
const mostSlabBytes = 256 * 1024;
const readBytes = 64 * 1024;
/** Below this the rest of a slab is left: tiny reads cost more than the memory. */
const leastReadBytes = 16 * 1024;

/**
 * What slabs cost besides receiving into them, which would be the larger part of a receiver's CPU.
 *
 * V8 counts slabs as memory of the old generation until a collection of the young one frees them, and a receiver of bytes
 * alone hardly ever causes one. A heap that is small or has idled has room for 8 MiB of them; then all of it is collected,
 * again and again. So the whole young generation is used up within fewer. A slab that is in use at two collections of it
 * counts as old until a full one, which is why slabs are not larger.
 *
 * And glibc hands freed memory back to the system, to get it page by page again, but for twice as much as the largest block
 * that it mapped on its own and unmapped. So one such block is made, never touched, and left to the collector.
 */
class Slabs {
  #sinceWear = 0;
  #owed = 0;
  #keepsFreed = false;
  /** Where an allocation is kept from being optimised away. */
  protected last: unknown = null;

  allocate(bytes: number): Uint8Array<ArrayBuffer> {
    this.#sinceWear += bytes;
    if (this.#sinceWear >= wearEveryBytes) this.#wear();
    return new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer);
  }

  #wear(): void {
    if (!this.#keepsFreed) Buffer.allocUnsafeSlow(keptFreedBytes / 2);
    this.#keepsFreed = true;
    const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
    const size = young === undefined ? 0 : young.space_used_size + young.space_available_size;
    this.#owed += (this.#sinceWear / collectedWithinBytes) * size;
    this.#sinceWear = 0;
    for (; this.#owed > 0; this.#owed -= wornBytes) {
      this.last = new Array(wornSlots);
      this.last = null;
    }
  }
}

const wearEveryBytes = 1024 * 1024;
const collectedWithinBytes = 6 * 1024 * 1024;
/** An array of so many slots takes more than half a page of V8's, and the next one begins another page: half is enough to fill. */
const wornSlots = 16_380;
const wornBytes = 250 * 1024;
const keptFreedBytes = 32 * 1024 * 1024;

/** Of all sockets together, for V8 and malloc are too. */
const slabs: Slabs = new Slabs();

type OnRead = (chunk: Uint8Array) => void;

/** The members of a socket by which Node's own `onread` option works. They are not public: looked for, never assumed. */
interface Internals {
  readonly buffer: symbol;
  readonly callback: symbol;
  readonly generator: symbol;
}

let internals: Internals | null | undefined;

/** Finds the names under which a socket made with `onread` keeps it. */
function findInternals(): Internals | null {
  const callback = (): boolean => true;
  const generator = (): Uint8Array => new Uint8Array(0);
  try {
    const probe = new Socket({ onread: { buffer: generator, callback } } as never);
    const found: Partial<Record<keyof Internals, symbol>> = {};
    for (const symbol of Object.getOwnPropertySymbols(probe)) {
      const value = (probe as unknown as Record<symbol, unknown>)[symbol];
      if (value === callback) found.callback = symbol;
      else if (value === generator) found.generator = symbol;
      else if (value === true && symbol.description === 'kBuffer') found.buffer = symbol;
    }
    probe.destroy();
    const { buffer, callback: call, generator: generate } = found;
    return buffer && call && generate ? { buffer, callback: call, generator: generate } : null;
  } catch {
    return null;
  }
}

/** A socket of net and nothing beyond it, such as one of TLS. */
export function isPlainSocket(duplex: Duplex): boolean {
  return Object.getPrototypeOf(duplex) === Socket.prototype;
}

/**
 * Makes a plain socket that nobody has read from yet deliver its bytes without a copy, as views of memory that is never
 * used again. False where this Node does not allow it: the caller then listens to `data` as usual.
 */
export function readInPlace(duplex: Duplex, onRead: OnRead): boolean {
  if (!isPlainSocket(duplex) || duplex.readableLength > 0) return false;
  internals ??= findInternals();
  const handle = (duplex as { _handle?: { useUserBuffer?: (buffer: Uint8Array) => void } })._handle;
  if (internals === null || typeof handle?.useUserBuffer !== 'function') return false;

  let slab = slabs.allocate(firstSlabBytes);
  let used = 0;
  const next = (): Uint8Array => {
    if (slab.byteLength - used < leastReadBytes) {
      const bytes = Math.min(2 * slab.byteLength, mostSlabBytes);
      slab = slabs.allocate(bytes);
      used = 0;
    }
    return slab.subarray(used, Math.min(used + readBytes, slab.byteLength));
  };
  const first = next();
  const target = duplex as unknown as Record<symbol, unknown>;
  target[internals.buffer] = first;
  target[internals.generator] = next;
  target[internals.callback] = (bytes: number, buffer: Uint8Array): boolean => {
    used += bytes;
    onRead(buffer.subarray(0, bytes));
    return true;
  };
  handle.useUserBuffer(first);
  return true;
}

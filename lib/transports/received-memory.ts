import { getHeapSpaceStatistics } from 'node:v8';
import { copies } from '../core/copies.js';

/**
 * What it costs to receive into memory that is never used again, which would be the larger part of a receiver's CPU.
 *
 * V8 counts such memory as the old generation's until a collection of the young one frees it, and a receiver of bytes alone
 * hardly ever causes one. A heap that is small or has idled has room for 8 MiB of it; then all of it is collected, again and
 * again. So the whole young generation is used up within fewer.
 *
 * And glibc hands freed memory back to the system, to get it page by page again, but for twice as much as the largest block
 * that it mapped on its own and unmapped. So one such block is made, never touched, and left to the collector.
 */
class ReceivedMemory {
  #sinceWear = 0;
  #owed = 0;
  #keepsFreed = false;
  /** Where an allocation is kept from being optimised away. */
  protected last: unknown = null;

  /** Bytes were received, or are going to be, into memory of their own. */
  add(bytes: number): void {
    this.#sinceWear += bytes;
    if (this.#sinceWear >= wearEveryBytes) this.#wear();
  }

  #wear(): void {
    if (!this.#keepsFreed) keepFreed();
    this.#keepsFreed = true;
    const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
    const size = young === undefined ? 0 : young.space_used_size + young.space_available_size;
    this.#owed += (this.#sinceWear / collectedWithinBytes) * Math.min(size, mostYoungBytes);
    this.#sinceWear = 0;
    for (; this.#owed > 0; this.#owed -= wornBytes) {
      this.last = new Array(wornSlots);
      this.last = null;
    }
  }
}

const wearEveryBytes = 1024 * 1024;
const collectedWithinBytes = 6 * 1024 * 1024;
/** To use up more than V8's usual 16 MiB would cost as much as it saves. */
const mostYoungBytes = 16 * 1024 * 1024;
/** An array of so many slots takes more than half a page of V8's, and the next one begins another page: half is enough to fill. */
const wornSlots = 16_380;
const wornBytes = 250 * 1024;
/** Twice as much stays. */
const untouchedBytes = 16 * 1024 * 1024;

function keepFreed(): void {
  try {
    Buffer.allocUnsafeSlow(untouchedBytes);
  } catch {
    // Where there is no room for it, nothing is kept.
  }
}

/** Of all connections together, for V8 and malloc are too. */
export const receivedMemory: ReceivedMemory = new ReceivedMemory();
copies.heard = (bytes) => receivedMemory.add(bytes);

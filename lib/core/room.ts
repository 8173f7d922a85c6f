import type { Outbox } from './outbox.js';

/** A promise of room for `bytes` more, for who cannot wait otherwise; null if there is room now. */
export function roomFor(outbox: Outbox, bytes: number): Promise<void> | null {
  let waits = false;
  const promise = new Promise<void>((resolve, reject) => {
    waits = outbox.waitsForRoom({ bytes, resolve, reject });
  });
  return waits ? promise : null;
}

import type { Stream } from '../api.js';
import { innermost, innerOf } from '../core/beneath.js';

/** How often each stream waits for a rate: for whichever limits there are on it, and on what is around it. */
const waitsOf: WeakMap<Stream, number> = new WeakMap();

/** Counts waits, or the ends of some, for a stream and all that it has inside. */
export function countWaits(stream: Stream, more: number): void {
  for (let one: Stream | undefined = stream; one !== undefined; one = innerOf(one))
    waitsOf.set(one, (waitsOf.get(one) ?? 0) + more);
}

/** What `outer` waits for, `inner` waits for from now on: it has taken the place of another. */
export function carryWaits(outer: Stream, inner: Stream): void {
  const waits = waitsOf.get(outer);
  if (waits !== undefined) countWaits(inner, waits);
}

/** Whether a stream waits for any rate, above or beneath. */
export function isWaiting(stream: Stream): boolean {
  return (waitsOf.get(innermost(stream)) ?? 0) > 0;
}

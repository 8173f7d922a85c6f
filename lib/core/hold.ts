/**
 * Backpressure for pushed values, by dynamic scope.
 *
 * RxJS has no demand signal, but a chain of synchronous operators is one call stack. A paced source (a stream's
 * `data$`, a provider's `accept$`) is the *current delivery* while it is inside `subscriber.next(value)`, and
 * whoever that call reaches may hold it. The cell is the only global state of this package, and lives under a
 * registered symbol, so that two copies of the package see each other's deliveries.
 */

/** Lets a held value go. Further calls do nothing. */
export type Release = () => void;

/** A source that can be told to wait before its next value. */
export interface Delivery {
  hold(): Release;
}

const key = Symbol.for('rxmux.delivery');
type Cell = { current: Delivery | null };
const registry = globalThis as unknown as Record<symbol, Cell | undefined>;
registry[key] ??= { current: null };
const cell: Cell = registry[key];

const nothingHeld: Release = () => {};

/**
 * Holds the value that is being delivered right now: its source delivers nothing more, and returns no credit to the
 * peer, until every hold has been released. Outside a delivery there is nothing to hold, and this does nothing.
 */
export function hold(): Release {
  return cell.current === null ? nothingHeld : cell.current.hold();
}

/** Whether `hold()` would have an effect now. */
export function canHold(): boolean {
  return cell.current !== null;
}

/** Makes `delivery` the current one, or none, and gives back the outer one for `leave`. For authors of paced sources. */
export function enter(delivery: Delivery | null): Delivery | null {
  const outer = cell.current;
  cell.current = delivery;
  return outer;
}

/** Restores what `enter` gave back. */
export function leave(outer: Delivery | null): void {
  cell.current = outer;
}

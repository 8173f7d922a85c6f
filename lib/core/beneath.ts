import type { Stream } from '../api.js';

/** What is known of `outer`, or of what the operators around it have inside. */
export function findBeneath<K extends object, V>(known: WeakMap<K, V>, outer: K): V | undefined {
  for (let one: unknown = outer; isObject(one); one = one.inner) {
    const found = known.get(one as K);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** An application's own wrapper may have anything inside. */
function isObject(one: unknown): one is { readonly inner?: unknown } {
  return typeof one === 'object' && one !== null;
}

/** What an operator around a stream has inside. An application's own stream may call anything `inner`. */
export function innerOf(outer: Stream): Stream | undefined {
  const { inner } = outer as { readonly inner?: Partial<Stream> | null };
  return typeof inner?.reset === 'function' ? (inner as Stream) : undefined;
}

/** What all operators around a stream have inside in the end. */
export function innermost(outer: Stream): Stream {
  const inner = innerOf(outer);
  return inner === undefined ? outer : innermost(inner);
}

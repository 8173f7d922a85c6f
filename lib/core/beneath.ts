/** What is known of `outer`, or of what the operators around it have inside. */
export function findBeneath<K extends object, V>(known: WeakMap<K, V>, outer: K): V | undefined {
  for (let one: K | undefined = outer; one !== undefined; one = (one as { readonly inner?: K }).inner) {
    const found = known.get(one);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What all operators around a stream have inside in the end. */
export function innermost<T extends object>(outer: T): T {
  const { inner } = outer as { readonly inner?: T | null };
  return inner ? innermost(inner) : outer;
}

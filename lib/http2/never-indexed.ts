import type { StreamHeaders } from '../api.js';
import type { DecodedBlock } from './hpack.js';

const namesOf: WeakMap<StreamHeaders, ReadonlySet<string>> = new WeakMap();

/** Keeps which of a peer's headers came never-indexed: whoever passes them on has to do so too (RFC 7541 §6.2.3). */
export function keepNeverIndexed(headers: StreamHeaders, { neverIndexed }: DecodedBlock): void {
  if (neverIndexed !== undefined) namesOf.set(headers, neverIndexed);
}

export function neverIndexedOf(headers: StreamHeaders): ReadonlySet<string> | undefined {
  return namesOf.get(headers);
}

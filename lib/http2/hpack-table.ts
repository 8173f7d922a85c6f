/** The two tables of HPACK (RFC 7541 §2.3): the fixed one and the one that follows the traffic. */

/** One entry. Never changed once made. */
export interface TableEntry {
  readonly name: string;
  readonly value: string;
}

/** What an entry costs beside its name and value (RFC 7541 §4.1); also in a header list's size (RFC 9113 §6.5.2). */
export const ENTRY_OVERHEAD = 32;

/** RFC 7541 Appendix A, from index 1 on: `name` or `name=value`. */
const staticText =
  ':authority|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|:status=200|:status=204|' +
  ':status=206|:status=304|:status=400|:status=404|:status=500|accept-charset|accept-encoding=gzip, deflate|' +
  'accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control|' +
  'content-disposition|content-encoding|content-language|content-length|content-location|content-range|content-type|' +
  'cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|' +
  'last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|' +
  'server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate';

/** The fixed entries by index; index 0 is no entry. */
export const staticEntries: readonly TableEntry[] = [
  { name: '', value: '' },
  ...staticText.split('|').map((text) => {
    const [name = '', value = ''] = text.split('=');
    return { name, value };
  }),
];

/** The dynamic table's newest entry has this index. */
export const FIRST_DYNAMIC_INDEX: number = staticEntries.length;

/** Where a name is in the fixed table: the first index with it, and the index of each of its values. */
export interface StaticName {
  readonly index: number;
  readonly values: ReadonlyMap<string, number>;
}

function indexStaticNames(): Map<string, StaticName> {
  const names = new Map<string, { index: number; values: Map<string, number> }>();
  for (let index = 1; index < staticEntries.length; index++) {
    const { name, value } = staticEntries[index] as TableEntry;
    let known = names.get(name);
    if (known === undefined) {
      known = { index, values: new Map() };
      names.set(name, known);
    }
    known.values.set(value, index);
  }
  return names;
}

/** The fixed table by name. */
export const staticNames: ReadonlyMap<string, StaticName> = indexStaticNames();

/** What an entry takes of its table. Both strings have one byte per character. */
export function entryBytes(name: string, value: string): number {
  return name.length + value.length + ENTRY_OVERHEAD;
}

/**
 * The dynamic table (RFC 7541 §2.3.2): first in, first out, and its size known. Who owns it makes room before adding,
 * with `shift`, and so learns what went.
 */
export class DynamicTable {
  /** A ring whose length is a power of two, so that an index wraps with a mask. */
  #ring: (TableEntry | undefined)[] = new Array(8);
  #oldest = 0;
  #count = 0;
  #byteLength = 0;

  get length(): number {
    return this.#count;
  }

  /** The sum of `entryBytes`. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** The entry at a distance from the newest one, which is 0. */
  get(age: number): TableEntry | undefined {
    if (age >= this.#count) return undefined;
    return this.#ring[(this.#oldest + this.#count - 1 - age) & (this.#ring.length - 1)];
  }

  /** Adds the newest entry. */
  push(entry: TableEntry): void {
    if (this.#count === this.#ring.length) this.#grow();
    this.#ring[(this.#oldest + this.#count++) & (this.#ring.length - 1)] = entry;
    this.#byteLength += entryBytes(entry.name, entry.value);
  }

  /** Removes the oldest entry. */
  shift(): TableEntry | undefined {
    const entry = this.#ring[this.#oldest];
    if (entry === undefined) return undefined;
    this.#ring[this.#oldest] = undefined;
    this.#oldest = (this.#oldest + 1) & (this.#ring.length - 1);
    this.#count--;
    this.#byteLength -= entryBytes(entry.name, entry.value);
    return entry;
  }

  #grow(): void {
    const entries = [...this.#ring.slice(this.#oldest), ...this.#ring.slice(0, this.#oldest)];
    entries.length = entries.length * 2;
    this.#ring = entries;
    this.#oldest = 0;
  }
}

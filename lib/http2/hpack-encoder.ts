/** Encodes field blocks (RFC 7541). Pure: names and values in, bytes out. */
import { noBytes } from '../core/bytes.js';
import { DEFAULT_TABLE_BYTES } from './frames.js';
import {
  DynamicTable,
  entryBytes,
  FIRST_DYNAMIC_INDEX,
  staticNames,
  type TableEntry,
} from './hpack-table.js';
import { huffmanByteLength, huffmanEncode } from './huffman.js';

export interface HpackEncoderOptions {
  /** The most the dynamic table may take, if the peer allows as much. Default 4096; 0 is no table. */
  readonly tableBytes?: number;
  /**
   * Names whose values go into no table, here or at any hop (RFC 7541 §7.1.3), beside `authorization`,
   * `proxy-authorization`, `cookie` and `set-cookie`.
   */
  readonly neverIndexed?: Iterable<string>;
}

/** Values that somebody could guess one try at a time by watching the size of the block (RFC 7541 §7.1). */
const secretNames = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie'];

/** An integer takes at most this much: the prefix, and five bytes for 32 bits. */
const MAX_INTEGER_BYTES = 6;

/** A field costs at most its texts, an index and two lengths. */
const MAX_FIELD_OVERHEAD = 3 * MAX_INTEGER_BYTES;

/** At most two size updates come first (RFC 7541 §4.2). */
const MAX_UPDATES_BYTES = 2 * MAX_INTEGER_BYTES;

/**
 * After so many values of one name that were never used again, the next are not stored: they would only push out what
 * is. One in `RETRY_EVERY` still is, to notice when that changes.
 */
const MAX_WASTED = 16;
const RETRY_EVERY = 64;

/** What the dynamic table has of one name. Entries are known by their serial number, since their index moves. */
interface KnownName {
  readonly values: Map<string, number>;
  newest: number;
  /** Values stored or passed over since one was last found again. */
  wasted: number;
}

/**
 * The encoding half of one connection's HPACK state. Blocks must reach the peer in the order they were encoded, and all
 * of them must.
 */
export class HpackEncoder {
  readonly #table = new DynamicTable();
  readonly #names = new Map<string, KnownName>();
  readonly #neverIndexed: ReadonlySet<string>;
  readonly #mostBytes: number;
  #maxBytes = DEFAULT_TABLE_BYTES;
  /** The smallest maximum since the last block; the peer must be told of it (RFC 7541 §4.2). */
  #lowestBytes = DEFAULT_TABLE_BYTES;
  /** The maximum that the peer knows. */
  #announcedBytes = DEFAULT_TABLE_BYTES;
  /** The serial number of the next entry. */
  #serial = 0;
  /** Counts what has changed since the start: a list that was encoded without a change is the same bytes until one. */
  changes = 0;
  /** Where the encoding at hand goes. */
  #out: Uint8Array = noBytes;
  #at = 0;

  constructor(options: HpackEncoderOptions = {}) {
    this.#mostBytes = options.tableBytes ?? DEFAULT_TABLE_BYTES;
    this.#neverIndexed = new Set([...secretNames, ...(options.neverIndexed ?? [])]);
    this.setTableLimit(DEFAULT_TABLE_BYTES);
  }

  /** The bytes that the dynamic table holds, by HPACK's own count. */
  get tableBytes(): number {
    return this.#table.byteLength;
  }

  /** Call with the peer's SETTINGS_HEADER_TABLE_SIZE before acknowledging it. The next block says so. */
  setTableLimit(bytes: number): void {
    this.changes++;
    this.#maxBytes = Math.min(bytes, this.#mostBytes);
    this.#lowestBytes = Math.min(this.#lowestBytes, this.#maxBytes);
    this.#makeRoom(0);
  }

  /** How many bytes `encodeInto` may need for these fields. */
  byteBound(fields: readonly string[]): number {
    let bytes = MAX_UPDATES_BYTES + (fields.length >>> 1) * MAX_FIELD_OVERHEAD;
    for (const text of fields) bytes += text.length;
    return bytes;
  }

  /** A block of its own buffer; see `encodeInto`. */
  encode(fields: readonly string[], neverIndexed?: ReadonlySet<string>): Uint8Array {
    const out = new Uint8Array(this.byteBound(fields));
    return out.slice(0, this.encodeInto(fields, out, 0, neverIndexed));
  }

  /**
   * Writes a block at an offset and gives the offset behind it. `fields` are names and values in turn, names in lower
   * case, every character below U+0100 (fields.ts checks); `neverIndexed` names those of this block that are secret.
   * Throws a RangeError for a character above, or for too little room: the block is then not to be sent, and the next
   * one starts with empty tables at both ends.
   */
  encodeInto(
    fields: readonly string[],
    out: Uint8Array,
    offset: number,
    neverIndexed?: ReadonlySet<string>,
  ): number {
    this.#out = out;
    this.#at = offset;
    let done = false;
    try {
      this.#writeSizeUpdates();
      for (let index = 0; index < fields.length; index += 2) {
        this.#writeField(fields[index] as string, fields[index + 1] as string, neverIndexed);
      }
      if (this.#at > out.length) throw new RangeError(`a block of ${this.#at - offset} bytes does not fit`);
      done = true;
      return this.#at;
    } finally {
      if (!done) this.#startOver();
    }
  }

  #writeSizeUpdates(): void {
    if (this.#maxBytes === this.#announcedBytes && this.#lowestBytes === this.#maxBytes) return;
    this.changes++;
    const lowered = this.#lowestBytes < this.#announcedBytes;
    if (lowered && this.#lowestBytes < this.#maxBytes) this.#writeInteger(0x20, 0x1f, this.#lowestBytes);
    this.#writeInteger(0x20, 0x1f, this.#maxBytes);
    this.#announcedBytes = this.#maxBytes;
    this.#lowestBytes = this.#maxBytes;
  }

  /** The peer will never see what this block did to the table, so both sides empty theirs. */
  #startOver(): void {
    this.changes++;
    while (this.#table.length > 0) this.#evict();
    this.#lowestBytes = 0;
    this.#announcedBytes = Number.POSITIVE_INFINITY;
  }

  #writeField(name: string, value: string, neverIndexed: ReadonlySet<string> | undefined): void {
    const fixed = staticNames.get(name);
    const fixedIndex = fixed?.values.get(value);
    if (fixedIndex !== undefined) {
      this.#out[this.#at++] = 0x80 | fixedIndex;
      return;
    }
    if (this.#neverIndexed.has(name) || neverIndexed?.has(name) === true) {
      this.#writeLiteral(0x10, 0x0f, fixed?.index ?? 0, name, value);
      return;
    }
    const known = this.#names.get(name);
    const serial = known?.values.get(value);
    if (known !== undefined && serial !== undefined) {
      known.wasted = 0;
      this.#writeInteger(0x80, 0x7f, this.#indexOf(serial));
      return;
    }
    const index = fixed?.index ?? (known === undefined ? 0 : this.#indexOf(known.newest));
    if (this.#worthStoring(known, name, value)) {
      this.#writeLiteral(0x40, 0x3f, index, name, value);
      this.#insert(name, value);
    } else {
      this.#writeLiteral(0x00, 0x0f, index, name, value);
    }
  }

  /** An entry of more than three quarters of the table would push out nearly everything else. */
  #worthStoring(known: KnownName | undefined, name: string, value: string): boolean {
    if (entryBytes(name, value) * 4 > this.#maxBytes * 3) return false;
    if (known === undefined) return true;
    known.wasted++;
    return known.wasted <= MAX_WASTED || known.wasted % RETRY_EVERY === 0;
  }

  #indexOf(serial: number): number {
    return FIRST_DYNAMIC_INDEX + this.#serial - 1 - serial;
  }

  #insert(name: string, value: string): void {
    this.changes++;
    this.#makeRoom(entryBytes(name, value));
    let known = this.#names.get(name);
    if (known === undefined) {
      known = { values: new Map(), newest: 0, wasted: 1 };
      this.#names.set(name, known);
    }
    known.values.set(value, this.#serial);
    known.newest = this.#serial++;
    this.#table.push({ name, value });
  }

  #makeRoom(bytes: number): void {
    while (this.#table.length > 0 && this.#table.byteLength + bytes > this.#maxBytes) this.#evict();
  }

  /** A value is stored once at most, so its serial number goes with its entry. */
  #evict(): void {
    const { name, value } = this.#table.shift() as TableEntry;
    const known = this.#names.get(name) as KnownName;
    known.values.delete(value);
    if (known.values.size === 0) this.#names.delete(name);
  }

  #writeLiteral(pattern: number, mask: number, index: number, name: string, value: string): void {
    this.#writeInteger(pattern, mask, index);
    if (index === 0) this.#writeText(name);
    this.#writeText(value);
  }

  /** RFC 7541 §5.2 */
  #writeText(text: string): void {
    const bytes = huffmanByteLength(text);
    if (bytes < text.length) {
      this.#writeInteger(0x80, 0x7f, bytes);
      this.#at = huffmanEncode(text, this.#out, this.#at);
      return;
    }
    this.#writeInteger(0x00, 0x7f, text.length);
    for (let index = 0; index < text.length; index++) this.#out[this.#at++] = text.charCodeAt(index);
  }

  /** RFC 7541 §5.1 */
  #writeInteger(pattern: number, mask: number, value: number): void {
    if (value < mask) {
      this.#out[this.#at++] = pattern | value;
      return;
    }
    this.#out[this.#at++] = pattern | mask;
    let rest = value - mask;
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) this.#out[this.#at++] = 0x80 | (rest & 0x7f);
    this.#out[this.#at++] = rest;
  }
}

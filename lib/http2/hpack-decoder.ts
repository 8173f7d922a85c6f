/** Decodes field blocks (RFC 7541). Pure: bytes in, names and values out. */
import { noBytes } from '../core/bytes.js';
import type { StreamError } from '../core/errors.js';
import { DEFAULT_TABLE_BYTES, errorCode, wireError } from './frames.js';
import {
  DynamicTable,
  ENTRY_OVERHEAD,
  entryBytes,
  FIRST_DYNAMIC_INDEX,
  staticEntries,
  type TableEntry,
} from './hpack-table.js';
import { huffmanDecode } from './huffman.js';

/** What one field block may be, unpacked. */
export interface FieldLimits {
  /** Names, values and 32 bytes per field (RFC 9113 §6.5.2). More ends the connection. */
  readonly maxHeaderListBytes: number;
  /** More refuses the stream, as do the two below. */
  readonly maxHeaders: number;
  readonly maxHeaderNameBytes: number;
  readonly maxHeaderValueBytes: number;
}

/** The limits that HTTP/2 has by default. */
export const defaultFieldLimits: FieldLimits = {
  maxHeaderListBytes: 64 * 1024,
  maxHeaders: 100,
  maxHeaderNameBytes: 1024,
  maxHeaderValueBytes: 16 * 1024,
};

/** A decoded field block. */
export interface DecodedBlock {
  /** Names and values in turn, one byte per character. Nothing was checked but the limits. */
  readonly fields: readonly string[];
  /** Names whose values no one who passes them on may put into a table either (RFC 7541 §6.2.3). */
  readonly neverIndexed: ReadonlySet<string> | undefined;
  /** Set when a limit of one stream was passed: `fields` stops there, and the stream is to be refused. */
  readonly error: StreamError | undefined;
}

/**
 * An integer has at most this many bytes behind its prefix, and at most 31 bits: enough for every length that can be
 * right, and the sum cannot overflow (RFC 7541 §5.1).
 */
const MAX_INTEGER_BYTES = 5;

/** Kept from block to block for Huffman texts; longer ones get a buffer of their own. */
const SCRATCH_BYTES = 4096;

/** A block of indices, as one that was sent before most often is, has a byte or two for each field. */
const MAX_REMEMBERED_BYTES = 64;

/**
 * The decoding half of one connection's HPACK state. Every field block must go through it, in order, also those of
 * streams that are refused; an error that it throws ends the connection, since the tables are out of step from then on.
 */
export class HpackDecoder {
  readonly #limits: FieldLimits;
  readonly #table = new DynamicTable();
  /** What the peer chose within our limit. */
  #maxBytes = DEFAULT_TABLE_BYTES;
  /** What we allow. */
  #tableLimit = DEFAULT_TABLE_BYTES;
  /** The next block must start with a size update of this or less. */
  #requiredBytes = Number.POSITIVE_INFINITY;
  #scratch: Uint8Array = noBytes;

  // The block at hand.
  #block: Uint8Array = this.#scratch;
  #at = 0;
  #end = 0;
  #listBytes = 0;
  /** It has changed the table. */
  #changed = false;

  /** The last short block that left the table as it was, and what it stands for until the table is another one. */
  readonly #remembered: Uint8Array = new Uint8Array(MAX_REMEMBERED_BYTES);
  #rememberedBytes = 0;
  #meaning: DecodedBlock | null = null;

  constructor(limits: FieldLimits = defaultFieldLimits) {
    this.#limits = limits;
  }

  /** The bytes that the dynamic table holds, by HPACK's own count. */
  get tableBytes(): number {
    return this.#table.byteLength;
  }

  /** Call when the peer has acknowledged our SETTINGS_HEADER_TABLE_SIZE: it holds from the next block on. */
  setTableLimit(bytes: number): void {
    this.#tableLimit = bytes;
    this.#meaning = null;
    // RFC 9113 §4.3.1: a reduction must be confirmed by a size update.
    if (bytes < this.#maxBytes) this.#requiredBytes = Math.min(this.#requiredBytes, bytes);
  }

  /**
   * Decodes one whole block. Throws the error that ends the connection. `streamId` is for the messages. A block like the
   * last one gives the same object again.
   */
  decode(block: Uint8Array, streamId: number): DecodedBlock {
    if (this.#meaning !== null && this.#isRemembered(block)) return this.#meaning;
    this.#meaning = null;
    const decoded = this.#decode(block, streamId);
    if (!this.#changed && decoded.error === undefined && block.length <= MAX_REMEMBERED_BYTES) {
      this.#remembered.set(block);
      this.#rememberedBytes = block.length;
      this.#meaning = decoded;
    }
    return decoded;
  }

  #isRemembered(block: Uint8Array): boolean {
    const { length } = block;
    if (length !== this.#rememberedBytes) return false;
    for (let at = 0; at < length; at++) if (block[at] !== this.#remembered[at]) return false;
    return true;
  }

  #decode(block: Uint8Array, streamId: number): DecodedBlock {
    this.#changed = false;
    this.#block = block;
    this.#at = 0;
    this.#end = block.length;
    this.#listBytes = 0;
    this.#readSizeUpdates();
    const fields: string[] = [];
    let neverIndexed: Set<string> | undefined;
    let error: StreamError | undefined;
    while (this.#at < this.#end) {
      const first = block[this.#at] as number;
      let entry: TableEntry;
      if (first >= 0x80) {
        entry = this.#entry(first < 0xff ? this.#small(first & 0x7f) : this.#readInteger(0x7f));
        this.#count(entry.name.length + entry.value.length);
      } else if (first >= 0x40) {
        entry = this.#readLiteral(0x3f);
        this.#insert(entry);
      } else if (first >= 0x20) {
        throw compressionError('a table size update came after the first field of a block');
      } else {
        entry = this.#readLiteral(0x0f);
        if (first >= 0x10) {
          neverIndexed ??= new Set();
          neverIndexed.add(entry.name);
        }
      }
      // A refused block is still read to its end: its entries belong to the connection's table.
      if (error !== undefined) continue;
      error = this.#excess(entry, fields.length, streamId);
      if (error === undefined) fields.push(entry.name, entry.value);
    }
    this.#block = this.#scratch;
    return { fields, neverIndexed, error };
  }

  /** RFC 7541 §4.2, §6.3: only at the start of a block, and never above what we allow. */
  #readSizeUpdates(): void {
    while (this.#at < this.#end && ((this.#block[this.#at] as number) & 0xe0) === 0x20) {
      const bytes = this.#readInteger(0x1f);
      if (bytes > this.#tableLimit) {
        throw compressionError(`a table size update to ${bytes} bytes of ${this.#tableLimit}`);
      }
      if (bytes <= this.#requiredBytes) this.#requiredBytes = Number.POSITIVE_INFINITY;
      this.#changed = true;
      this.#maxBytes = bytes;
      this.#makeRoom(0);
    }
    if (this.#requiredBytes !== Number.POSITIVE_INFINITY) {
      throw compressionError(
        `no table size update to ${this.#requiredBytes} bytes or less where one was due`,
      );
    }
  }

  /** RFC 7541 §6.2: a literal, whose name may be an index. */
  #readLiteral(mask: number): TableEntry {
    const index = this.#readInteger(mask);
    let name: string;
    if (index === 0) {
      name = this.#readText();
    } else {
      name = this.#entry(index).name;
      this.#listBytes += name.length;
    }
    const value = this.#readText();
    this.#count(0);
    return { name, value };
  }

  /** Counts bytes of the header list while they are unpacked; a text counts itself, and its field's 32 come here. */
  #count(bytes: number): void {
    this.#listBytes += bytes + ENTRY_OVERHEAD;
    if (this.#listBytes > this.#limits.maxHeaderListBytes) throw this.#listTooLong();
  }

  #listTooLong(): StreamError {
    const most = this.#limits.maxHeaderListBytes;
    return wireError(errorCode.ENHANCE_YOUR_CALM, `the peer sent a header list of more than ${most} bytes`);
  }

  #entry(index: number): TableEntry {
    const entry =
      index < FIRST_DYNAMIC_INDEX ? staticEntries[index] : this.#table.get(index - FIRST_DYNAMIC_INDEX);
    if (index === 0 || entry === undefined) {
      throw compressionError(`index ${index} is not in a table of ${this.#table.length} entries`);
    }
    return entry;
  }

  #insert(entry: TableEntry): void {
    const bytes = entryBytes(entry.name, entry.value);
    this.#changed = true;
    // RFC 7541 §4.4: an entry larger than the table empties it, and that is no error.
    this.#makeRoom(bytes);
    if (bytes <= this.#maxBytes) this.#table.push(entry);
  }

  #makeRoom(bytes: number): void {
    while (this.#table.length > 0 && this.#table.byteLength + bytes > this.#maxBytes) this.#table.shift();
  }

  #small(value: number): number {
    this.#at++;
    return value;
  }

  /** RFC 7541 §5.1 */
  #readInteger(mask: number): number {
    let value = (this.#block[this.#at++] as number) & mask;
    if (value < mask) return value;
    for (let count = 0, scale = 1; count < MAX_INTEGER_BYTES; count++, scale *= 128) {
      if (this.#at >= this.#end) throw compressionError('an integer is cut off');
      const byte = this.#block[this.#at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > 0x7fff_ffff) break;
        return value;
      }
    }
    throw compressionError('an integer is too large');
  }

  /** RFC 7541 §5.2 */
  #readText(): string {
    if (this.#at >= this.#end) throw compressionError('a field is cut off');
    const huffman = (this.#block[this.#at] as number) >= 0x80;
    const length = this.#readInteger(0x7f);
    const start = this.#at;
    if (length > this.#end - start) {
      throw compressionError(`a text of ${length} bytes where ${this.#end - start} are left`);
    }
    this.#at += length;
    const left = this.#limits.maxHeaderListBytes - this.#listBytes;
    if (!huffman) {
      if (length > left) throw this.#listTooLong();
      this.#listBytes += length;
      return latin1(this.#block, start, start + length);
    }
    const room = this.#room(Math.min((length * 8) / 5, left));
    const decoded = huffmanDecode(this.#block, start, start + length, room);
    if (decoded < 0) throw compressionError('a Huffman text is malformed');
    if (decoded > left) throw this.#listTooLong();
    this.#listBytes += decoded;
    return latin1(room, 0, decoded);
  }

  #room(bytes: number): Uint8Array {
    if (bytes > SCRATCH_BYTES) return new Uint8Array(bytes);
    if (this.#scratch.length === 0) this.#scratch = new Uint8Array(SCRATCH_BYTES);
    return this.#scratch;
  }

  #excess(entry: TableEntry, flatLength: number, streamId: number): StreamError | undefined {
    const limits = this.#limits;
    let what: string;
    if (flatLength >= limits.maxHeaders * 2) {
      what = `more than ${limits.maxHeaders} headers`;
    } else if (entry.name.length > limits.maxHeaderNameBytes) {
      what = `a header name of ${entry.name.length} bytes of ${limits.maxHeaderNameBytes}`;
    } else if (entry.value.length > limits.maxHeaderValueBytes) {
      what = `a header value of ${entry.value.length} bytes of ${limits.maxHeaderValueBytes}`;
    } else {
      return undefined;
    }
    return wireError(errorCode.ENHANCE_YOUR_CALM, `the peer sent ${what}`, streamId);
  }
}

function compressionError(what: string): StreamError {
  return wireError(errorCode.COMPRESSION_ERROR, `the peer's header compression is broken: ${what}`);
}

/** Not by TextDecoder, whose latin1 is windows-1252 and changes 0x80 to 0x9F. */
function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  let at = start;
  // Eight at a time is several times faster than one by one.
  for (; at + 8 <= end; at += 8) {
    text += String.fromCharCode(
      bytes[at] as number,
      bytes[at + 1] as number,
      bytes[at + 2] as number,
      bytes[at + 3] as number,
      bytes[at + 4] as number,
      bytes[at + 5] as number,
      bytes[at + 6] as number,
      bytes[at + 7] as number,
    );
  }
  for (; at < end; at++) text += String.fromCharCode(bytes[at] as number);
  return text;
}

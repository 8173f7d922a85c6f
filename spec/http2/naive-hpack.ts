/**
 * HPACK as plainly as it can be written, to compare with: one array for a table, a bit string for an integer, no
 * Huffman coding. It decodes what has no Huffman texts, and encodes every representation on demand.
 */
import { staticEntries } from '../../lib/http2/hpack-table.js';
import { join, latin1, text } from './support.js';

export type Field = readonly [name: string, value: string];

export class NaiveTable {
  /** The newest first. */
  entries: Field[] = [];
  maxBytes = 4096;

  get byteLength(): number {
    return this.entries.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
  }

  resize(bytes: number): void {
    this.maxBytes = bytes;
    while (this.byteLength > this.maxBytes) this.entries.pop();
  }

  add(field: Field): void {
    this.entries.unshift(field);
    while (this.byteLength > this.maxBytes) this.entries.pop();
  }

  /** By HPACK's index, 1 and up. */
  at(index: number): Field | undefined {
    const fixed = staticEntries.length - 1;
    if (index > fixed) return this.entries[index - fixed - 1];
    const entry = staticEntries[index];
    return entry === undefined || index === 0 ? undefined : [entry.name, entry.value];
  }

  get length(): number {
    return staticEntries.length - 1 + this.entries.length;
  }
}

export function integer(pattern: number, prefixBits: number, value: number): Uint8Array {
  const most = 2 ** prefixBits - 1;
  if (value < most) return Uint8Array.of(pattern | value);
  const bytes = [pattern | most];
  let rest = BigInt(value - most);
  for (; rest >= 128n; rest /= 128n) bytes.push(Number(rest % 128n) + 128);
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

export function plainText(value: string): Uint8Array {
  return join(integer(0, 7, value.length), latin1(value));
}

export function indexed(index: number): Uint8Array {
  return integer(0x80, 7, index);
}

export function sizeUpdate(bytes: number): Uint8Array {
  return integer(0x20, 5, bytes);
}

export type Kind = 'indexing' | 'plain' | 'never';

/** A literal whose name is an index, or 0 and then a text. */
export function literal(kind: Kind, index: number, name: string, value: string): Uint8Array {
  const [pattern, prefix] = ({ indexing: [0x40, 6], plain: [0, 4], never: [0x10, 4] } as const)[kind];
  const start = integer(pattern, prefix, index);
  return index === 0 ? join(start, plainText(name), plainText(value)) : join(start, plainText(value));
}

/** One instruction of a block, as a reader of the RFC would take it apart. Its texts must not be in Huffman code. */
export function readBlock(
  block: Uint8Array,
  table: NaiveTable,
  decodeText: (bytes: Uint8Array) => string,
): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const readInteger = (prefixBits: number): number => {
    const most = 2 ** prefixBits - 1;
    const first = (block[at++] as number) & most;
    if (first < most) return first;
    let bits = '';
    for (;;) {
      const byte = block[at++] as number;
      bits = (byte & 0x7f).toString(2).padStart(7, '0') + bits;
      if (byte < 0x80) return most + Number.parseInt(bits, 2);
    }
  };
  const readText = (): string => {
    const huffman = (block[at] as number) >= 0x80;
    const length = readInteger(7);
    const bytes = block.subarray(at, at + length);
    at += length;
    return huffman ? decodeText(bytes) : text(bytes);
  };
  while (at < block.length) {
    const first = block[at] as number;
    if (first >= 0x80) {
      fields.push(table.at(readInteger(7)) as Field);
    } else if (first >= 0x20 && first < 0x40) {
      table.resize(readInteger(5));
    } else {
      const index = readInteger(first >= 0x40 ? 6 : 4);
      const name = index === 0 ? readText() : (table.at(index) as Field)[0];
      const field: Field = [name, readText()];
      if (first >= 0x40) table.add(field);
      fields.push(field);
    }
  }
  return fields;
}

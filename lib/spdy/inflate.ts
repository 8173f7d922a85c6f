/**
 * Unpacks header blocks: all of RFC 1950 and RFC 1951, one header block at a time, synchronously, since a block that
 * waited would let later frames overtake it.
 */
import { noBytes } from '../core/bytes.js';
import { StreamError, type StreamErrorCode } from '../core/errors.js';
import { GOAWAY_PROTOCOL_ERROR } from './frames.js';

/** How far back a match may reach (RFC 1951 §3.2.5). */
const HISTORY_BYTES = 32 * 1024;
/** The buffer's first size, enough for the dictionary and some small blocks; it doubles when it is full. */
const FIRST_BUFFER_BYTES = 4 * 1024;
/** Moving the history down is worth its copy of 32 KiB from here on; below, the buffer grows. */
const MIN_SLIDE_BYTES = 16 * 1024;

const MAX_CODE_BITS = 15;
/** Codes up to this length are found by one look into a table, longer ones bit by bit. */
const ROOT_BITS = 9;
const ROOT_MASK: number = (1 << ROOT_BITS) - 1;

const END_OF_BLOCK = 256;
/** Literals, end of block and the 29 lengths; 286 and 287 exist only in the fixed code, and may not be used. */
const LITERAL_CODES = 286;
const DISTANCE_CODES = 30;

/**
 * Lengths and distances (RFC 1951 §3.2.5): how many extra bits follow each symbol, and what they are added to, which
 * is where the symbol before it left off. The symbols that may not be used are here too, so that a look-up finds
 * something.
 */
const lengthExtra: Uint8Array = Uint8Array.from({ length: 31 }, (_, i) =>
  i < 8 || i > 27 ? 0 : (i >> 2) - 1,
);
const lengthBase: Uint16Array = basesOf(3, lengthExtra);
/** The one exception: 258 has a symbol of its own, the last. */
lengthBase[28] = 258;
const distanceExtra: Uint8Array = Uint8Array.from({ length: 32 }, (_, i) =>
  i < 4 || i > 29 ? 0 : (i >> 1) - 1,
);
const distanceBase: Uint16Array = basesOf(1, distanceExtra);

function basesOf(first: number, extra: Uint8Array): Uint16Array {
  let next = first;
  return Uint16Array.from(extra, (bits) => {
    const base = next;
    next += 1 << bits;
    return base;
  });
}

/** The order in which the lengths of the code length code are sent (RFC 1951 §3.2.7). */
const lengthOrder: readonly number[] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

function fail(message: string, code: StreamErrorCode = 'protocol'): never {
  throw new StreamError(code, `header block: ${message}`, { remote: true, wireCode: GOAWAY_PROTOCOL_ERROR });
}

/** The checksum of RFC 1950 §8.2; `seed` is the checksum of what came before. */
export function adler32(bytes: Uint8Array, seed = 1): number {
  let a = seed & 0xffff;
  let b = seed >>> 16;
  for (let at = 0; at < bytes.length; ) {
    // 3,800 additions stay below 2^31 in `b`, so the remainder is needed only so often.
    const stop = Math.min(at + 3800, bytes.length);
    while (at < stop) {
      a += bytes[at++] as number;
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return ((b << 16) | a) >>> 0;
}

/** One Huffman code (RFC 1951 §3.2.2). Built again for each dynamic block, in place. */
class HuffmanCode {
  /** By the next ROOT_BITS bits: symbol << 4 | length, or 0 where the code is longer or there is none. */
  readonly root: Uint16Array = new Uint16Array(1 << ROOT_BITS);
  /** How many codes each length has. */
  readonly #counts: Uint16Array = new Uint16Array(MAX_CODE_BITS + 1);
  /** The symbols in the order of their codes. */
  readonly #symbols: Uint16Array;
  readonly #next: Uint16Array = new Uint16Array(MAX_CODE_BITS + 2);

  constructor(symbols: number) {
    this.#symbols = new Uint16Array(symbols);
  }

  /**
   * Takes the code lengths `lengths[from..to)`. False if they make no code that zlib would take: more codes than
   * there is room for, or fewer, save that `allowSingle` lets a lone code of one bit, or none at all, pass.
   */
  build(lengths: Uint8Array, from: number, to: number, allowSingle: boolean): boolean {
    const counts = this.#counts.fill(0);
    for (let i = from; i < to; i++) (counts[lengths[i] as number] as number)++;
    counts[0] = 0;

    let left = 1;
    let longest = 0;
    for (let bits = 1; bits <= MAX_CODE_BITS; bits++) {
      const count = counts[bits] as number;
      left = left * 2 - count;
      if (left < 0) return false;
      if (count > 0) longest = bits;
    }
    if (left > 0 && !(allowSingle && longest <= 1)) return false;

    const next = this.#next;
    next[1] = 0;
    for (let bits = 1; bits <= MAX_CODE_BITS; bits++) {
      next[bits + 1] = (next[bits] as number) + (counts[bits] as number);
    }
    for (let i = from; i < to; i++) {
      const bits = lengths[i] as number;
      if (bits > 0) this.#symbols[(next[bits] as number)++] = i - from;
    }
    this.#fillRoot();
    return true;
  }

  /**
   * Codes are sent first bit first, numbers last bit first (RFC 1951 §3.1.1): the table is indexed by codes in
   * reverse, so counting up starts at their highest bit. A code that gets one bit longer stays the same number.
   */
  #fillRoot(): void {
    const root = this.root;
    const symbols = this.#symbols;
    let index = 0;
    let reversed = 0;
    root[0] = 0;
    for (let bits = 1; bits <= ROOT_BITS; bits++) {
      const top = 1 << (bits - 1);
      root.copyWithin(top, 0, top);
      for (let n = this.#counts[bits] as number; n > 0; n--) {
        root[reversed] = ((symbols[index++] as number) << 4) | bits;
        let carry = top;
        while ((reversed & carry) !== 0) carry >>= 1;
        // A carry out of the last bit means that the code is complete.
        reversed = carry === 0 ? 0 : (reversed & (carry - 1)) | carry;
      }
    }
  }

  /** The entry for a code that `root` has not, or for which bits may be missing. */
  find(hold: number, available: number): number {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let bits = 1; bits <= MAX_CODE_BITS; bits++) {
      if (bits > available) fail('ends in the middle of a code');
      code |= (hold >>> (bits - 1)) & 1;
      const count = this.#counts[bits] as number;
      if (code - first < count) return ((this.#symbols[index + code - first] as number) << 4) | bits;
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    return fail('has a code that stands for nothing');
  }
}

/** The code lengths of RFC 1951 §3.2.6. */
function fixedCodes(): readonly [HuffmanCode, HuffmanCode] {
  const lengths = new Uint8Array(288 + 32).fill(8).fill(9, 144, 256).fill(7, 256, 280).fill(5, 288);
  const literals = new HuffmanCode(288);
  const distances = new HuffmanCode(32);
  literals.build(lengths, 0, 288, false);
  distances.build(lengths, 288, 320, false);
  return [literals, distances];
}

const [fixedLiterals, fixedDistances] = fixedCodes();

/** What only dynamic blocks need; a peer that sends none, such as our own encoder, does not cost it. */
class DynamicCodes {
  readonly lengthCode: HuffmanCode = new HuffmanCode(19);
  readonly literals: HuffmanCode = new HuffmanCode(LITERAL_CODES);
  readonly distances: HuffmanCode = new HuffmanCode(DISTANCE_CODES);
  readonly lengths: Uint8Array = new Uint8Array(LITERAL_CODES + DISTANCE_CODES);
}

/**
 * The receiving end of a connection's compression context. Give it every header block of that connection, in order,
 * those of dead and refused streams too: each may refer to up to 32 KiB of what came before it.
 *
 * It throws a `StreamError` for whatever is not valid, and for a block over the limit. Either way the context is
 * lost, so the connection must end; from then on every call throws the same error.
 */
export class Inflate {
  readonly #dictionary: Uint8Array | undefined;
  #failure: unknown;
  #opened = false;
  #final = false;
  #checksum = 1;
  #dynamic: DynamicCodes | undefined;

  /** History, then the output of the block at hand; at most 32 + 16 KiB and one block's limit. */
  #buffer: Uint8Array = noBytes;
  /** Where the output of the block at hand starts. */
  #start = 0;
  /** Where the next byte of output goes. */
  #end = 0;
  /** What `#end` may become. */
  #limit = 0;

  #input: Uint8Array = noBytes;
  #at = 0;
  /** Bits taken from the input and not used yet, the next one lowest; never more than 30. */
  #hold = 0;
  #bits = 0;

  /** The dictionary is used only if the peer says so. */
  constructor(dictionary?: Uint8Array) {
    this.#dictionary = dictionary;
  }

  /**
   * What a header block unpacks to: a view that the next call overwrites. The block has to end where a sync flush
   * or the stream itself ends (SPDY §2.6.10.1). Work and memory stop at `maxBytes` of output; nothing is allocated
   * for bytes that are not there.
   */
  inflate(block: Uint8Array, maxBytes: number): Uint8Array {
    if (this.#failure !== undefined) throw this.#failure;
    this.#input = block;
    this.#at = 0;
    this.#start = this.#end;
    this.#limit = this.#start + maxBytes;
    try {
      return this.#run(maxBytes);
    } catch (error) {
      this.#failure = error;
      this.#buffer = noBytes;
      throw error;
    } finally {
      this.#input = noBytes;
    }
  }

  #run(maxBytes: number): Uint8Array {
    if (this.#input.length === 0) return noBytes;
    if (this.#final) fail('comes after the end of the zlib stream');
    if (!this.#opened) this.#open(maxBytes);
    do this.#block();
    while (!this.#final && (this.#at < this.#input.length || this.#bits > 0));
    const output = this.#buffer.subarray(this.#start, this.#end);
    this.#checksum = adler32(output, this.#checksum);
    if (this.#final) this.#close();
    return output;
  }

  /** The zlib header (RFC 1950 §2.2). */
  #open(maxBytes: number): void {
    const method = this.#take(8);
    const flags = this.#take(8);
    if ((method & 0x0f) !== 8 || method >> 4 > 7 || ((method << 8) | flags) % 31 !== 0) {
      fail(`has no zlib header but ${method}, ${flags}`);
    }
    this.#buffer = new Uint8Array(FIRST_BUFFER_BYTES);
    if ((flags & 0x20) !== 0) {
      const id = this.#takeWord();
      const dictionary = this.#dictionary?.subarray(-HISTORY_BYTES);
      if (dictionary === undefined || id !== adler32(this.#dictionary as Uint8Array)) {
        fail(`wants the unknown dictionary ${id.toString(16)}`);
      }
      if (dictionary.length > FIRST_BUFFER_BYTES) this.#buffer = new Uint8Array(dictionary.length);
      this.#buffer.set(dictionary);
      this.#start = this.#end = dictionary.length;
      this.#limit = this.#start + maxBytes;
    }
    this.#opened = true;
  }

  /** The end of the zlib stream (RFC 1950 §2.2): a checksum, and nothing after it. */
  #close(): void {
    this.#align();
    if (this.#takeWord() !== this.#checksum) fail('ends the zlib stream with a wrong checksum');
    if (this.#at < this.#input.length) fail('goes on after the end of the zlib stream');
    this.#buffer = noBytes;
  }

  /** One deflate block (RFC 1951 §3.2.3). */
  #block(): void {
    this.#final = this.#take(1) === 1;
    const type = this.#take(2);
    if (type === 0) this.#stored();
    else if (type === 1) this.#compressed(fixedLiterals, fixedDistances);
    else if (type === 2) this.#dynamicBlock();
    else fail('has a deflate block of type 3');
  }

  /** RFC 1951 §3.2.4. */
  #stored(): void {
    this.#align();
    const length = this.#take(16);
    if ((length ^ this.#take(16)) !== 0xffff) {
      fail(`has a stored block of ${length} bytes with a wrong complement`);
    }
    // No bits are held here: `#take` gets no more bytes than it needs.
    const stop = this.#at + length;
    if (stop > this.#input.length) {
      fail(`ends ${stop - this.#input.length} bytes before its stored block of ${length}`);
    }
    this.#reserve(length);
    this.#buffer.set(this.#input.subarray(this.#at, stop), this.#end);
    this.#end += length;
    this.#at = stop;
  }

  /** RFC 1951 §3.2.7. */
  #dynamicBlock(): void {
    this.#dynamic ??= new DynamicCodes();
    const { lengthCode, literals, distances, lengths } = this.#dynamic;
    const literalCount = this.#take(5) + 257;
    const distanceCount = this.#take(5) + 1;
    const lengthCount = this.#take(4) + 4;
    if (literalCount > LITERAL_CODES || distanceCount > DISTANCE_CODES) {
      fail(`has codes for ${literalCount} literals and ${distanceCount} distances`);
    }
    lengths.fill(0, 0, 19);
    for (let i = 0; i < lengthCount; i++) lengths[lengthOrder[i] as number] = this.#take(3);
    if (!lengthCode.build(lengths, 0, 19, false)) fail('has code lengths for code lengths that make no code');

    const total = literalCount + distanceCount;
    for (let i = 0; i < total; ) {
      const symbol = this.#symbol(lengthCode);
      if (symbol < 16) {
        lengths[i++] = symbol;
        continue;
      }
      if (symbol === 16 && i === 0) fail('repeats a code length before there is one');
      const value = symbol === 16 ? (lengths[i - 1] as number) : 0;
      const times =
        symbol === 16 ? 3 + this.#take(2) : symbol === 17 ? 3 + this.#take(3) : 11 + this.#take(7);
      if (i + times > total) fail('has more code lengths than codes');
      lengths.fill(value, i, i + times);
      i += times;
    }
    if (lengths[END_OF_BLOCK] === 0) fail('has no code for the end of the block');
    if (!literals.build(lengths, 0, literalCount, true)) fail('has literal lengths that make no code');
    if (!distances.build(lengths, literalCount, total, true)) fail('has distance lengths that make no code');
    this.#compressed(literals, distances);
  }

  /** The symbols of a compressed block (RFC 1951 §3.2.3): the loop that all the time goes into. */
  #compressed(literals: HuffmanCode, distances: HuffmanCode): void {
    const input = this.#input;
    const literalRoot = literals.root;
    const distanceRoot = distances.root;
    let buffer = this.#buffer;
    let room = Math.min(buffer.length, this.#limit);
    let end = this.#end;
    let at = this.#at;
    let hold = this.#hold;
    let bits = this.#bits;
    for (;;) {
      // 23 bits are enough for a length's code and extra bits (20), and 30 leave `hold` a small positive number.
      while (bits < 23 && at < input.length) {
        hold |= (input[at++] as number) << bits;
        bits += 8;
      }
      let entry = literalRoot[hold & ROOT_MASK] as number;
      if (entry === 0 || (entry & 15) > bits) entry = literals.find(hold, bits);
      hold >>>= entry & 15;
      bits -= entry & 15;
      const symbol = entry >> 4;

      if (symbol < END_OF_BLOCK) {
        if (end === room) {
          this.#end = end;
          this.#reserve(1);
          ({ buffer, end, room } = this.#place());
        }
        buffer[end++] = symbol;
        continue;
      }
      if (symbol === END_OF_BLOCK) break;

      let extra = lengthExtra[symbol - 257] as number;
      if (extra > bits) fail('ends in the middle of a length');
      const length = (lengthBase[symbol - 257] as number) + (hold & ((1 << extra) - 1));
      if (symbol >= LITERAL_CODES) fail(`has the length code ${symbol}`);
      hold >>>= extra;
      bits -= extra;

      while (bits < 23 && at < input.length) {
        hold |= (input[at++] as number) << bits;
        bits += 8;
      }
      entry = distanceRoot[hold & ROOT_MASK] as number;
      if (entry === 0 || (entry & 15) > bits) entry = distances.find(hold, bits);
      hold >>>= entry & 15;
      bits -= entry & 15;
      // A code of 15 bits leaves too few for the 13 extra ones.
      while (bits < 13 && at < input.length) {
        hold |= (input[at++] as number) << bits;
        bits += 8;
      }
      extra = distanceExtra[entry >> 4] as number;
      if (extra > bits) fail('ends in the middle of a distance');
      const distance = (distanceBase[entry >> 4] as number) + (hold & ((1 << extra) - 1));
      if (entry >> 4 >= DISTANCE_CODES) fail(`has the distance code ${entry >> 4}`);
      hold >>>= extra;
      bits -= extra;

      if (distance > end) fail(`reaches back ${distance} bytes, with ${end} there`);
      if (end + length > room) {
        this.#end = end;
        this.#reserve(length);
        ({ buffer, end, room } = this.#place());
      }
      // Byte by byte: where the distance is the smaller, the match repeats what it writes.
      for (let from = end - distance, stop = end + length; end < stop; )
        buffer[end++] = buffer[from++] as number;
    }
    this.#end = end;
    this.#at = at;
    this.#hold = hold;
    this.#bits = bits;
    // Give back the bytes that were read ahead: what follows may be a stored block, or the end.
    this.#at -= bits >> 3;
    this.#bits = bits & 7;
    this.#hold = hold & ((1 << this.#bits) - 1);
  }

  /** What `#reserve` may have changed. */
  #place(): { buffer: Uint8Array; end: number; room: number } {
    return { buffer: this.#buffer, end: this.#end, room: Math.min(this.#buffer.length, this.#limit) };
  }

  /** Makes room for so many bytes of output, which are certain to come; throws before that if they are too many. */
  #reserve(bytes: number): void {
    if (this.#end + bytes > this.#limit) {
      fail(`unpacks to more than ${this.#limit - this.#start} bytes`, 'limit');
    }
    if (this.#end + bytes <= this.#buffer.length) return;
    const surplus = this.#start - HISTORY_BYTES;
    if (surplus >= MIN_SLIDE_BYTES) {
      this.#buffer.copyWithin(0, surplus, this.#end);
      this.#start -= surplus;
      this.#end -= surplus;
      this.#limit -= surplus;
      if (this.#end + bytes <= this.#buffer.length) return;
    }
    const doubled = Math.min(this.#buffer.length * 2, this.#limit);
    const grown = new Uint8Array(Math.max(doubled, this.#end + bytes));
    grown.set(this.#buffer.subarray(0, this.#end));
    this.#buffer = grown;
  }

  /** The next bits, at most 16, outside of the hot loop. */
  #take(count: number): number {
    this.#fill(count);
    if (this.#bits < count) fail('ends too early');
    const value = this.#hold & ((1 << count) - 1);
    this.#hold >>>= count;
    this.#bits -= count;
    return value;
  }

  /** The next four bytes, highest first, as only zlib's own fields have them. */
  #takeWord(): number {
    const high = (this.#take(8) << 8) | this.#take(8);
    return ((high << 16) | (this.#take(8) << 8) | this.#take(8)) >>> 0;
  }

  #symbol(code: HuffmanCode): number {
    this.#fill(MAX_CODE_BITS);
    let entry = code.root[this.#hold & ROOT_MASK] as number;
    if (entry === 0 || (entry & 15) > this.#bits) entry = code.find(this.#hold, this.#bits);
    this.#hold >>>= entry & 15;
    this.#bits -= entry & 15;
    return entry >> 4;
  }

  #fill(count: number): void {
    while (this.#bits < count && this.#at < this.#input.length) {
      this.#hold |= (this.#input[this.#at++] as number) << this.#bits;
      this.#bits += 8;
    }
  }

  /** On to the next whole byte. */
  #align(): void {
    this.#at -= this.#bits >> 3;
    this.#hold = 0;
    this.#bits = 0;
  }
}

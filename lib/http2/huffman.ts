/**
 * The Huffman code of HPACK (RFC 7541 Appendix B), both ways, for texts of one byte per character.
 *
 * The code is canonical: codes of one length are consecutive and ordered by symbol, and each length goes on where the
 * one before it stopped. So the lengths alone say everything.
 */

/** End of string: 30 ones, never sent, and the source of the padding (RFC 7541 §5.2). */
const EOS = 256;

const LONGEST = 30;

/** The length of each symbol's code in base 36, 0 to 255 and then EOS. */
const lengths: Uint8Array = Uint8Array.from(
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6' +
    'f56565666577666567655677777fbedskmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn' +
    'qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu',
  (digit) => Number.parseInt(digit, 36),
);

const codes = new Uint32Array(EOS + 1);

/** Symbols by code; those of one length start at `firstAt`, and the first of them has the code `firstCode`. */
const ordered = new Uint16Array(EOS + 1);
const firstAt = new Uint16Array(LONGEST + 2);
const firstCode = new Uint32Array(LONGEST + 2);

/** Covers every code that a letter, digit or common sign has, in 2 KiB. */
const ROOT_BITS = 10;

/** By the next ten bits: the symbol times 16, plus the length of its code; 0 where the code is longer. */
const root = new Uint16Array(1 << ROOT_BITS);

for (let length = 1, code = 0, at = 0; length <= LONGEST; length++, code <<= 1) {
  firstAt[length] = at;
  firstCode[length] = code;
  for (let symbol = 0; symbol <= EOS; symbol++) {
    if (lengths[symbol] !== length) continue;
    if (length <= ROOT_BITS) {
      const spare = ROOT_BITS - length;
      root.fill((symbol << 4) | length, code << spare, (code + 1) << spare);
    }
    codes[symbol] = code++;
    ordered[at++] = symbol;
  }
  firstAt[length + 1] = at;
}

/** How many bytes a text takes when encoded. A character above U+00FF is the caller's mistake, and throws. */
export function huffmanByteLength(text: string): number {
  let bits = 0;
  let seen = 0;
  for (let at = 0; at < text.length; at++) {
    const symbol = text.charCodeAt(at);
    seen |= symbol;
    bits += lengths[symbol & 0xff] as number;
  }
  if (seen > 0xff) throw new RangeError('a header can only have characters up to U+00FF');
  return (bits + 7) >>> 3;
}

/** Writes a text that `huffmanByteLength` has accepted, with its padding; gives the offset behind it. */
export function huffmanEncode(text: string, out: Uint8Array, offset: number): number {
  let at = offset;
  let pending = 0;
  let bits = 0;
  for (let index = 0; index < text.length; index++) {
    const symbol = text.charCodeAt(index) & 0xff;
    const code = codes[symbol] as number;
    let length = lengths[symbol] as number;
    // Up to 7 bits wait and 32 fit: a code of more than 24 bits goes in two pieces.
    if (length > 24) {
      length -= 16;
      pending = (pending << length) | (code >>> 16);
      bits += length;
      while (bits >= 8) {
        bits -= 8;
        out[at++] = pending >>> bits;
      }
      pending = (pending << 16) | (code & 0xffff);
      bits += 16;
    } else {
      pending = (pending << length) | code;
      bits += length;
    }
    while (bits >= 8) {
      bits -= 8;
      out[at++] = pending >>> bits;
    }
  }
  if (bits > 0) out[at++] = (pending << (8 - bits)) | (0xff >>> bits);
  return at;
}

/**
 * Decodes `input` from `start` to `end` and gives the number of bytes it stands for, or -1 if it is no valid encoding
 * (RFC 7541 §5.2: EOS, padding of 8 bits or more, padding that is not all ones). What does not fit into `out` is
 * counted and left out. The result is at most 8/5 of the input.
 */
export function huffmanDecode(input: Uint8Array, start: number, end: number, out: Uint8Array): number {
  let at = start;
  let pending = 0;
  let bits = 0;
  let written = 0;
  for (;;) {
    while (bits <= 24 && at < end) {
      pending = (pending << 8) | (input[at++] as number);
      bits += 8;
    }
    if (bits < ROOT_BITS) break;
    do {
      const entry = root[(pending >>> (bits - ROOT_BITS)) & (root.length - 1)] as number;
      if (entry === 0) {
        const position = (at - start) * 8 - bits;
        const symbol = longSymbol(input, start, end, position);
        if (symbol < 0) return -1;
        out[written++] = symbol;
        const next = position + (lengths[symbol] as number);
        at = start + (next >>> 3);
        bits = 0;
        if ((next & 7) !== 0) {
          pending = input[at++] as number;
          bits = 8 - (next & 7);
        }
        break;
      }
      out[written++] = entry >>> 4;
      bits -= entry & 15;
    } while (bits >= ROOT_BITS);
  }
  while (bits > 0) {
    const missing = ROOT_BITS - bits;
    const entry = root[((pending << missing) | ((1 << missing) - 1)) & (root.length - 1)] as number;
    const length = entry & 15;
    if (entry === 0 || length > bits) break;
    out[written++] = entry >>> 4;
    bits -= length;
  }
  const ones = (1 << bits) - 1;
  return bits < 8 && (pending & ones) === ones ? written : -1;
}

/** The symbol at a bit whose code has more than `ROOT_BITS`, or -1 if that is EOS or goes on behind `end`. */
function longSymbol(input: Uint8Array, start: number, end: number, position: number): number {
  const byte = start + (position >>> 3);
  const shift = position & 7;
  let window = 0;
  for (let index = 0; index < 4; index++) window = (window << 8) | (input[byte + index] as number);
  // Bytes behind the input count as zeros, and a code that would need them is refused below.
  const bits = ((window << shift) | ((input[byte + 4] as number) >>> (8 - shift))) >>> (32 - LONGEST);
  // Some length fits, since the code leaves no bits unused.
  for (let length = ROOT_BITS + 1; ; length++) {
    const index = (bits >>> (LONGEST - length)) - (firstCode[length] as number) + (firstAt[length] as number);
    if (index >= (firstAt[length + 1] as number)) continue;
    const symbol = ordered[index] as number;
    return symbol === EOS || position + length > (end - start) * 8 ? -1 : symbol;
  }
}

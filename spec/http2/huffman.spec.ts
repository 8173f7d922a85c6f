import fc from 'fast-check';
import { huffmanByteLength, huffmanDecode, huffmanEncode } from '../../lib/http2/huffman.js';
import { hex, join, text } from './support.js';

function encode(value: string): Uint8Array {
  const out = new Uint8Array(huffmanByteLength(value));
  if (huffmanEncode(value, out, 0) !== out.length) throw new Error(`not the length announced: ${value}`);
  return out;
}

function decode(bytes: Uint8Array): string | undefined {
  const out = new Uint8Array(Math.ceil((bytes.length * 8) / 5));
  const length = huffmanDecode(bytes, 0, bytes.length, out);
  return length < 0 ? undefined : text(out.subarray(0, length));
}

/** Bits as text to bytes, filled up with ones. */
function bits(value: string): Uint8Array {
  const padded = value.padEnd(Math.ceil(value.length / 8) * 8, '1');
  return Uint8Array.from(padded.match(/.{8}/g) ?? [], (byte) => Number.parseInt(byte, 2));
}

/** From RFC 7541 Appendix B: a symbol of each length of code, the first and the last of those with several. */
const golden: readonly (readonly [symbol: number, code: number, length: number])[] = [
  [48, 0x0, 5],
  [116, 0x9, 5],
  [32, 0x14, 6],
  [117, 0x2d, 6],
  [58, 0x5c, 7],
  [122, 0x7b, 7],
  [38, 0xf8, 8],
  [90, 0xfd, 8],
  [33, 0x3f8, 10],
  [63, 0x3fc, 10],
  [39, 0x7fa, 11],
  [124, 0x7fc, 11],
  [35, 0xffa, 12],
  [62, 0xffb, 12],
  [0, 0x1ff8, 13],
  [126, 0x1ffd, 13],
  [94, 0x3ffc, 14],
  [125, 0x3ffd, 14],
  [60, 0x7ffc, 15],
  [123, 0x7ffe, 15],
  [92, 0x7fff0, 19],
  [208, 0x7fff2, 19],
  [128, 0xfffe6, 20],
  [226, 0xfffed, 20],
  [153, 0x1fffdc, 21],
  [229, 0x1fffe7, 21],
  [129, 0x3fffd2, 22],
  [228, 0x3fffe9, 22],
  [1, 0x7fffd8, 23],
  [239, 0x7ffff4, 23],
  [9, 0xffffea, 24],
  [237, 0xfffff5, 24],
  [199, 0x1ffffec, 25],
  [235, 0x1ffffef, 25],
  [192, 0x3ffffe0, 26],
  [255, 0x3ffffee, 26],
  [203, 0x7ffffde, 27],
  [254, 0x7fffff0, 27],
  [2, 0xfffffe2, 28],
  [249, 0xffffffe, 28],
  [10, 0x3ffffffc, 30],
  [22, 0x3ffffffe, 30],
];

const EOS = '1'.repeat(30);

describe('RFC 7541 Appendix B: the code', () => {
  it.each(golden)('has symbol %i as %i in %i bits', (symbol, code, length) => {
    const expected = bits(code.toString(2).padStart(length, '0'));
    expect(encode(String.fromCharCode(symbol))).toEqual(expected);
    expect(decode(expected)).toBe(String.fromCharCode(symbol));
  });

  it('is complete: its 256 symbols and EOS leave no bits unused', () => {
    let sum = 2 ** -30;
    for (let symbol = 0; symbol < 256; symbol++) {
      sum += 2 ** -bitLength(String.fromCharCode(symbol));
    }
    expect(sum).toBe(1);
  });

  it('gives every pair of symbols back', () => {
    for (let first = 0; first < 256; first++) {
      for (let second = 0; second < 256; second++) {
        const pair = String.fromCharCode(first, second);
        if (decode(encode(pair)) !== pair) throw new Error(`${first}, ${second}`);
      }
    }
  });

  it.each([
    ['www.example.com', 'f1e3 c2e5 f23a 6ba0 ab90 f4ff'],
    ['no-cache', 'a8eb 1064 9cbf'],
    ['custom-key', '25a8 49e9 5ba9 7d7f'],
    ['custom-value', '25a8 49e9 5bb8 e8b4 bf'],
    ['Mon, 21 Oct 2013 20:13:21 GMT', 'd07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff'],
    [
      'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
      '94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
    ],
  ])('has %s as RFC 7541 Appendix C does', (value, encoded) => {
    expect(encode(value)).toEqual(hex(encoded));
    expect(decode(hex(encoded))).toBe(value);
  });

  it('gives any text back, at any place in a larger buffer', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(7), (bytes, before) => {
        const value = text(bytes);
        const length = huffmanByteLength(value);
        const out = new Uint8Array(before + length + 9).fill(0xaa);
        expect(huffmanEncode(value, out, before)).toBe(before + length);
        expect(out.subarray(before + length)).toEqual(new Uint8Array(9).fill(0xaa));
        const decoded = new Uint8Array(bytes.length);
        expect(huffmanDecode(out, before, before + length, decoded)).toBe(bytes.length);
        expect(decoded).toEqual(bytes);
      }),
    );
  });

  it('agrees with a decoder that goes bit by bit', () => {
    const symbols = new Map<string, number>();
    for (let symbol = 0; symbol < 256; symbol++) {
      const length = bitLength(String.fromCharCode(symbol));
      symbols.set(binary(encode(String.fromCharCode(symbol))).slice(0, length), symbol);
    }
    const naive = (bytes: Uint8Array): string | undefined => {
      let result = '';
      let code = '';
      for (const bit of binary(bytes)) {
        code += bit;
        if (code === EOS) return undefined;
        const symbol = symbols.get(code);
        if (symbol === undefined) continue;
        result += String.fromCharCode(symbol);
        code = '';
      }
      return code.length < 8 && !code.includes('0') ? result : undefined;
    };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), fc.boolean(), (bytes, high) => {
        // Long codes start with many ones.
        const input = high ? bytes.map((byte, at) => (at % 3 === 2 ? byte : byte | 0xfc)) : bytes;
        expect(decode(input)).toBe(naive(input));
      }),
      { numRuns: 2000 },
    );
  });
});

function binary(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('');
}

describe('RFC 7541 §5.2: what is no valid encoding', () => {
  it('takes no bytes for no text', () => {
    expect(decode(hex(''))).toBe('');
  });

  it.each([
    [1, 'z'],
    [2, '-'],
    [3, '0'],
    [4, '#'],
    [5, "'"],
    [6, '!'],
    [7, '0--'],
  ])('takes padding of %i ones', (padding, value) => {
    expect((8 - (bitLength(value) % 8)) % 8).toBe(padding);
    expect(decode(encode(value))).toBe(value);
    expect(decode(join(encode(value), hex('ff')))).toBeUndefined();
    const withZero = encode(value);
    withZero[withZero.length - 1] = (withZero.at(-1) ?? 0) & 0xfe;
    expect(decode(withZero)).toBeUndefined();
  });

  it.each([
    ['eight ones alone', 'ff'],
    ['a whole byte of padding behind a symbol that ends on a byte', 'f8ff'],
    ['more than seven ones behind a symbol', '07ff'],
    ['padding of zeros', '00'],
    ['padding with one zero in it', '0e'],
    ['EOS', 'fffffffc'],
    ['EOS in full, with its padding', 'ffffffff'],
    ['EOS between symbols', '07ffffffe0'],
    ['a long code that is cut off', 'fffffe'],
    ['a code of 30 bits, six of them missing', 'ffffff'],
  ])('refuses %s', (_name, encoded) => {
    expect(decode(hex(encoded))).toBeUndefined();
  });

  it('does not read behind the end, even where the rest of the code follows', () => {
    const bytes = encode('\n');
    expect(bytes.length).toBe(4);
    expect(huffmanDecode(bytes, 0, 3, new Uint8Array(8))).toBe(-1);
    expect(huffmanDecode(join(bytes, bytes), 0, 4, new Uint8Array(8))).toBe(1);
  });

  it('counts what does not fit, and leaves it out', () => {
    const bytes = encode('0123456789');
    const out = new Uint8Array(4);
    expect(huffmanDecode(bytes, 0, bytes.length, out)).toBe(10);
    expect(text(out)).toBe('0123');
  });

  it('has no code for a character above U+00FF', () => {
    expect(() => huffmanByteLength('snow ☃')).toThrow(RangeError);
  });
});

/** Eight times a text ends on a whole byte, so that its length is exact. */
function bitLength(value: string): number {
  return huffmanByteLength(value.repeat(8));
}

/** The little of ASN.1's Distinguished Encoding Rules (X.690) that a certificate needs. */
const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  sequence: 0x30,
  set: 0x31,
} as const;

/** A value with its tag and length; several pieces are put together. A number is a tag of its own (`[0]` is 0xa0). */
export function der(tag: keyof typeof tags | number, ...pieces: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(pieces);
  const number = typeof tag === 'number' ? tag : tags[tag];
  return Buffer.concat([Uint8Array.of(number, ...lengthOf(content.byteLength)), content]);
}

/** Below 128 the length itself; else how many bytes it has, then those (X.690 §8.1.3). */
function lengthOf(bytes: number): number[] {
  if (bytes < 0x80) return [bytes];
  const digits: number[] = [];
  for (let rest = bytes; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  return [0x80 | digits.length, ...digits];
}

export function derText(tag: 'utf8String' | 'utcTime' | number, text: string): Uint8Array {
  return der(tag, Buffer.from(text));
}

/** `2.5.29.17`: the first two numbers share a byte, the others have seven bits in each (X.690 §8.19). */
export function derObjectId(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...others] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const number of others) {
    const digits = [number & 0x7f];
    for (let rest = number >> 7; rest > 0; rest >>= 7) digits.unshift((rest & 0x7f) | 0x80);
    bytes.push(...digits);
  }
  return der('objectId', Uint8Array.from(bytes));
}

/** Two digits each for year, month, day, hour, minute and second, in UTC (X.690 §11.8). */
export function derTime(time: Date): Uint8Array {
  return derText('utcTime', `${time.toISOString().slice(2, 19).replace(/\D/g, '')}Z`);
}

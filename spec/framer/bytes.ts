/** The Simple Framer's bytes, written and read by hand from SPEC.md: nothing here is shared with the codec. */

export type Headers = readonly (readonly [name: string, value: string])[];

/** SPEC §2. */
export const T = {
  SETTINGS: 0,
  OPEN: 1,
  ACCEPT: 2,
  REFUSE: 3,
  DATA: 4,
  CREDIT: 5,
  TRAILERS: 6,
  STOP: 7,
  RESET: 8,
  PING: 9,
  PONG: 10,
  GOAWAY: 11,
} as const;

export const names: readonly string[] = Object.keys(T);

export const END = 1;

/** SPEC §6. */
export const code = {
  'no-error': 0,
  'protocol-error': 1,
  'internal-error': 2,
  'flow-control': 3,
  refused: 4,
  cancel: 5,
  overflow: 6,
  limit: 7,
  timeout: 8,
  calm: 9,
} as const;

/** Bytes from hexadecimal text; blanks are for the reader. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(text.replace(/\s+/g, '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.byteLength;
  }
  return result;
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function u8(value: number): Uint8Array {
  return Uint8Array.of(value);
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value);
}

export function u32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

export function text(value: string): Uint8Array {
  const bytes = utf8(value);
  return join(u16(bytes.byteLength), bytes);
}

export function block(headers: Headers = []): Uint8Array {
  const pairs = join(...headers.flatMap(([name, value]) => [text(name), text(value)]));
  return join(u16(pairs.byteLength), pairs);
}

/** A frame's eight bytes, whatever follows. */
export function header(type: number, id: number, length: number, flags = 0): Uint8Array {
  return join(u32(((((type << 3) | flags) << 24) | length) >>> 0), u32(id));
}

export function frame(
  type: number,
  id: number,
  payload: Uint8Array = new Uint8Array(0),
  flags = 0,
): Uint8Array {
  return join(header(type, id, payload.byteLength, flags), payload);
}

const nothing: Uint8Array = new Uint8Array(0);

export const preface: Uint8Array = hex('72786d75782f310a');

export function settings(entries: readonly (readonly [id: number, value: number])[]): Uint8Array {
  return frame(T.SETTINGS, 0, join(...entries.flatMap(([id, value]) => [u16(id), u32(value)])));
}

export const role = { client: 1, server: 2 } as const;

/** What an end says first: its role, and the windows it gives. */
export function hello(who: 'client' | 'server', window = 262_144, connection = 1_048_576): Uint8Array {
  return join(
    preface,
    settings([
      [1, role[who]],
      [2, window],
      [3, connection],
      [4, 65_536],
    ]),
  );
}

export const open = (
  id: number,
  headers: Headers = [],
  data: Uint8Array = nothing,
  flags = 0,
  urgency = 3,
): Uint8Array => frame(T.OPEN, id, join(u8(urgency), block(headers), data), flags);
export const accept = (
  id: number,
  headers: Headers = [],
  data: Uint8Array = nothing,
  flags = 0,
): Uint8Array => frame(T.ACCEPT, id, join(block(headers), data), flags);
export const refuse = (id: number, why: number, reason = '', headers: Headers = []): Uint8Array =>
  frame(T.REFUSE, id, join(u32(why), text(reason), block(headers)));
export const data = (id: number, bytes: Uint8Array, flags = 0): Uint8Array => frame(T.DATA, id, bytes, flags);
export const credit = (id: number, bytes: number): Uint8Array => frame(T.CREDIT, id, u32(bytes));
export const trailers = (id: number, headers: Headers = []): Uint8Array =>
  frame(T.TRAILERS, id, block(headers));
export const stop = (id: number, why: number): Uint8Array => frame(T.STOP, id, u32(why));
export const reset = (id: number, why: number, reason = ''): Uint8Array =>
  frame(T.RESET, id, join(u32(why), text(reason)));
export const ping = (payload: Uint8Array = new Uint8Array(8)): Uint8Array => frame(T.PING, 0, payload);
export const pong = (payload: Uint8Array = new Uint8Array(8)): Uint8Array => frame(T.PONG, 0, payload);
export const goAway = (last: number, why = 0, reason = ''): Uint8Array =>
  frame(T.GOAWAY, 0, join(u32(last), u32(why), text(reason)));

/** A frame as it stands on the wire. */
export interface Frame {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Uint8Array;
}

export function readU32(bytes: Uint8Array, at = 0): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);
}

/** The whole frames in `bytes`, from `from` on. A frame that is cut off at the end is left out. */
export function framesIn(bytes: Uint8Array, from = 0): Frame[] {
  const frames: Frame[] = [];
  for (let at = from; at + 8 <= bytes.byteLength; ) {
    const first = readU32(bytes, at);
    const length = first & 0xffffff;
    if (at + 8 + length > bytes.byteLength) break;
    const type = first >>> 27;
    frames.push({
      name: names[type] ?? `TYPE_${type}`,
      type,
      flags: (first >>> 24) & 7,
      id: readU32(bytes, at + 4),
      payload: bytes.subarray(at + 8, at + 8 + length),
    });
    at += 8 + length;
  }
  return frames;
}

/** The code of a REFUSE, STOP, RESET or GOAWAY, or the bytes of a CREDIT. */
export function numberIn({ type, payload }: Frame): number {
  return readU32(payload, type === T.GOAWAY ? 4 : 0);
}

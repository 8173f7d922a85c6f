/**
 * Header blocks (SPDY §2.6.10): headers ↔ name/value pairs ↔ the connection's zlib stream.
 *
 * ```text
 * | pairs (32) | name length (32) | name | value length (32) | value | name length …
 * ```
 *
 * One encoder and one decoder per connection. Their zlib state is shared by all its streams, hence two kinds of
 * failure: what `HeaderBlockDecoder` *throws* is the connection's, for the shared state is lost; what it *returns*
 * is one stream's, and everybody else goes on.
 */
import { utf8 } from '../core/bytes.js';
import { StreamError, type StreamErrorCode } from '../core/errors.js';
import { readWord, writeWord } from './codec.js';
import { SPDY_DICTIONARY_ID, spdyDictionary } from './dictionary.js';
import { RST_FRAME_TOO_LARGE, RST_PROTOCOL_ERROR } from './frames.js';
import { Inflate } from './inflate.js';

/** What a peer may make us unpack and keep. All but the last cost only the stream that goes over them. */
export interface HeaderBlockLimits {
  /** Values in one block; a name with three of them counts three times. */
  readonly maxHeaders: number;
  readonly maxHeaderNameBytes: number;
  /** All values of one name together. */
  readonly maxHeaderValueBytes: number;
  /** One block unpacked. Over it the rest is not inflated, so the connection ends. */
  readonly maxHeaderListBytes: number;
}

/** The defaults of SPDY/3.1. */
export const headerBlockLimits: HeaderBlockLimits = {
  maxHeaders: 128,
  maxHeaderNameBytes: 1024,
  maxHeaderValueBytes: 16 * 1024,
  maxHeaderListBytes: 64 * 1024,
};

const utf8Decoder: TextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Up to this many bytes a loop beats the platform's decoder, whose price per call is 0.1 us. */
const SHORT_TEXT_BYTES = 12;

/**
 * 1 for the characters of a name. §2.6.10 wants lower-case ASCII without NUL; control characters and blanks are left
 * out too, as they have no use but to confuse what reads the name later.
 */
const nameChars: Uint8Array = new Uint8Array(256).fill(1, 0x21, 0x7f).fill(0, 0x41, 0x5b);

/** The receiving half: inflates and reads the header blocks of one connection, in the order of their frames. */
export class HeaderBlockDecoder {
  readonly #inflate: Inflate = new Inflate(spdyDictionary);
  readonly #limits: HeaderBlockLimits;
  /** How long the last block is unpacked. */
  unpackedBytes = 0;

  constructor(limits: Partial<HeaderBlockLimits> = {}) {
    this.#limits = { ...headerBlockLimits, ...limits };
  }

  /**
   * The headers of one block: names and values in turn, a name once for each of its values. A `StreamError` that is
   * returned has the RST_STREAM status to answer with as its `wireCode`; one that is thrown has the GOAWAY status,
   * and every later call throws it again.
   */
  decode(block: Uint8Array, streamId: number): string[] | StreamError {
    const unpacked = this.#inflate.inflate(block, this.#limits.maxHeaderListBytes);
    this.unpackedBytes = unpacked.length;
    return readHeaderList(unpacked, streamId, this.#limits);
  }

  /** For a block that nobody wants: keeps the zlib state in step, and throws as `decode` does. */
  skip(block: Uint8Array): void {
    this.#inflate.inflate(block, this.#limits.maxHeaderListBytes);
  }
}

/** Reads an unpacked block as `decode` does. What is wrong with it is the stream's fault alone: never thrown. */
export function readHeaderList(
  bytes: Uint8Array,
  streamId: number,
  limits: HeaderBlockLimits,
): string[] | StreamError {
  const list: string[] = [];
  // §2.6.7 lets a frame leave out the block where there are no headers.
  if (bytes.length === 0) return list;
  if (bytes.length < 4) return streamError(streamId, `a header block of ${bytes.length} bytes`);
  const count = readWord(bytes, 0);
  if (count > limits.maxHeaders) return overLimit(streamId, `${count} headers`, limits.maxHeaders);
  const seen = count > 1 ? new Set<string>() : null;
  let at = 4;
  for (let i = 0; i < count; i++) {
    if (at + 4 > bytes.length) return tooShort(streamId, i, count);
    const nameBytes = readWord(bytes, at);
    at += 4;
    if (nameBytes > limits.maxHeaderNameBytes) {
      return overLimit(streamId, `a header name of ${nameBytes} bytes`, limits.maxHeaderNameBytes);
    }
    if (nameBytes === 0) return streamError(streamId, `header ${i + 1} has an empty name`);
    if (at + nameBytes + 4 > bytes.length) return tooShort(streamId, i, count);
    for (let to = at + nameBytes, n = at; n < to; n++) {
      if (nameChars[bytes[n] as number] !== 1) {
        return streamError(streamId, `header ${i + 1} has the byte ${bytes[n]} in its name`);
      }
    }
    const name = readText(bytes, at, at + nameBytes);
    at += nameBytes;
    if (seen !== null && seen.size === seen.add(name).size) {
      return streamError(streamId, `the header ${name} comes twice`);
    }

    const valueBytes = readWord(bytes, at);
    at += 4;
    if (valueBytes > limits.maxHeaderValueBytes) {
      return overLimit(streamId, `the header ${name} of ${valueBytes} bytes`, limits.maxHeaderValueBytes);
    }
    if (at + valueBytes > bytes.length) return tooShort(streamId, i, count);
    const stop = at + valueBytes;
    if (!pushValues(list, name, bytes.subarray(at, stop), limits.maxHeaders)) {
      return overLimit(streamId, `more than ${limits.maxHeaders} header values`, limits.maxHeaders);
    }
    at = stop;
  }
  if (at < bytes.length) {
    return streamError(streamId, `${bytes.length - at} bytes after the ${count} headers of the block`);
  }
  return list;
}

/**
 * §2.6.10 forbids empty values beside others. Peers send them (Go joins whatever it is given), and they do no harm:
 * n NULs are n + 1 values. False if that makes too many.
 */
function pushValues(list: string[], name: string, joined: Uint8Array, maxHeaders: number): boolean {
  for (let from = 0; from <= joined.length; ) {
    if (list.length === maxHeaders * 2) return false;
    const nul = joined.indexOf(0, from);
    const to = nul < 0 ? joined.length : nul;
    list.push(name, readText(joined, from, to));
    from = to + 1;
  }
  return true;
}

/** UTF-8, which ASCII is; what is neither comes out with U+FFFD in its place. */
function readText(bytes: Uint8Array, from: number, to: number): string {
  if (to - from > SHORT_TEXT_BYTES) return utf8Decoder.decode(bytes.subarray(from, to));
  let text = '';
  for (let at = from; at < to; at++) {
    const byte = bytes[at] as number;
    if (byte > 0x7f) return utf8Decoder.decode(bytes.subarray(from, to));
    text += String.fromCharCode(byte);
  }
  return text;
}

function streamError(
  streamId: number,
  what: string,
  wireCode: number = RST_PROTOCOL_ERROR,
  code: StreamErrorCode = 'protocol',
): StreamError {
  return new StreamError(code, `stream ${streamId}: ${what}`, { streamId, remote: true, wireCode });
}

function overLimit(streamId: number, what: string, limit: number): StreamError {
  return streamError(streamId, `the peer sent ${what}, the limit is ${limit}`, RST_FRAME_TOO_LARGE, 'limit');
}

function tooShort(streamId: number, index: number, count: number): StreamError {
  return streamError(streamId, `the header block ends within header ${index + 1} of ${count}`);
}

/** How a connection writes its header blocks. */
export interface HeaderBlockEncoderOptions {
  /**
   * The largest block on the wire. Blocks are not compressed, so this bounds the headers themselves. Default
   * 16 KiB, which is what `maxHeaderBlockBytes` lets the receiver take.
   */
  readonly maxHeaderBlockBytes?: number;
  /** Name the dictionary in the zlib header, as the draft has it. Every known peer takes both. Default true. */
  readonly dictionary?: boolean;
}

/** The sending half. A block that was encoded must be sent, and in that order. */
export class HeaderBlockEncoder {
  readonly #deflate: StoredDeflate;
  readonly #maxBytes: number;
  /** The block at hand before it is framed; kept between calls. */
  #scratch: Uint8Array = new Uint8Array(256);
  #length = 0;

  constructor(options: HeaderBlockEncoderOptions = {}) {
    this.#deflate = new StoredDeflate(options.dictionary === false ? undefined : SPDY_DICTIONARY_ID);
    this.#maxBytes = options.maxHeaderBlockBytes ?? 16 * 1024;
  }

  /**
   * A new array: `reserve` bytes for the caller to put the frame's head into, then the block. Names go out in lower
   * case, values of one name joined by NUL. Throws, with nothing changed, if a name is empty or not visible ASCII,
   * a value has a NUL, or the whole is too large.
   */
  encode(headers: Iterable<readonly [name: string, value: string]>, reserve = 0): Uint8Array {
    const joined = new Map<string, string>();
    for (const [name, value] of headers) {
      if (value.includes('\0'))
        throw new StreamError('protocol', `the header ${name} has a NUL in its value`);
      const lower = name.toLowerCase();
      const before = joined.get(lower);
      joined.set(lower, before === undefined ? value : `${before}\0${value}`);
    }
    this.#length = 0;
    this.#putWord(joined.size);
    for (const [name, value] of joined) {
      checkName(name);
      this.#putText(name);
      this.#putText(value);
    }
    const size = this.#deflate.size(this.#length);
    if (size > this.#maxBytes) this.#tooLarge(size);
    const target = new Uint8Array(reserve + size);
    this.#deflate.write(target, reserve, this.#scratch.subarray(0, this.#length));
    return target;
  }

  #putWord(value: number): void {
    if (this.#length + 4 > this.#scratch.length) this.#grow(4);
    writeWord(this.#scratch, this.#length, value);
    this.#length += 4;
  }

  /** The length, then the text. */
  #putText(text: string): void {
    // UTF-8 has at most three bytes for each unit of a string.
    const most = 4 + text.length * 3;
    if (this.#length + most > this.#scratch.length) this.#grow(most);
    const scratch = this.#scratch;
    const start = this.#length + 4;
    let bytes = 0;
    for (; bytes < text.length; bytes++) {
      const unit = text.charCodeAt(bytes);
      if (unit > 0x7f) {
        bytes = utf8.encodeInto(text, scratch.subarray(start)).written;
        break;
      }
      scratch[start + bytes] = unit;
    }
    writeWord(scratch, this.#length, bytes);
    this.#length = start + bytes;
  }

  #grow(bytes: number): void {
    if (this.#length > this.#maxBytes) this.#tooLarge(this.#length);
    const grown = new Uint8Array(Math.max(this.#scratch.length * 2, this.#length + bytes));
    grown.set(this.#scratch.subarray(0, this.#length));
    this.#scratch = grown;
  }

  #tooLarge(bytes: number): never {
    throw new StreamError(
      'limit',
      `a header block of ${bytes} bytes or more, the limit is ${this.#maxBytes}`,
    );
  }
}

function checkName(name: string): void {
  let ok = name.length > 0;
  for (let i = 0; i < name.length && ok; i++) ok = nameChars[name.charCodeAt(i)] === 1;
  if (!ok) throw new StreamError('protocol', `${JSON.stringify(name)} is no name for a header`);
}

/** What a stored block can hold: its length has 16 bits (RFC 1951 §3.2.4). */
const MAX_STORED_BYTES = 0xffff;
/** Type, length and complement of a stored block that starts on a whole byte. */
const STORED_HEAD_BYTES = 5;

/**
 * The sending end of a compression context that compresses nothing. The only state is whether the zlib header was
 * sent, so a block that was written must also be sent, and in that order.
 */
export class StoredDeflate {
  readonly #dictionaryId: number | undefined;
  #opened = false;

  /** With an id, the zlib header names that dictionary (FDICT), though stored blocks never refer to it. */
  constructor(dictionaryId?: number) {
    this.#dictionaryId = dictionaryId;
  }

  /** The bytes that the next `write` of so large a payload takes. */
  size(payloadBytes: number): number {
    const blocks = Math.ceil(payloadBytes / MAX_STORED_BYTES) + 1;
    return this.#headerBytes() + blocks * STORED_HEAD_BYTES + payloadBytes;
  }

  /** Writes one header block into `target`, which has `size(payload.length)` bytes from `at` on; returns its end. */
  write(target: Uint8Array, at: number, payload: Uint8Array): number {
    let to = this.#opened ? at : this.#writeHeader(target, at);
    for (let from = 0; from < payload.length; from += MAX_STORED_BYTES) {
      const part = payload.subarray(from, from + MAX_STORED_BYTES);
      to = writeStoredHead(target, to, part.length);
      target.set(part, to);
      to += part.length;
    }
    // An empty block is what a sync flush leaves. Go's spdystream waits for it, silently and for ever.
    return writeStoredHead(target, to, 0);
  }

  #headerBytes(): number {
    if (this.#opened) return 0;
    return this.#dictionaryId === undefined ? 2 : 6;
  }

  /** RFC 1950 §2.2: deflate, 32 KiB window, fastest level, and a check that makes the two bytes a multiple of 31. */
  #writeHeader(target: Uint8Array, at: number): number {
    this.#opened = true;
    target[at] = 0x78;
    const id = this.#dictionaryId;
    if (id === undefined) {
      target[at + 1] = 0x01;
      return at + 2;
    }
    target[at + 1] = 0x20;
    target[at + 2] = id >>> 24;
    target[at + 3] = id >>> 16;
    target[at + 4] = id >>> 8;
    target[at + 5] = id;
    return at + 6;
  }
}

function writeStoredHead(target: Uint8Array, at: number, length: number): number {
  target[at] = 0;
  target[at + 1] = length;
  target[at + 2] = length >> 8;
  target[at + 3] = ~length;
  target[at + 4] = ~length >> 8;
  return at + STORED_HEAD_BYTES;
}

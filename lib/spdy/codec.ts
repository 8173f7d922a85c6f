/**
 * Bytes ↔ frames, pure. `SpdyParser` takes the bytes as they come and calls a handler; the `write…` functions put
 * frames into an array that the caller has. Layouts: frames.ts.
 */
import { noBytes } from '../core/bytes.js';
import { StreamError, type StreamErrorCode } from '../core/errors.js';
import {
  FLAG_COMPRESSED,
  FLAG_FIN,
  FRAME_GOAWAY,
  FRAME_HEADER_BYTES,
  FRAME_HEADERS,
  FRAME_PING,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_SYN_REPLY,
  FRAME_SYN_STREAM,
  FRAME_WINDOW_UPDATE,
  frameName,
  GOAWAY_PROTOCOL_ERROR,
  SPDY_VERSION,
  type SpdyHandler,
  type SpdyParserLimits,
  type SpdySetting,
  spdyParserLimits,
} from './frames.js';

const STATE_HEAD = 0;
const STATE_DATA = 1;
const STATE_CONTROL = 2;
const STATE_SKIP = 3;

/** What precedes the header block, after the frame's first two words. */
const SYN_STREAM_FIXED_BYTES = 10;
const SYN_REPLY_FIXED_BYTES = 4;

/** An array that gathered a control frame is kept for the next one if it is no larger than this. */
const KEPT_BODY_BYTES = 4 * 1024;

/**
 * Frames out of bytes that may be cut anywhere. A control frame that is whole in one chunk is not copied, and DATA
 * never is; nothing is allocated before the bytes it is for are there.
 */
export class SpdyParser {
  readonly #handler: SpdyHandler;
  readonly #limits: SpdyParserLimits;
  #failure: StreamError | undefined;
  /** How many frames the running `parse` may deliver. */
  #maxFrames = 0;
  #framesDone = 0;

  #state = STATE_HEAD;
  /** The first bytes of a frame's head, when a chunk ended within it. */
  readonly #head: Uint8Array = new Uint8Array(FRAME_HEADER_BYTES);
  #headBytes = 0;
  /** Bytes of the frame at hand that are still to come. */
  #remaining = 0;
  #id = 0;
  #fin = false;
  #type = 0;
  #flags = 0;
  #length = 0;
  /** The first bytes of a control frame's content, when a chunk ended within it. */
  #body: Uint8Array = noBytes;

  constructor(handler: SpdyHandler, limits: Partial<SpdyParserLimits> = {}) {
    this.#handler = handler;
    this.#limits = { ...spdyParserLimits, ...limits };
  }

  /** Frames that the last `parse` delivered. */
  get framesDone(): number {
    return this.#framesDone;
  }

  /** The bytes so far end within a frame: if no more come, the peer was cut off. */
  get midFrame(): boolean {
    return this.#state !== STATE_HEAD || this.#headBytes > 0;
  }

  /**
   * Reads `chunk` from `offset` on, and returns where it stopped: the end of the chunk, or before it when
   * `maxFrames` frames were delivered; call again with that offset, later. A piece of DATA counts as a frame.
   * A `StreamError` that is thrown is the connection's; its `wireCode` is the GOAWAY status, and every later call
   * throws it again. What is in the chunk is not read twice, so the caller may keep no more than the rest.
   */
  parse(chunk: Uint8Array, offset = 0, maxFrames: number = Number.MAX_SAFE_INTEGER): number {
    if (this.#failure !== undefined) throw this.#failure;
    this.#maxFrames = maxFrames;
    this.#framesDone = 0;
    let at = offset;
    while (at < chunk.length && this.#framesDone < this.#maxFrames) {
      if (this.#state === STATE_HEAD) at = this.#takeHead(chunk, at);
      else if (this.#state === STATE_DATA) at = this.#takeData(chunk, at);
      else if (this.#state === STATE_CONTROL) at = this.#takeControl(chunk, at);
      else at = this.#takeSkipped(chunk, at);
    }
    return at;
  }

  /** Makes the running `parse` return after the frame at hand: for handlers that close, or can take no more. */
  pause(): void {
    this.#maxFrames = 0;
  }

  #takeHead(chunk: Uint8Array, at: number): number {
    if (this.#headBytes === 0 && at + FRAME_HEADER_BYTES <= chunk.length) {
      this.#begin(chunk, at);
      return at + FRAME_HEADER_BYTES;
    }
    let to = at;
    while (to < chunk.length && this.#headBytes < FRAME_HEADER_BYTES) {
      this.#head[this.#headBytes++] = chunk[to++] as number;
    }
    if (this.#headBytes === FRAME_HEADER_BYTES) {
      this.#headBytes = 0;
      this.#begin(this.#head, 0);
    }
    return to;
  }

  /** The two words that every frame starts with (§2.2). */
  #begin(bytes: Uint8Array, at: number): void {
    const flags = bytes[at + 4] as number;
    const length =
      ((bytes[at + 5] as number) << 16) | ((bytes[at + 6] as number) << 8) | (bytes[at + 7] as number);
    if ((bytes[at] as number) < 0x80) this.#beginData(readWord(bytes, at), length, flags);
    else this.#beginControl(readWord(bytes, at), length, flags);
  }

  #beginData(id: number, length: number, flags: number): void {
    if (id === 0) this.#fail('DATA for stream 0');
    if ((flags & FLAG_COMPRESSED) !== 0) this.#fail(`stream ${id}: compressed DATA, which is not SPDY/3.1`);
    this.#id = id;
    this.#remaining = length;
    this.#fin = (flags & FLAG_FIN) !== 0;
    if (length > 0) this.#state = STATE_DATA;
    this.#handler.dataStart(id, length, flags);
    if (length > 0) return;
    this.#framesDone++;
    this.#handler.data(id, noBytes, this.#fin);
  }

  #takeData(chunk: Uint8Array, at: number): number {
    const to = Math.min(at + this.#remaining, chunk.length);
    this.#remaining -= to - at;
    this.#framesDone++;
    const last = this.#remaining === 0;
    if (last) this.#state = STATE_HEAD;
    const whole = at === 0 && to === chunk.length;
    this.#handler.data(this.#id, whole ? chunk : chunk.subarray(at, to), last && this.#fin);
    return to;
  }

  #beginControl(word: number, length: number, flags: number): void {
    const version = (word >>> 16) & 0x7fff;
    const type = word & 0xffff;
    if (version !== SPDY_VERSION) this.#fail(`a control frame of version ${version}`);
    if (this.#checkLength(type, length)) {
      this.#type = type;
      this.#flags = flags;
      this.#length = length;
      this.#remaining = length;
      this.#state = STATE_CONTROL;
      return;
    }
    this.#remaining = length;
    if (length > 0) this.#state = STATE_SKIP;
    this.#framesDone++;
    this.#handler.unknown(type, flags, length);
  }

  /** False: a type to skip. */
  #checkLength(type: number, length: number): boolean {
    switch (type) {
      case FRAME_SYN_STREAM:
        this.#checkBlock(type, length, SYN_STREAM_FIXED_BYTES);
        break;
      case FRAME_SYN_REPLY:
      case FRAME_HEADERS:
        this.#checkBlock(type, length, SYN_REPLY_FIXED_BYTES);
        break;
      case FRAME_RST_STREAM:
      case FRAME_GOAWAY:
      case FRAME_WINDOW_UPDATE:
        if (length !== 8) this.#badLength(type, length);
        break;
      case FRAME_PING:
        if (length !== 4) this.#badLength(type, length);
        break;
      case FRAME_SETTINGS:
        if (length < 4 || (length - 4) % 8 !== 0) this.#badLength(type, length);
        if ((length - 4) / 8 > this.#limits.maxSettings) {
          this.#fail(`${(length - 4) / 8} settings, the limit is ${this.#limits.maxSettings}`, 'limit');
        }
        break;
      default:
        return false;
    }
    if (length > this.#limits.maxFrameBytes) {
      this.#fail(
        `${frameName(type)} of ${length} bytes, the limit is ${this.#limits.maxFrameBytes}`,
        'limit',
      );
    }
    return true;
  }

  #checkBlock(type: number, length: number, fixedBytes: number): void {
    const blockBytes = length - fixedBytes;
    if (blockBytes < 0) this.#badLength(type, length);
    const { maxHeaderBlockBytes } = this.#limits;
    if (blockBytes > maxHeaderBlockBytes) {
      this.#fail(
        `${frameName(type)} with a header block of ${blockBytes} bytes, the limit is ${maxHeaderBlockBytes}`,
        'limit',
      );
    }
  }

  #takeControl(chunk: Uint8Array, at: number): number {
    const have = this.#length - this.#remaining;
    const to = Math.min(at + this.#remaining, chunk.length);
    const whole = have === 0 && to - at === this.#length;
    if (!whole) this.#gather(chunk, at, to, have);
    this.#remaining -= to - at;
    if (this.#remaining > 0) return to;
    this.#state = STATE_HEAD;
    this.#framesDone++;
    if (whole) {
      this.#dispatch(chunk, at, to);
    } else {
      const body = this.#body;
      if (body.length > KEPT_BODY_BYTES) this.#body = noBytes;
      this.#dispatch(body, 0, this.#length);
    }
    return to;
  }

  #gather(chunk: Uint8Array, from: number, to: number, have: number): void {
    const size = have + to - from;
    if (size > this.#body.length) {
      // Twice what is there, so that bytes coming one by one are not copied each time; never more than the frame.
      const grown = new Uint8Array(Math.min(Math.max(size * 2, 64), this.#length));
      grown.set(this.#body.subarray(0, have));
      this.#body = grown;
    }
    this.#body.set(chunk.subarray(from, to), have);
  }

  #dispatch(bytes: Uint8Array, at: number, end: number): void {
    const handler = this.#handler;
    // The highest bit of every word but PING's id and the status codes is reserved, and ignored.
    const first = readWord(bytes, at);
    const id = first & 0x7fffffff;
    switch (this.#type) {
      case FRAME_SYN_STREAM:
        if (id === 0) this.#fail('SYN_STREAM for stream 0');
        handler.synStream(
          id,
          readWord(bytes, at + 4) & 0x7fffffff,
          (bytes[at + 8] as number) >> 5,
          this.#flags,
          bytes.subarray(at + SYN_STREAM_FIXED_BYTES, end),
        );
        break;
      case FRAME_SYN_REPLY:
        if (id === 0) this.#fail('SYN_REPLY for stream 0');
        handler.synReply(id, this.#flags, bytes.subarray(at + SYN_REPLY_FIXED_BYTES, end));
        break;
      case FRAME_HEADERS:
        if (id === 0) this.#fail('HEADERS for stream 0');
        handler.headers(id, this.#flags, bytes.subarray(at + SYN_REPLY_FIXED_BYTES, end));
        break;
      case FRAME_RST_STREAM:
        if (id === 0) this.#fail('RST_STREAM for stream 0');
        handler.rstStream(id, readWord(bytes, at + 4));
        break;
      case FRAME_SETTINGS:
        if (first * 8 + 4 !== end - at)
          this.#fail(`SETTINGS of ${end - at} bytes say they have ${first} entries`);
        handler.settings(readSettings(bytes, at + 4, first), this.#flags);
        break;
      case FRAME_PING:
        handler.ping(first);
        break;
      case FRAME_GOAWAY:
        handler.goAway(id, readWord(bytes, at + 4));
        break;
      case FRAME_WINDOW_UPDATE:
        handler.windowUpdate(id, readWord(bytes, at + 4) & 0x7fffffff);
        break;
    }
  }

  #takeSkipped(chunk: Uint8Array, at: number): number {
    const to = Math.min(at + this.#remaining, chunk.length);
    this.#remaining -= to - at;
    if (this.#remaining === 0) this.#state = STATE_HEAD;
    return to;
  }

  #badLength(type: number, length: number): never {
    return this.#fail(`${frameName(type)} of ${length} bytes`);
  }

  #fail(what: string, code: StreamErrorCode = 'protocol'): never {
    this.#body = noBytes;
    this.#failure = new StreamError(code, `the peer sent ${what}`, {
      remote: true,
      wireCode: GOAWAY_PROTOCOL_ERROR,
    });
    throw this.#failure;
  }
}

function readSettings(bytes: Uint8Array, at: number, count: number): SpdySetting[] {
  const entries: SpdySetting[] = [];
  for (let i = 0; i < count; i++, at += 8) {
    const word = readWord(bytes, at);
    const id = word & 0xffffff;
    if (entries.every((entry) => entry.id !== id)) {
      entries.push({ id, flags: word >>> 24, value: readWord(bytes, at + 4) });
    }
  }
  return entries;
}

/** An unsigned number of 32 bits. */
export function readWord(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

// Writers. Each writes at `at`, checks nothing, and returns where the next byte goes.

/** Writes 32 bits; returns where the next byte goes. */
export function writeWord(target: Uint8Array, at: number, value: number): number {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
  return at + 4;
}

function writeControlHead(
  target: Uint8Array,
  at: number,
  type: number,
  flags: number,
  length: number,
): number {
  target[at] = 0x80;
  target[at + 1] = SPDY_VERSION;
  target[at + 2] = 0;
  target[at + 3] = type;
  return writeWord(target, at + 4, (flags << 24) | length);
}

/** The eight bytes before the bytes of a DATA frame. */
export function writeDataHeader(
  target: Uint8Array,
  at: number,
  id: number,
  length: number,
  flags: number,
): number {
  return writeWord(target, writeWord(target, at, id), (flags << 24) | length);
}

/** SYN_STREAM up to its header block of `blockBytes`. */
export function writeSynStreamHead(
  target: Uint8Array,
  at: number,
  id: number,
  associatedTo: number,
  priority: number,
  flags: number,
  blockBytes: number,
): number {
  let to = writeControlHead(target, at, FRAME_SYN_STREAM, flags, SYN_STREAM_FIXED_BYTES + blockBytes);
  to = writeWord(target, writeWord(target, to, id), associatedTo);
  target[to] = priority << 5;
  target[to + 1] = 0;
  return to + 2;
}

/** SYN_REPLY up to its header block of `blockBytes`. */
export function writeSynReplyHead(
  target: Uint8Array,
  at: number,
  id: number,
  flags: number,
  blockBytes: number,
): number {
  const to = writeControlHead(target, at, FRAME_SYN_REPLY, flags, SYN_REPLY_FIXED_BYTES + blockBytes);
  return writeWord(target, to, id);
}

/** HEADERS up to its header block of `blockBytes`. */
export function writeHeadersHead(
  target: Uint8Array,
  at: number,
  id: number,
  flags: number,
  blockBytes: number,
): number {
  const to = writeControlHead(target, at, FRAME_HEADERS, flags, SYN_REPLY_FIXED_BYTES + blockBytes);
  return writeWord(target, to, id);
}

/** A whole RST_STREAM. Status 0 is not allowed. */
export function writeRstStream(target: Uint8Array, at: number, id: number, status: number): number {
  const to = writeControlHead(target, at, FRAME_RST_STREAM, 0, 8);
  return writeWord(target, writeWord(target, to, id), status);
}

/** The size of a SETTINGS frame with so many entries. */
export function settingsBytes(count: number): number {
  return FRAME_HEADER_BYTES + 4 + count * 8;
}

/** A whole SETTINGS frame: lowest id first, each once (§2.6.4). */
export function writeSettings(
  target: Uint8Array,
  at: number,
  entries: readonly SpdySetting[],
  flags: number,
): number {
  let to = writeControlHead(target, at, FRAME_SETTINGS, flags, 4 + entries.length * 8);
  to = writeWord(target, to, entries.length);
  for (const entry of entries) {
    to = writeWord(target, to, (entry.flags << 24) | entry.id);
    to = writeWord(target, to, entry.value);
  }
  return to;
}

/** A whole PING: odd ids from the client, even ones from the server, and the peer's own to answer it. */
export function writePing(target: Uint8Array, at: number, id: number): number {
  return writeWord(target, writeControlHead(target, at, FRAME_PING, 0, 4), id);
}

/** A whole GOAWAY. */
export function writeGoAway(target: Uint8Array, at: number, lastGoodId: number, status: number): number {
  const to = writeControlHead(target, at, FRAME_GOAWAY, 0, 8);
  return writeWord(target, writeWord(target, to, lastGoodId), status);
}

/** A whole WINDOW_UPDATE; id 0 is the connection. */
export function writeWindowUpdate(target: Uint8Array, at: number, id: number, delta: number): number {
  const to = writeControlHead(target, at, FRAME_WINDOW_UPDATE, 0, 8);
  return writeWord(target, writeWord(target, to, id), delta);
}

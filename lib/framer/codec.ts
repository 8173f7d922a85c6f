import { noBytes } from '../core/bytes.js';
import { defaultLimits, type LimitValues } from '../core/limits.js';
import {
  earlyConnectionWindow,
  earlyWindow,
  FLAG_END,
  FRAME_ACCEPT,
  FRAME_CREDIT,
  FRAME_DATA,
  FRAME_GOAWAY,
  FRAME_OPEN,
  FRAME_PING,
  FRAME_PONG,
  FRAME_REFUSE,
  FRAME_RESET,
  FRAME_SETTINGS,
  FRAME_STOP,
  FRAME_TRAILERS,
  firstCriticalType,
  headerBytes,
  leastMaxFrame,
  mostMaxFrame,
  preface,
  ROLE_CLIENT,
  ROLE_SERVER,
  SETTING_CONNECTION_WINDOW,
  SETTING_INITIAL_WINDOW,
  SETTING_MAX_FRAME,
  SETTING_RESERVE,
  SETTING_ROLE,
  type Settings,
} from './frames.js';
import { type HeaderBlock, malformed, PayloadReader, readUint32 } from './payload.js';

/**
 * Who is told what the frames say, in their order. Views of data belong to the handler. What a handler throws ends the
 * parse.
 */
export interface FrameHandler {
  /** Every frame, before its own method: the length is that of the payload. */
  frame(type: number, flags: number, id: number, length: number): void;
  settings(settings: Settings): void;
  open(id: number, urgency: number, block: HeaderBlock, data: Uint8Array, end: boolean): void;
  accept(id: number, block: HeaderBlock, data: Uint8Array, end: boolean): void;
  refuse(id: number, code: number, reason: string, block: HeaderBlock): void;
  /** A piece of a DATA frame; `last` with the last, or only, piece. */
  data(id: number, chunk: Uint8Array, last: boolean, end: boolean): void;
  credit(id: number, bytes: number): void;
  trailers(id: number, block: HeaderBlock): void;
  stop(id: number, code: number): void;
  reset(id: number, code: number, reason: string): void;
  ping(payload: Uint8Array): void;
  pong(payload: Uint8Array): void;
  goAway(lastId: number, code: number, reason: string): void;
  /** A frame of an unknown type, which is skipped. */
  skip(type: number, length: number): void;
}

/**
 * Bytes to frames, however the bytes are cut. Data is passed on as it comes, as views; other payloads are put together
 * first, in memory that grows with what has arrived and never with what was announced.
 */
export class FrameParser {
  /** Frames that the last `parse` has finished. */
  framesDone = 0;
  readonly #handler: FrameHandler;
  readonly #maxFrame: number;
  readonly #limits: LimitValues;
  readonly #header: Uint8Array = new Uint8Array(headerBytes);
  /** Bytes of the preface, or of a header, that are here. */
  #have = 0;
  #inPreface = true;
  #settingsSeen = false;
  #type = 0;
  #flags = 0;
  #id = 0;
  /** Bytes of the payload still to come; -1 between frames. */
  #left = -1;
  #payload: Uint8Array | null = null;
  #payloadHave = 0;

  constructor(handler: FrameHandler, maxFrame: number, limits: LimitValues = defaultLimits) {
    this.#handler = handler;
    this.#maxFrame = maxFrame;
    this.#limits = limits;
  }

  get isPastPreface(): boolean {
    return !this.#inPreface;
  }

  get isMidFrame(): boolean {
    return this.#left >= 0 || this.#have > 0;
  }

  /** Parses `chunk` from `from` on, up to its end or until `maxFrames` are done; gives where it stopped. */
  parse(chunk: Uint8Array, from: number, maxFrames: number): number {
    let at = from;
    const end = chunk.length;
    this.framesDone = 0;
    if (this.#inPreface) at = this.#readPreface(chunk, at);
    while (this.framesDone < maxFrames) {
      if (this.#left < 0) {
        if (at === end) break;
        at = this.#readHeader(chunk, at);
        if (this.#left < 0) break;
      }
      if (this.#type === FRAME_DATA) {
        const piece = Math.min(this.#left, end - at);
        if (piece === 0 && this.#left > 0) break;
        this.#left -= piece;
        const last = this.#left === 0;
        const view = piece === 0 ? noBytes : chunk.subarray(at, at + piece);
        at += piece;
        if (last) this.#done();
        this.#handler.data(this.#id, view, last, last && (this.#flags & FLAG_END) !== 0);
      } else {
        at = this.#readPayload(chunk, at);
        if (this.#left > 0) break;
      }
    }
    return at;
  }

  #readPreface(chunk: Uint8Array, from: number): number {
    let at = from;
    while (at < chunk.length && this.#have < preface.length) {
      if (chunk[at] !== preface[this.#have]) {
        throw malformed(
          this.#have >= 6
            ? 'the peer speaks another version of the Simple Framer'
            : 'the peer does not speak the Simple Framer',
        );
      }
      at++;
      this.#have++;
    }
    if (this.#have === preface.length) {
      this.#inPreface = false;
      this.#have = 0;
    }
    return at;
  }

  #readHeader(chunk: Uint8Array, from: number): number {
    let source = chunk;
    let start = from;
    let at = from + headerBytes;
    if (this.#have > 0 || at > chunk.length) {
      const piece = Math.min(headerBytes - this.#have, chunk.length - from);
      this.#header.set(chunk.subarray(from, from + piece), this.#have);
      this.#have += piece;
      if (this.#have < headerBytes) return from + piece;
      this.#have = 0;
      source = this.#header;
      start = 0;
      at = from + piece;
    }
    const first = source[start] as number;
    const length = (readUint32(source, start) & 0xffffff) >>> 0;
    const id = readUint32(source, start + 4);
    this.#begin(first >> 3, first & 7, id, length);
    return at;
  }

  #begin(type: number, flags: number, id: number, length: number): void {
    if (length > this.#maxFrame)
      throw malformed(`the peer sent a frame of ${length} bytes of ${this.#maxFrame}`);
    if (id > 0x7fffffff) throw malformed('the peer set the reserved bit of a stream id');
    if (!this.#settingsSeen && type !== FRAME_SETTINGS) {
      throw malformed(`the peer's first frame is of type ${type}, not SETTINGS`);
    }
    if (type >= firstCriticalType) throw malformed(`the peer sent a frame of the unknown type ${type}`);
    if (isForConnection(type) ? id !== 0 : isForStream(type) && id === 0) {
      throw malformed(`the peer sent a frame of type ${type} for stream ${id}`);
    }
    this.#handler.frame(type, flags, id, length);
    this.#type = type;
    this.#flags = flags;
    this.#id = id;
    this.#left = length;
  }

  #readPayload(chunk: Uint8Array, from: number): number {
    const piece = Math.min(this.#left, chunk.length - from);
    const at = from + piece;
    this.#left -= piece;
    if (this.#type > FRAME_GOAWAY) {
      // Skipped as it comes: nothing is kept of it.
      this.#payloadHave += piece;
      if (this.#left > 0) return at;
      const length = this.#payloadHave;
      this.#payloadHave = 0;
      this.#done();
      this.#handler.skip(this.#type, length);
      return at;
    }
    if (this.#payload === null && this.#left === 0) {
      this.#finish(chunk, from, at);
      return at;
    }
    this.#gather(chunk, from, piece);
    if (this.#left === 0) {
      const payload = this.#payload as Uint8Array;
      const length = this.#payloadHave;
      this.#payload = null;
      this.#payloadHave = 0;
      this.#finish(payload, 0, length);
    }
    return at;
  }

  #gather(chunk: Uint8Array, from: number, piece: number): void {
    const needed = this.#payloadHave + piece;
    let payload = this.#payload;
    if (payload === null || payload.length < needed) {
      const larger = new Uint8Array(Math.max(needed, Math.min(2 * needed, needed + this.#left)));
      if (payload !== null) larger.set(payload.subarray(0, this.#payloadHave));
      payload = larger;
      this.#payload = payload;
    }
    payload.set(chunk.subarray(from, from + piece), this.#payloadHave);
    this.#payloadHave = needed;
  }

  #done(): void {
    this.#left = -1;
    this.framesDone++;
  }

  #finish(bytes: Uint8Array, from: number, to: number): void {
    this.#done();
    const handler = this.#handler;
    const id = this.#id;
    const end = (this.#flags & FLAG_END) !== 0;
    const reader = new PayloadReader(bytes, from, to);
    switch (this.#type) {
      case FRAME_SETTINGS:
        if (this.#settingsSeen) throw malformed('the peer sent SETTINGS a second time');
        this.#settingsSeen = true;
        handler.settings(readSettings(reader));
        break;
      case FRAME_OPEN:
        handler.open(id, reader.uint8(), reader.block(this.#limits), reader.rest(), end);
        break;
      case FRAME_ACCEPT:
        handler.accept(id, reader.block(this.#limits), reader.rest(), end);
        break;
      case FRAME_REFUSE:
        handler.refuse(id, reader.uint32(), reader.string(), reader.lastBlock(this.#limits));
        break;
      case FRAME_CREDIT:
        handler.credit(id, reader.lastUint32());
        break;
      case FRAME_TRAILERS:
        handler.trailers(id, reader.lastBlock(this.#limits));
        break;
      case FRAME_STOP:
        handler.stop(id, reader.lastUint32());
        break;
      case FRAME_RESET:
        handler.reset(id, reader.uint32(), reader.lastString());
        break;
      case FRAME_PING:
        handler.ping(reader.exactly(8));
        break;
      case FRAME_PONG:
        handler.pong(reader.exactly(8));
        break;
      case FRAME_GOAWAY:
        handler.goAway(reader.uint32(), reader.uint32(), reader.lastString());
        break;
    }
  }
}

function isForConnection(type: number): boolean {
  return type === FRAME_SETTINGS || (type >= FRAME_PING && type <= FRAME_GOAWAY);
}

function isForStream(type: number): boolean {
  return type <= FRAME_RESET && type !== FRAME_SETTINGS && type !== FRAME_CREDIT;
}

function readSettings(reader: PayloadReader): Settings {
  const values: (number | undefined)[] = [];
  for (let count = 0; !reader.isEmpty; count++) {
    if (count === 32) throw malformed('the peer sent more than 32 settings');
    const id = reader.uint16();
    const value = reader.uint32();
    if (id > SETTING_MAX_FRAME && id !== SETTING_RESERVE) continue;
    if (values[id] !== undefined) throw malformed(`the peer sent setting ${id} twice`);
    values[id] = value;
  }
  const role = values[SETTING_ROLE];
  if (role !== ROLE_CLIENT && role !== ROLE_SERVER)
    throw malformed('the peer did not say whether it is the client');
  const window = (id: number, otherwise: number): number => {
    const value = values[id] ?? otherwise;
    if (value > 0x7fffffff) throw malformed(`the peer announced a window of ${value} bytes`);
    return value;
  };
  const maxFrame = values[SETTING_MAX_FRAME] ?? leastMaxFrame;
  if (maxFrame < leastMaxFrame || maxFrame > mostMaxFrame) {
    throw malformed(`the peer announced frames of ${maxFrame} bytes`);
  }
  return {
    role: role === ROLE_CLIENT ? 'client' : 'server',
    initialWindow: window(SETTING_INITIAL_WINDOW, earlyWindow),
    connectionWindow: window(SETTING_CONNECTION_WINDOW, earlyConnectionWindow),
    maxFrame,
    reserve: window(SETTING_RESERVE, 0) || undefined,
  };
}

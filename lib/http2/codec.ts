/**
 * Frames of HTTP/2 from bytes (RFC 9113 §4 to §6). Pure: no clock, no sockets, no streams; what a frame means for its
 * stream's state is the driver's to judge. The other direction is in frame-encoders.ts.
 *
 *     PREFACE ──24 bytes──▶ HEADER ──9 bytes──▶ PAYLOAD ──length bytes──▶ HEADER     (gathered, then one call)
 *     (server only)           │ ├─────────────▶ SKIP ─────length bytes──▶ HEADER     (unknown, or refused)
 *                             │ └─DATA, padded▶ PAD_LENGTH ─1 byte─▶ DATA
 *                             └───DATA────────▶ DATA ─(─▶ PADDING )───▶ HEADER       (passed on in pieces)
 */
import { FieldBlock } from './field-block.js';
import { defaultFrameLimits, type FrameHandler, type FrameLimits, type Setting } from './frame-handler.js';
import {
  connectionTypes,
  fixedLengths,
  paddingError,
  protocolError,
  SETTING_BYTES,
  selfDependency,
  sizeError,
  wrongSetting,
} from './frame-rules.js';
import {
  errorCode,
  FRAME_HEADER_BYTES,
  frameFlag,
  frameName,
  frameType,
  PREFACE,
  uint24,
  uint31,
  uint32,
  wireError,
} from './frames.js';
import { Gathered } from './gathered.js';

export * from './frame-encoders.js';
export { defaultFrameLimits, type FrameHandler, type FrameLimits, type Setting } from './frame-handler.js';

export interface FrameParserOptions {
  /** Which end we are: a server expects the preface, a client only frames. */
  readonly role: 'client' | 'server';
  readonly limits?: FrameLimits;
}

const PREFACE_STATE = 0;
const HEADER = 1;
const PAYLOAD = 2;
const SKIP = 3;
const PAD_LENGTH = 4;
const DATA = 5;
const PADDING = 6;

/** Turns the bytes of one connection into calls of its handler. However they are cut, the calls are the same. */
export class FrameParser {
  readonly #handler: FrameHandler;
  readonly #limits: FrameLimits;
  readonly #role: 'client' | 'server';
  #state: number;
  #failure: { readonly reason: unknown } | undefined;
  #prefaceBytes = 0;
  #settingsSeen = false;

  /** The frame at hand, and how much is still to come in this state. */
  #type = 0;
  #flags = 0;
  #streamId = 0;
  #left = 0;
  #padding = 0;
  /** The part of its header or payload that has arrived. */
  readonly #gathered = new Gathered();
  readonly #block: FieldBlock;

  constructor(handler: FrameHandler, options: FrameParserOptions) {
    this.#handler = handler;
    this.#limits = options.limits ?? defaultFrameLimits;
    this.#role = options.role;
    this.#state = options.role === 'server' ? PREFACE_STATE : HEADER;
    this.#block = new FieldBlock(this.#limits);
  }

  /** The peer has begun as HTTP/2 wants it: a client with the preface, a server with SETTINGS. */
  get isPastPreface(): boolean {
    return this.#role === 'server' ? this.#state !== PREFACE_STATE : this.#settingsSeen;
  }

  /** Nothing is half read: if the connection ends here, no frame or field block was cut. */
  get betweenFrames(): boolean {
    return this.#state === HEADER && this.#gathered.length === 0 && this.#block.streamId === 0;
  }

  /**
   * Reads from an offset until the chunk ends or `maxFrames` frames have ended, and gives the offset reached: call again
   * with the same chunk from there. Throws the error that ends the connection, and the same one ever after.
   */
  parse(chunk: Uint8Array, offset = 0, maxFrames: number = Number.POSITIVE_INFINITY): number {
    if (this.#failure !== undefined) throw this.#failure.reason;
    try {
      return this.#run(chunk, offset, maxFrames);
    } catch (reason) {
      this.#failure = { reason };
      throw reason;
    }
  }

  #run(chunk: Uint8Array, offset: number, maxFrames: number): number {
    let at = offset;
    for (let frames = 0; frames < maxFrames; frames++) {
      do {
        const before = at;
        const state = this.#state;
        at = this.#step(chunk, at);
        // Neither moved nor in another state: it waits for more.
        if (at === before && this.#state === state) return at;
      } while (this.#state !== HEADER);
    }
    return at;
  }

  #step(chunk: Uint8Array, at: number): number {
    switch (this.#state) {
      case HEADER:
        return this.#readHeader(chunk, at);
      case PAYLOAD:
        return this.#readPayload(chunk, at);
      case DATA:
        return this.#readData(chunk, at);
      case SKIP:
      case PADDING:
        return this.#skip(chunk, at);
      case PAD_LENGTH:
        return this.#readPadLength(chunk, at);
      default:
        return this.#readPreface(chunk, at);
    }
  }

  /** §3.4; a wrong byte is refused when it comes, not when all 24 are there. */
  #readPreface(chunk: Uint8Array, offset: number): number {
    let at = offset;
    while (at < chunk.length && this.#prefaceBytes < PREFACE.length) {
      if (chunk[at++] !== PREFACE.charCodeAt(this.#prefaceBytes++)) {
        throw wireError(errorCode.PROTOCOL_ERROR, 'the peer did not begin with the preface of HTTP/2');
      }
    }
    if (this.#prefaceBytes === PREFACE.length) this.#state = HEADER;
    return at;
  }

  #readHeader(chunk: Uint8Array, at: number): number {
    const available = chunk.length - at;
    if (available === 0) return at;
    const held = this.#gathered.length;
    if (held === 0 && available >= FRAME_HEADER_BYTES) {
      this.#begin(chunk, at);
      return at + FRAME_HEADER_BYTES;
    }
    const end = at + Math.min(available, FRAME_HEADER_BYTES - held);
    this.#gathered.add(chunk, at, end);
    if (this.#gathered.length === FRAME_HEADER_BYTES) {
      const header = this.#gathered.bytes;
      this.#gathered.clear();
      this.#begin(header, 0);
    }
    return end;
  }

  #readPayload(chunk: Uint8Array, at: number): number {
    const end = at + Math.min(chunk.length - at, this.#left);
    this.#left -= end - at;
    if (this.#gathered.length === 0 && this.#left === 0) {
      this.#finish(chunk.subarray(at, end));
    } else {
      if (end > at) this.#gathered.add(chunk, at, end);
      if (this.#left > 0) return end;
      this.#finish(this.#gathered.bytes);
      this.#gathered.clear();
    }
    this.#state = HEADER;
    return end;
  }

  /** §6.1; the pad length counts as padding. */
  #readPadLength(chunk: Uint8Array, at: number): number {
    if (at === chunk.length) return at;
    this.#padding = chunk[at] as number;
    this.#left -= 1 + this.#padding;
    if (this.#left < 0) throw paddingError(frameType.DATA, this.#padding);
    this.#state = DATA;
    return at + 1;
  }

  #readData(chunk: Uint8Array, at: number): number {
    const end = at + Math.min(chunk.length - at, this.#left);
    this.#left -= end - at;
    if (end > at) this.#handler.onData(this.#streamId, chunk.subarray(at, end));
    if (this.#left > 0) return end;
    if (this.#padding > 0) {
      this.#left = this.#padding;
      this.#state = PADDING;
    } else this.#endData();
    return end;
  }

  #endData(): void {
    this.#state = HEADER;
    this.#handler.onDataEnd(this.#streamId, (this.#flags & frameFlag.END_STREAM) !== 0);
  }

  #skip(chunk: Uint8Array, at: number): number {
    const end = at + Math.min(chunk.length - at, this.#left);
    this.#left -= end - at;
    if (this.#left > 0) return end;
    if (this.#state === PADDING) this.#endData();
    else this.#state = HEADER;
    return end;
  }

  /** §4.1, and every rule that can be judged from the header alone. */
  #begin(bytes: Uint8Array, at: number): void {
    const length = uint24(bytes, at);
    const type = bytes[at + 3] as number;
    const flags = bytes[at + 4] as number;
    const streamId = uint31(bytes, at + 5);
    this.#type = type;
    this.#flags = flags;
    this.#streamId = streamId;
    this.#left = length;
    this.#state = PAYLOAD;
    this.#handler.onFrame(type, flags, streamId, length);
    this.#checkSequence(type, flags, streamId);
    if (length > this.#limits.maxFrameBytes) {
      // §4.2 would let DATA cost only its stream; who breaks an announced limit is not worth skipping 16 MiB for.
      throw sizeError(type, length, `${this.#limits.maxFrameBytes} at most`);
    }
    if (type > frameType.CONTINUATION) {
      this.#state = SKIP;
      this.#handler.onUnknown(type, streamId, length);
      return;
    }
    if (connectionTypes.has(type)) {
      if (streamId !== 0) throw protocolError(`${frameName(type)} on stream ${streamId}`);
    } else if (streamId === 0 && type !== frameType.WINDOW_UPDATE) {
      throw protocolError(`${frameName(type)} on stream 0`);
    }
    this.#beginPayload(type, flags, streamId, length);
  }

  /** What may come where: SETTINGS first (§3.4), and nothing else within a field block (§4.3, §5.5, §6.10). */
  #checkSequence(type: number, flags: number, streamId: number): void {
    if (!this.#settingsSeen) {
      if (type !== frameType.SETTINGS || (flags & frameFlag.ACK) !== 0) {
        throw protocolError(`${frameName(type)} where its first SETTINGS should be`);
      }
      this.#settingsSeen = true;
    }
    const blockStreamId = this.#block.streamId;
    if (blockStreamId === 0) {
      if (type === frameType.CONTINUATION) throw protocolError('CONTINUATION of nothing');
    } else if (type !== frameType.CONTINUATION || streamId !== blockStreamId) {
      throw protocolError(
        `${frameName(type)} on stream ${streamId} within the field block of stream ${blockStreamId}`,
      );
    }
  }

  #beginPayload(type: number, flags: number, streamId: number, length: number): void {
    switch (type) {
      case frameType.DATA:
        this.#beginData(flags, streamId, length);
        break;
      case frameType.HEADERS:
        this.#block.checkHeaders(streamId, flags, length);
        break;
      case frameType.CONTINUATION:
        this.#block.checkContinuation(length);
        break;
      case frameType.SETTINGS:
        this.#checkSettingsLength(flags, length);
        break;
      case frameType.GOAWAY:
        if (length < 8) throw sizeError(type, length, '8 at least');
        break;
      case frameType.PUSH_PROMISE:
        throw protocolError('PUSH_PROMISE, which was never enabled');
      default: {
        const fixed = fixedLengths.get(type) as number;
        if (length === fixed) return;
        if (type !== frameType.PRIORITY) throw sizeError(type, length, `${fixed}`);
        // §6.3: this one costs only its stream.
        this.#state = SKIP;
        this.#handler.onStreamError(streamId, sizeError(type, length, `${fixed}`, streamId));
      }
    }
  }

  #beginData(flags: number, streamId: number, length: number): void {
    const padded = (flags & frameFlag.PADDED) !== 0;
    if (padded && length === 0) throw sizeError(frameType.DATA, 0, '1 at least with padding');
    this.#padding = 0;
    this.#state = padded ? PAD_LENGTH : DATA;
    this.#handler.onDataStart(streamId, length);
  }

  /** §6.5 */
  #checkSettingsLength(flags: number, length: number): void {
    if ((flags & frameFlag.ACK) !== 0) {
      if (length !== 0) throw sizeError(frameType.SETTINGS, length, '0 in an answer');
    } else if (length % SETTING_BYTES !== 0) {
      throw sizeError(frameType.SETTINGS, length, 'a multiple of 6');
    } else if (length > this.#limits.maxSettings * SETTING_BYTES) {
      throw wireError(
        errorCode.ENHANCE_YOUR_CALM,
        `the peer sent ${length / SETTING_BYTES} settings of ${this.#limits.maxSettings} at once`,
      );
    }
  }

  /** A whole payload is there. */
  #finish(payload: Uint8Array): void {
    const handler = this.#handler;
    const streamId = this.#streamId;
    const flags = this.#flags;
    switch (this.#type) {
      case frameType.HEADERS:
        this.#finishBlock(streamId, this.#block.begin(streamId, flags, payload));
        break;
      case frameType.CONTINUATION:
        this.#finishBlock(streamId, this.#block.add(flags, payload));
        break;
      case frameType.PRIORITY:
        if (uint31(payload, 0) === streamId) handler.onStreamError(streamId, selfDependency(streamId));
        else handler.onPriority(streamId);
        break;
      case frameType.RST_STREAM:
        handler.onRstStream(streamId, uint32(payload, 0));
        break;
      case frameType.SETTINGS:
        if ((flags & frameFlag.ACK) !== 0) handler.onSettingsAck();
        else handler.onSettings(this.#readSettings(payload));
        break;
      case frameType.PING:
        handler.onPing(payload, (flags & frameFlag.ACK) !== 0);
        break;
      case frameType.GOAWAY:
        handler.onGoAway(uint31(payload, 0), uint32(payload, 4), payload.subarray(8));
        break;
      default:
        this.#finishWindowUpdate(streamId, uint31(payload, 0));
    }
  }

  #finishBlock(streamId: number, block: Uint8Array | undefined): void {
    if (block === undefined) return;
    this.#handler.onHeaders(streamId, block, this.#block.endStream, this.#block.error);
    this.#block.clear();
  }

  /** §6.5.1 */
  #readSettings(payload: Uint8Array): Setting[] {
    const settings: Setting[] = [];
    for (let at = 0; at < payload.length; at += SETTING_BYTES) {
      const id = ((payload[at] as number) << 8) | (payload[at + 1] as number);
      const value = uint32(payload, at + 2);
      const wrong = wrongSetting(id, value, this.#role);
      if (wrong !== undefined) throw wireError(wrong, `the peer sent setting ${id} with the value ${value}`);
      settings.push([id, value]);
    }
    return settings;
  }

  /** §6.9: credit of nothing costs the stream, or on id 0 the connection. */
  #finishWindowUpdate(streamId: number, increment: number): void {
    if (increment !== 0) {
      this.#handler.onWindowUpdate(streamId, increment);
      return;
    }
    const message = 'the peer sent a WINDOW_UPDATE of 0';
    if (streamId === 0) throw wireError(errorCode.PROTOCOL_ERROR, message);
    this.#handler.onStreamError(streamId, wireError(errorCode.PROTOCOL_ERROR, message, streamId));
  }
}

import type { ProviderFeatures, StreamHeaders } from '../api.js';
import type { StreamError } from '../core/errors.js';
import type { FrameWriter } from '../core/frame-writer.js';
import { resetCodeOf } from '../core/read-reset.js';
import type { Session } from '../core/session.js';
import type { CoreStream } from '../core/stream.js';
import type { Reason, Wire } from '../core/wire.js';
import { FrameParser } from './codec.js';
import { encodeBlock, encodeReason, encodeSettings, writeHeader, writeUint32 } from './encode.js';
import {
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
  frameName,
  headerBytes,
  mostMaxFrame,
  preface,
  toWire,
} from './frames.js';
import { FramerReader } from './reader.js';

/** The code with which a connection ends. */
function connectionCode(error: StreamError): number {
  if (error.wireCode !== undefined) return error.wireCode;
  if (error.code === 'limit') return toWire('calm');
  if (error.code === 'timeout') return toWire('timeout');
  return toWire(error.reset ?? 'protocol-error');
}

/** The Simple Framer's side of a session: what the engine decides, in frames. */
export class FramerWire implements Wire {
  readonly name = 'framer';
  readonly features: ProviderFeatures = {
    headers: true,
    replyHeaders: true,
    trailers: true,
    flowControl: true,
    halfStop: true,
    ping: true,
    goAway: true,
  };
  readonly mergesData = true;
  readonly dataBeforeReply = true;
  readonly #session: Session;
  readonly #parser: FrameParser;

  constructor(session: Session) {
    this.#session = session;
    const { limits } = session;
    this.#parser = new FrameParser(new FramerReader(session, this), limits.maxFrameBytes, limits);
  }

  get framesDone(): number {
    return this.#parser.framesDone;
  }

  get isRecognised(): boolean {
    return this.#parser.isPastPreface;
  }

  get isMidFrame(): boolean {
    return this.#parser.isMidFrame;
  }

  receive(chunk: Uint8Array, from: number, maxFrames: number): number {
    return this.#parser.parse(chunk, from, maxFrames);
  }

  // ------------------------------------------------------------------ out

  preface(): void {
    const { limits, info, crediting } = this.#session;
    this.#writer.append(preface);
    const payload = encodeSettings({
      role: info.role,
      initialWindow: limits.windowBytes,
      connectionWindow: limits.receiveBudgetBytes,
      maxFrame: Math.min(limits.maxFrameBytes, mostMaxFrame),
      reserve: crediting.reserve,
    });
    this.#header(FRAME_SETTINGS, 0, 0, payload.length);
    this.#writer.append(payload);
  }

  headerBytes(headers: StreamHeaders): number {
    return encodeBlock(headers).length - 2;
  }

  open(stream: CoreStream, bytes: number, end: boolean): void {
    const block = encodeBlock(stream.headers);
    this.#header(FRAME_OPEN, end ? FLAG_END : 0, stream.id, 1 + block.length + bytes);
    const at = this.#writer.reserve(1);
    this.#writer.slab[at] = stream.urgency;
    this.#writer.append(block);
  }

  accept(stream: CoreStream, headers: StreamHeaders, bytes: number, end: boolean): void {
    const block = encodeBlock(headers);
    this.#header(FRAME_ACCEPT, end ? FLAG_END : 0, stream.id, block.length + bytes);
    this.#writer.append(block);
  }

  data(stream: CoreStream, bytes: number, end: boolean): void {
    this.#header(FRAME_DATA, end ? FLAG_END : 0, stream.id, bytes);
  }

  trailers(stream: CoreStream, headers: StreamHeaders): void {
    const block = encodeBlock(headers);
    this.#header(FRAME_TRAILERS, 0, stream.id, block.length);
    this.#writer.append(block);
  }

  refuse(id: number, code: Reason, reason: string, headers: StreamHeaders): void {
    const text = encodeReason(reason);
    const block = encodeBlock(headers);
    this.#header(FRAME_REFUSE, 0, id, 4 + text.length + block.length);
    this.#uint32(resetCodeOf(this.#session.streams.get(id), code, toWire));
    this.#writer.append(text);
    this.#writer.append(block);
  }

  reset(id: number, code: Reason, reason: string): void {
    const text = encodeReason(reason);
    this.#header(FRAME_RESET, 0, id, 4 + text.length);
    this.#uint32(toWire(code));
    this.#writer.append(text);
  }

  stop(id: number, code: Reason): void {
    this.#header(FRAME_STOP, 0, id, 4);
    this.#uint32(toWire(code));
  }

  credit(id: number, bytes: number): void {
    this.#header(FRAME_CREDIT, 0, id, 4);
    this.#uint32(bytes);
  }

  ping(payload: number): void {
    this.#header(FRAME_PING, 0, 0, 8);
    this.#uint32(0);
    this.#uint32(payload);
  }

  pong(payload: Uint8Array): void {
    this.#header(FRAME_PONG, 0, 0, payload.length);
    this.#writer.append(payload);
    this.#session.transmitter.schedule();
  }

  goAway(lastId: number, error: StreamError | null): void {
    const text = encodeReason(error === null ? '' : error.message);
    this.#header(FRAME_GOAWAY, 0, 0, 8 + text.length);
    this.#uint32(lastId);
    this.#uint32(error === null ? 0 : connectionCode(error));
    this.#writer.append(text);
  }

  get #writer(): FrameWriter {
    return this.#session.transmitter.writer;
  }

  #header(type: number, flags: number, id: number, length: number): void {
    const writer = this.#writer;
    const at = writer.reserve(headerBytes);
    writeHeader(writer.slab, at, type, flags, id, length);
    this.#session.showFrame('out', frameName(type), id, length, flags);
  }

  #uint32(value: number): void {
    const writer = this.#writer;
    const at = writer.reserve(4);
    writeUint32(writer.slab, at, value);
  }
}

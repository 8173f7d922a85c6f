import type { ProviderFeatures, StreamHeaders } from '../api.js';
import { noBytes, utf8 } from '../core/bytes.js';
import type { StreamError } from '../core/errors.js';
import type { FrameWriter } from '../core/frame-writer.js';
import { noHeaders } from '../core/headers.js';
import { resetCodeOf } from '../core/read-reset.js';
import type { Session } from '../core/session.js';
import type { CoreStream } from '../core/stream.js';
import { isLocalOver } from '../core/stream-state.js';
import type { HeadersUse, Reason, Wire } from '../core/wire.js';
import {
  FrameParser,
  headersByteLength,
  type Setting,
  writeFrameHeader,
  writeGoAway,
  writeHeaders,
  writePing,
  writePreface,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from './codec.js';
import {
  errorCode,
  FRAME_HEADER_BYTES,
  frameFlag,
  frameName,
  frameType,
  MAX_31_BITS,
  MIN_MAX_FRAME_BYTES,
  PREFACE,
  SETTINGS_SERVER_OPENS,
  START_WINDOW_BYTES,
  settingId,
} from './frames.js';
import { HpackEncoder } from './hpack.js';
import {
  checkHeaders,
  refusalFields,
  requestFields,
  responseFields,
  type Target,
  trailerFields,
} from './messages.js';
import { neverIndexedOf } from './never-indexed.js';
import { Http2Reader } from './reader.js';
import { goAwayCode, toWire } from './reasons.js';
import { ShiftedIds } from './shifted-ids.js';

/** What a new connection lets us open before its SETTINGS say: RFC 9113 §6.5.2 recommends no less. */
const startStreams = 100;

/** Our own data may be in longer pieces than this only if the peer asks for it; beyond, others would wait for it. */
const mostDataBytes = 64 * 1024;

const continueFields: readonly string[] = [':status', '100'];

/** As much of an error's message as GOAWAY repeats. */
const mostDebugBytes = 256;

/** Late and small frames, and pings, that a peer may send for what we sent it: what it owes us nothing for is a fault. */
const mostEarned = 4096;

/** Whoever arranges how a server opens streams. */
export interface Http2WireHost {
  /** The peer's first SETTINGS are here: a server may open streams on this connection, or may not. */
  agreed(serverOpens: boolean): void;
  /** The peer takes no new streams. */
  goesAway(): void;
  /** A request that is no stream of the application's is taken here; false for all others. */
  takes(stream: CoreStream): boolean;
}

export interface Http2WireOptions {
  readonly host?: Http2WireHost;
  /** Whether our SETTINGS let a server open streams, if the peer's do. */
  readonly announces?: boolean;
  /** A reverse session: on the wire, the server is the client. Ids are one lower there than they are here. */
  readonly swapped?: boolean;
  readonly lingersEnd?: boolean;
  /** Names of headers whose values go into no table (RFC 7541 §7.1.3). */
  readonly neverIndexed?: readonly string[];
}

/** HTTP/2's side of a session: what the engine decides, in frames (RFC 9113). */
export class Http2Wire implements Wire {
  readonly name = 'http2';
  readonly features: ProviderFeatures = {
    headers: true,
    replyHeaders: true,
    trailers: true,
    flowControl: true,
    halfStop: false,
    ping: true,
    goAway: true,
  };
  readonly mergesData = false;
  readonly dataBeforeReply = true;
  takesNone: string | null = null;
  framesDone = 0;
  readonly encoder: HpackEncoder;
  /** The longest payload that the peer takes. */
  maxFrameBytes: number = MIN_MAX_FRAME_BYTES;
  readonly #session: Session;
  readonly #target: Target;
  readonly #parser: FrameParser;
  /** Who we are on the wire. */
  readonly role: 'client' | 'server';
  /** The peer may open streams: it is a client, or a server of ours. */
  peerOpens: boolean;
  /** The peer's SETTINGS are those of this library. */
  peerIsOurs: boolean;
  readonly host: Http2WireHost | null;
  readonly announces: boolean;
  readonly lingersEnd: boolean;
  readonly #idShift: number;
  #plainRequest: readonly string[] | undefined;
  /** They have heard 100. */
  readonly #continued: WeakSet<CoreStream> = new WeakSet();
  /** Where field blocks are made. */
  #scratch: Uint8Array = noBytes;
  /** The last block, whose list it stands for, and at which change of the encoder: it would be the same bytes again. */
  #block: Uint8Array = this.#scratch;
  #encoded: readonly string[] | null = null;
  #encodedAt = 0;
  #earned = 0;
  /** What we have sent, and the peer has not given back as credit of the connection. */
  #unreturned = 0;

  constructor(session: Session, target: Target, options: Http2WireOptions) {
    const {
      host = null,
      announces = false,
      swapped = false,
      lingersEnd = false,
      neverIndexed = [],
    } = options;
    const { limits, info } = session;
    this.#session = session;
    this.#target = target;
    this.host = host;
    this.announces = announces;
    this.lingersEnd = lingersEnd;
    this.encoder = new HpackEncoder({ neverIndexed });
    this.role = swapped === (info.role === 'client') ? 'server' : 'client';
    this.peerIsOurs = swapped;
    this.peerOpens = this.role === 'server';
    this.#idShift = swapped ? 1 : 0;
    const reader = new Http2Reader(session, this);
    const handler = swapped ? new ShiftedIds(reader, this.#idShift) : reader;
    this.#parser = new FrameParser(handler, { role: this.role, limits });
  }

  receive(chunk: Uint8Array, from: number, maxFrames: number): number {
    this.framesDone = 0;
    return this.#parser.parse(chunk, from, maxFrames);
  }

  get isRecognised(): boolean {
    return this.#parser.isPastPreface;
  }

  get isMidFrame(): boolean {
    return !this.#parser.betweenFrames;
  }

  /** The acceptor's end, where that is wished: unless nobody reads any more what the opener says. */
  holdsEnd(stream: CoreStream): boolean {
    return this.lingersEnd && stream.origin === 'remote' && !stream.remoteOver && !stream.inbox.isStopped;
  }

  // ------------------------------------------------------------------ before anything is sent

  /** At most: how long it is exactly, the tables of the moment decide. */
  headerBytes(headers: StreamHeaders): number {
    return this.encoder.byteBound(trailerFields(headers));
  }

  checkHeaders(headers: StreamHeaders, use: HeadersUse): void {
    if (headers !== noHeaders) checkHeaders(headers, use, this.#target);
  }

  // ------------------------------------------------------------------ out

  preface(): void {
    const { limits, transmitter } = this.#session;
    const settings: Setting[] = [];
    if (this.role === 'client') {
      const start = this.#writer.reserve(PREFACE.length);
      writePreface(this.#writer.slab, start);
      settings.push([settingId.ENABLE_PUSH, 0]);
    }
    settings.push([settingId.MAX_CONCURRENT_STREAMS, Math.min(limits.maxStreams, MAX_31_BITS)]);
    settings.push([settingId.INITIAL_WINDOW_SIZE, limits.windowBytes]);
    if (limits.maxFrameBytes > MIN_MAX_FRAME_BYTES)
      settings.push([settingId.MAX_FRAME_SIZE, limits.maxFrameBytes]);
    settings.push([settingId.MAX_HEADER_LIST_SIZE, Math.min(limits.maxHeaderListBytes, MAX_31_BITS)]);
    settings.push([SETTINGS_SERVER_OPENS, this.announces ? 1 : 0]);
    const at = this.#frame(frameType.SETTINGS, 0, 0, settings.length * 6);
    writeSettings(this.#writer.slab, at, settings);
    const wider = limits.receiveBudgetBytes - START_WINDOW_BYTES;
    if (wider > 0) this.credit(0, wider);
    transmitter.maxDataBytes = MIN_MAX_FRAME_BYTES;
    // A server may open streams only if the client takes them, which its SETTINGS will say.
    transmitter.allowOpen(this.role === 'client' ? startStreams : 0);
  }

  settingsAck(): void {
    const at = this.#frame(frameType.SETTINGS, frameFlag.ACK, 0, 0);
    writeSettingsAck(this.#writer.slab, at);
    this.#session.transmitter.schedule();
  }

  /** The peer's MAX_FRAME_SIZE. */
  takesFrames(bytes: number): void {
    this.maxFrameBytes = bytes;
    this.#session.transmitter.maxDataBytes = Math.min(bytes, mostDataBytes);
  }

  open(stream: CoreStream, _bytes: number, end: boolean): void {
    this.earn(4);
    let fields: readonly string[];
    if (stream.headers === noHeaders && stream.urgency === 3) {
      this.#plainRequest ??= requestFields(noHeaders, this.#target, stream.urgency);
      fields = this.#plainRequest;
    } else fields = requestFields(stream.headers, this.#target, stream.urgency);
    this.#headers(stream.id, fields, end, stream.headers);
  }

  accept(stream: CoreStream, headers: StreamHeaders, _bytes: number, end: boolean): void {
    if (!end && Number(headers.get(':status') ?? 200) < 400) this.#continue(stream);
    this.#headers(stream.id, responseFields(headers), end, headers);
  }

  answersLater(stream: CoreStream): void {
    this.#continue(stream);
    this.#session.transmitter.schedule();
  }

  /**
   * Who keeps its body back until it hears 100 hears that it is read (RFC 9110 §10.1.1). A 200 alone would tell many that it
   * is not: curl behind Apache, the HttpClient of Java.
   */
  #continue(stream: CoreStream): void {
    if (stream.remoteOver || stream.inbox.isStopped || this.#continued.has(stream)) return;
    if (stream.headers.get('expect')?.toLowerCase() !== '100-continue') return;
    this.#continued.add(stream);
    this.#headers(stream.id, continueFields, false, noHeaders);
  }

  data(stream: CoreStream, bytes: number, end: boolean): void {
    // Credit for the connection, a ping, and credit for the stream, which Go's x/net/http2 gives in pieces of 4 KiB.
    this.earn(3 + (bytes >> 12));
    this.#unreturned += bytes;
    const flags = end ? frameFlag.END_STREAM : 0;
    const at = this.#frame(frameType.DATA, flags, stream.id, bytes, 0);
    writeFrameHeader(this.#writer.slab, at, bytes, frameType.DATA, flags, this.#wireId(stream.id));
  }

  /** Those of a request are left out: proxies drop them, and nginx ends the connection for them. */
  trailers(stream: CoreStream, headers: StreamHeaders): void {
    const fields = stream.origin === 'local' ? [] : trailerFields(headers);
    if (fields.length === 0) this.data(stream, 0, true);
    else this.#headers(stream.id, fields, true, headers);
  }

  refuse(id: number, code: Reason, _reason: string, headers: StreamHeaders): void {
    if (headers === noHeaders) {
      this.#reset(id, resetCodeOf(this.#session.streams.get(id), code, toWire));
      return;
    }
    this.#headers(id, refusalFields(headers, code), true, headers);
    // RFC 9113 §8.1: the response is complete, and the rest of the request is not wanted.
    if (this.#session.streams.get(id)?.remoteOver !== true) this.#reset(id, errorCode.NO_ERROR);
  }

  /** NO_ERROR from an acceptor means that its answer is complete (RFC 9113 §8.1); to Chromium it even is the end of it. */
  reset(id: number, code: Reason): void {
    const stream = this.#session.streams.get(id);
    const isEarly = code === 'no-error' && stream?.origin === 'remote' && !isLocalOver(stream.state);
    this.#reset(id, resetCodeOf(stream, isEarly ? 'cancel' : code, toWire));
  }

  /** A stream that is over here is broken by what still comes for it: the peer hears of it all the same (RFC 9113 §5.4.2). */
  resetGone(id: number, code: number): void {
    this.#reset(id, code);
    this.#session.transmitter.schedule();
  }

  #reset(id: number, code: number): void {
    const at = this.#frame(frameType.RST_STREAM, 0, id, 4);
    writeRstStream(this.#writer.slab, at, this.#wireId(id), code);
  }

  /**
   * Peers of ours hear the code. To others NO_ERROR says that the answer is complete, and that the rest of the request is
   * not wanted (RFC 9113 §8.1): any other code would be a failure.
   */
  stop(id: number, code: Reason): void {
    const isAnswer = code === 'cancel' && this.#session.streams.get(id)?.origin === 'remote';
    this.reset(id, isAnswer && !this.peerIsOurs ? 'no-error' : code);
  }

  credit(id: number, bytes: number): void {
    const at = this.#frame(frameType.WINDOW_UPDATE, 0, id, 4);
    writeWindowUpdate(this.#writer.slab, at, this.#wireId(id), bytes);
  }

  ping(payload: number): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setUint32(4, payload);
    const at = this.#frame(frameType.PING, 0, 0, 8);
    writePing(this.#writer.slab, at, bytes, false);
  }

  pong(payload: Uint8Array): void {
    const at = this.#frame(frameType.PING, frameFlag.ACK, 0, 8);
    writePing(this.#writer.slab, at, payload, true);
    this.#session.transmitter.schedule();
  }

  /**
   * The first of two steps (RFC 9113 §6.8): what the peer opens until it has heard is taken, and told by the second. A
   * PING goes behind, whose answer says that it has.
   */
  warn(): Promise<unknown> | null {
    if (!this.peerOpens) return null;
    this.#goAway(MAX_31_BITS, errorCode.NO_ERROR, '');
    return this.#session.pings.ping();
  }

  goAway(lastId: number, error: StreamError | null): void {
    if (error === null) this.#goAway(lastId, errorCode.NO_ERROR, '');
    else this.#goAway(lastId, goAwayCode(error), error.message);
  }

  #goAway(lastId: number, code: number, message: string): void {
    const debug = utf8.encode(message).subarray(0, mostDebugBytes);
    const at = this.#frame(frameType.GOAWAY, 0, 0, 8 + debug.length);
    writeGoAway(this.#writer.slab, at, lastId === MAX_31_BITS ? lastId : this.#wireId(lastId), code, debug);
  }

  // ------------------------------------------------------------------ what the peer may do for it

  /** Something of ours may be answered by late frames, by pings, and by credit in small pieces. */
  earn(frames: number): void {
    this.#earned = Math.min(this.#earned + frames, mostEarned);
  }

  /** Whether a late or small frame, or a ping, is covered by what was earned. */
  spend(): boolean {
    if (this.#earned === 0) return false;
    this.#earned--;
    return true;
  }

  /** Whether credit of the connection gives back what we sent. */
  returned(bytes: number): boolean {
    if (bytes > this.#unreturned) return false;
    this.#unreturned -= bytes;
    return true;
  }

  // ------------------------------------------------------------------ inside

  get #writer(): FrameWriter {
    return this.#session.transmitter.writer;
  }

  #wireId(id: number): number {
    return id === 0 ? 0 : id - this.#idShift;
  }

  /** Room for a frame; of its payload only `room` bytes are written here. */
  #frame(type: number, flags: number, id: number, length: number, room: number = length): number {
    const at = this.#writer.reserve(FRAME_HEADER_BYTES + room);
    if (this.#session.frames !== null) this.tell('out', type, flags, id, length);
    return at;
  }

  #headers(id: number, fields: readonly string[], end: boolean, headers: StreamHeaders): void {
    const block = this.#encode(fields, headers);
    const writer = this.#writer;
    const at = writer.reserve(headersByteLength(block.length, this.maxFrameBytes));
    writeHeaders(writer.slab, at, this.#wireId(id), block, end, this.maxFrameBytes);
    if (this.#session.frames !== null) this.#tellHeaders(id, block.length, end);
  }

  /** A view of `#scratch`, good until the next list is encoded. */
  #encode(fields: readonly string[], headers: StreamHeaders): Uint8Array {
    const { encoder } = this;
    const { changes } = encoder;
    if (fields === this.#encoded && changes === this.#encodedAt) return this.#block;
    const bound = encoder.byteBound(fields);
    if (bound > this.#scratch.length) this.#scratch = new Uint8Array(Math.max(512, bound));
    this.#block = this.#scratch.subarray(
      0,
      encoder.encodeInto(fields, this.#scratch, 0, neverIndexedOf(headers)),
    );
    this.#encoded = encoder.changes === changes ? fields : null;
    this.#encodedAt = changes;
    return this.#block;
  }

  #tellHeaders(id: number, length: number, end: boolean): void {
    const most = this.maxFrameBytes;
    for (let start = 0; start === 0 || start < length; start += most) {
      const last = start + most >= length ? frameFlag.END_HEADERS : 0;
      const flags = last | (start === 0 && end ? frameFlag.END_STREAM : 0);
      const type = start === 0 ? frameType.HEADERS : frameType.CONTINUATION;
      this.tell('out', type, flags, id, Math.min(most, length - start));
    }
  }

  /** Shows a frame to whoever observes. */
  tell(direction: 'in' | 'out', type: number, flags: number, id: number, length: number): void {
    this.#session.showFrame(direction, frameName(type), id, length, flags);
  }
}

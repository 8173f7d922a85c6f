import type { ProviderFeatures, StreamHeaders } from '../api.js';
import { utf8 } from '../core/bytes.js';
import type { FlowControl } from '../core/crediting.js';
import type { StreamError } from '../core/errors.js';
import type { FrameWriter } from '../core/frame-writer.js';
import { noHeaders } from '../core/headers.js';
import { resetCodeOf } from '../core/read-reset.js';
import type { Session } from '../core/session.js';
import type { CoreStream } from '../core/stream.js';
import type { Reason, Wire } from '../core/wire.js';
import {
  SpdyParser,
  settingsBytes,
  writeDataHeader,
  writeGoAway,
  writeHeadersHead,
  writePing,
  writeRstStream,
  writeSettings,
  writeSynReplyHead,
  writeSynStreamHead,
  writeWindowUpdate,
} from './codec.js';
import {
  FLAG_FIN,
  FLAG_UNIDIRECTIONAL,
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
  GOAWAY_BYTES,
  GOAWAY_FLOW_CONTROL_ERROR,
  GOAWAY_INTERNAL_ERROR,
  GOAWAY_OK,
  GOAWAY_PROTOCOL_ERROR,
  HEADERS_HEAD_BYTES,
  INITIAL_WINDOW_BYTES,
  MAX_STREAM_ID,
  PING_BYTES,
  RST_CANCEL,
  RST_FRAME_TOO_LARGE,
  RST_INTERNAL_ERROR,
  RST_STREAM_BYTES,
  resetStatus,
  SETTINGS_INITIAL_WINDOW_SIZE,
  SETTINGS_MAX_CONCURRENT_STREAMS,
  SETTINGS_OF_OURS,
  SYN_REPLY_HEAD_BYTES,
  SYN_STREAM_HEAD_BYTES,
  WINDOW_UPDATE_BYTES,
} from './frames.js';
import { HeaderBlockEncoder } from './header-block.js';
import { associatedTo, FRAME_DATA, isOneWay, withoutOptions } from './options.js';
import { SpdyReader } from './reader.js';

/** The zlib header with its dictionary; the head of a stored block, and what is behind it at most. */
const zlibHeaderBytes = 6;
const storedHeadBytes = 5;
const mostStoredBytes = 0xffff;
/** Who gives credit in small pieces has small windows: more than this is never on its way to it. */
const mostReturnable: number = 16 * 1024;

/** SPDY/3.1's side of a session: what the engine decides, in frames that Go's spdystream takes too. */
export class SpdyWire implements Wire {
  readonly name = 'spdy/3.1';
  readonly features: ProviderFeatures;
  readonly mergesData = false;
  /** Go reads nothing after a GOAWAY. */
  readonly goAwayLast = true;
  /** It has shown the setting that only ours have: it does as the specification says where Go does not. */
  peerIsOurs = false;
  readonly flowControl: FlowControl;
  readonly #session: Session;
  readonly #parser: SpdyParser;
  readonly #encoder: HeaderBlockEncoder;
  /** Credit in small pieces that can follow from what was sent: each byte is returned to its stream, and to all. */
  #returnable = 0;

  constructor(session: Session, flowControl: FlowControl) {
    this.#session = session;
    this.flowControl = flowControl;
    this.features = {
      headers: true,
      replyHeaders: true,
      trailers: true,
      flowControl: flowControl !== 'off',
      halfStop: false,
      ping: true,
      goAway: true,
    };
    const { limits } = session;
    this.#parser = new SpdyParser(new SpdyReader(session, this), limits);
    // The draft fixes what peers start with (§2.6.8), whatever we grant ourselves.
    session.peer.initialWindow = INITIAL_WINDOW_BYTES;
    session.peer.earlyConnectionWindow = INITIAL_WINDOW_BYTES;
    // The engine has measured headers before they come here.
    this.#encoder = new HeaderBlockEncoder({ maxHeaderBlockBytes: Number.POSITIVE_INFINITY });
  }

  /**
   * The peer is of ours, which says so before it gets any data, and how much of it the connection may have on its way: less
   * than the draft begins with, where it wants to keep less.
   */
  recognise(receiveBudgetBytes: number): void {
    if (this.peerIsOurs) return;
    this.peerIsOurs = true;
    const { peer } = this.#session;
    const connection = Math.min(INITIAL_WINDOW_BYTES, receiveBudgetBytes);
    if (!peer.windowless) peer.connectionWindow(connection);
    peer.earlyConnectionWindow = connection;
  }

  /** Go drops DATA before the SYN_REPLY, and says nothing. */
  get dataBeforeReply(): boolean {
    return this.peerIsOurs;
  }

  /** Go may take a reset for an end that comes before what its application has not read yet. */
  get losesUnread(): boolean {
    return !this.peerIsOurs;
  }

  get framesDone(): number {
    return this.#parser.framesDone;
  }

  get isRecognised(): boolean {
    return this.#session.isEstablished;
  }

  get isMidFrame(): boolean {
    return this.#parser.midFrame;
  }

  receive(chunk: Uint8Array, from: number, maxFrames: number): number {
    return this.#parser.parse(chunk, from, maxFrames);
  }

  /** With the zlib header and one empty block, as if this were the first. */
  headerBytes(headers: StreamHeaders): number {
    const bytes = listBytes(headers);
    return zlibHeaderBytes + storedHeadBytes * (Math.ceil(bytes / mostStoredBytes) + 1) + bytes;
  }

  /** What else a peer with our limits would not take: the values of one name together, the list, the frame. */
  checkHeaders(headers: StreamHeaders): void {
    const { maxHeaderValueBytes, maxHeaderListBytes, maxFrameBytes } = this.#session.limits;
    const frameBytes = maxFrameBytes - (SYN_STREAM_HEAD_BYTES - FRAME_HEADER_BYTES);
    let most = 64;
    for (const [name, value] of headers) most += 13 + 3 * (name.length + value.length);
    // Counting the bytes means encoding them, which only long ones need.
    if (most <= Math.min(maxHeaderValueBytes, maxHeaderListBytes, frameBytes)) return;
    const joined = new Map<string, number>();
    for (const [name, value] of headers) {
      const before = joined.get(name);
      const bytes = utf8.encode(value).length;
      joined.set(name, before === undefined ? bytes : before + 1 + bytes);
    }
    for (const [name, bytes] of joined) mustFit(`the values of header "${name}"`, bytes, maxHeaderValueBytes);
    mustFit('headers', listBytes(headers), maxHeaderListBytes);
    mustFit('headers', this.headerBytes(headers), frameBytes);
  }

  // ------------------------------------------------------------------ out

  preface(): void {
    const { limits, pings } = this.#session;
    const window = { id: SETTINGS_INITIAL_WINDOW_SIZE, flags: 0, value: limits.windowBytes };
    const entries = [
      { id: SETTINGS_MAX_CONCURRENT_STREAMS, flags: 0, value: Math.min(limits.maxStreams, MAX_STREAM_ID) },
      ...(this.flowControl === 'off' ? [] : [window]),
      { id: SETTINGS_OF_OURS, flags: 0, value: limits.receiveBudgetBytes },
    ];
    const size = settingsBytes(entries.length);
    writeSettings(this.#writer.slab, this.#reserve(size, FRAME_SETTINGS, 0, 0), entries, 0);
    // The connection starts with as much, whatever the SETTINGS say (§2.6.8).
    const more = limits.receiveBudgetBytes - INITIAL_WINDOW_BYTES;
    if (more > 0) this.credit(0, more);
    // Who only waits for streams says nothing: Go answers a PING, and is known to be there.
    void pings.ping();
  }

  open(stream: CoreStream, _bytes: number, end: boolean): void {
    const { headers, id } = stream;
    const oneWay = isOneWay(headers);
    const flags = (end ? FLAG_FIN : 0) | (oneWay ? FLAG_UNIDIRECTIONAL : 0);
    const frame = this.#encoder.encode(withoutOptions(headers), SYN_STREAM_HEAD_BYTES);
    const blockBytes = frame.length - SYN_STREAM_HEAD_BYTES;
    writeSynStreamHead(frame, 0, id, associatedTo(headers), stream.urgency, flags, blockBytes);
    this.#append(frame, FRAME_SYN_STREAM, flags, id);
    if (!oneWay) return;
    // Nobody answers it: the stream is open, and there is nothing to read.
    stream.peerAnswered(noHeaders);
    stream.peerEnded();
  }

  accept(stream: CoreStream, headers: StreamHeaders, _bytes: number, end: boolean): void {
    if (isOneWay(stream.headers)) return;
    const frame = this.#encoder.encode(headers, SYN_REPLY_HEAD_BYTES);
    const flags = end ? FLAG_FIN : 0;
    writeSynReplyHead(frame, 0, stream.id, flags, frame.length - SYN_REPLY_HEAD_BYTES);
    this.#append(frame, FRAME_SYN_REPLY, flags, stream.id);
  }

  data(stream: CoreStream, bytes: number, end: boolean): void {
    const flags = end ? FLAG_FIN : 0;
    const at = this.#writer.reserve(FRAME_HEADER_BYTES);
    writeDataHeader(this.#writer.slab, at, stream.id, bytes, flags);
    this.#returnable = Math.min(this.#returnable + 2 * bytes, mostReturnable);
    this.tell('out', FRAME_DATA, flags, stream.id, bytes);
  }

  /** Go makes a worker wait until the application asks for them, so only applications that want them send any. */
  trailers(stream: CoreStream, headers: StreamHeaders): void {
    this.#headers(stream.id, headers, FLAG_FIN);
  }

  /** RST_STREAM carries no headers: they go before it, where Go drops them and we do not. */
  refuse(id: number, code: Reason, _reason: string, headers: StreamHeaders): void {
    if (headers !== noHeaders) this.#headers(id, headers, 0);
    this.reset(id, code);
  }

  reset(id: number, code: Reason): void {
    const status = resetCodeOf(this.#session.streams.get(id), code, statusOf);
    const at = this.#reserve(RST_STREAM_BYTES, FRAME_RST_STREAM, 0, id);
    writeRstStream(this.#writer.slab, at, id, status);
  }

  stop(id: number, code: Reason): void {
    this.reset(id, code);
  }

  credit(id: number, bytes: number): void {
    if (this.flowControl === 'off') return;
    const at = this.#reserve(WINDOW_UPDATE_BYTES, FRAME_WINDOW_UPDATE, 0, id);
    writeWindowUpdate(this.#writer.slab, at, id, bytes);
  }

  /** Odd from the client, even from the server, and never 0, on which Go ends the connection. */
  ping(payload: number): void {
    this.#ping(2 * payload - (this.#session.info.role === 'client' ? 1 : 0));
  }

  pong(id: number): void {
    this.#ping(id);
    this.#session.transmitter.schedule();
  }

  goAway(lastId: number, error: StreamError | null): void {
    const at = this.#reserve(GOAWAY_BYTES, FRAME_GOAWAY, 0, 0);
    writeGoAway(this.#writer.slab, at, lastId, goAwayStatus(error));
  }

  /** Whether so small a piece of credit can be for data that was sent. Each byte counts once. */
  returned(bytes: number): boolean {
    if (bytes > this.#returnable) return false;
    this.#returnable -= bytes;
    return true;
  }

  /** Shows a frame to whoever observes; `length` is that of its content. */
  tell(direction: 'in' | 'out', type: number, flags: number, id: number, length: number): void {
    if (this.#session.frames === null) return;
    this.#session.showFrame(direction, type === FRAME_DATA ? 'DATA' : frameName(type), id, length, flags);
  }

  get #writer(): FrameWriter {
    return this.#session.transmitter.writer;
  }

  #headers(id: number, headers: StreamHeaders, flags: number): void {
    const frame = this.#encoder.encode(headers, HEADERS_HEAD_BYTES);
    writeHeadersHead(frame, 0, id, flags, frame.length - HEADERS_HEAD_BYTES);
    this.#append(frame, FRAME_HEADERS, flags, id);
  }

  /** Makes room for a whole frame, and tells of it. */
  #reserve(size: number, type: number, flags: number, id: number): number {
    this.tell('out', type, flags, id, size - FRAME_HEADER_BYTES);
    return this.#writer.reserve(size);
  }

  #append(frame: Uint8Array, type: number, flags: number, id: number): void {
    this.#writer.append(frame);
    this.tell('out', type, flags, id, frame.length - FRAME_HEADER_BYTES);
  }

  #ping(id: number): void {
    const at = this.#reserve(PING_BYTES, FRAME_PING, 0, 0);
    writePing(this.#writer.slab, at, id);
  }
}

/** About what a list takes before it is packed: each value as if its name were its own. */
function listBytes(headers: StreamHeaders): number {
  let bytes = 4;
  for (const [name, value] of headers) bytes += 8 + name.length + utf8.encode(value).length;
  return bytes;
}

function mustFit(what: string, bytes: number, most: number): void {
  if (bytes > most) throw new RangeError(`${what} of ${bytes} bytes are too long: ${most} is the limit`);
}

function statusOf(code: Reason): number {
  if (code === 'limit') return RST_FRAME_TOO_LARGE;
  if (code === 'timeout') return RST_CANCEL;
  if (code === 'calm') return RST_INTERNAL_ERROR;
  return resetStatus(code);
}

/** The status with which a connection ends. */
function goAwayStatus(error: StreamError | null): number {
  if (error === null) return GOAWAY_OK;
  if (error.wireCode !== undefined) return error.wireCode;
  if (error.reset === 'flow-control') return GOAWAY_FLOW_CONTROL_ERROR;
  return error.code === 'protocol' || error.code === 'limit' ? GOAWAY_PROTOCOL_ERROR : GOAWAY_INTERNAL_ERROR;
}

import { StreamError } from '../core/errors.js';
import { fromPeer, noHeaders } from '../core/headers.js';
import type { Session } from '../core/session.js';
import type { CoreStream } from '../core/stream.js';
import { isLocalOver } from '../core/stream-state.js';
import { maxCredit } from '../core/window.js';
import type { FrameHandler, Setting } from './codec.js';
import { trailersProblem } from './fields.js';
import {
  errorCode,
  errorName,
  SETTINGS_SERVER_OPENS,
  START_WINDOW_BYTES,
  settingId,
  uint32,
  wireError,
} from './frames.js';
import { type DecodedBlock, HpackDecoder } from './hpack.js';
import { LatelyEnded } from './lately-ended.js';
import { MessageReader } from './message-reader.js';
import { keepNeverIndexed } from './never-indexed.js';
import { fromWire } from './reasons.js';
import type { Http2Wire } from './wire.js';

/** Credit in smaller pieces is worth nothing, unless the peer's window is that small itself. */
const tinyCredit = 64;

/** A graceful end has two GOAWAY frames (RFC 9113 §6.8). */
const politeGoAways = 2;

/** What the peer's frames mean to the session, and which of them it may not send when (RFC 9113 §5, §8). */
export class Http2Reader implements FrameHandler {
  readonly #session: Session;
  readonly #wire: Http2Wire;
  readonly #decoder: HpackDecoder;
  readonly #messages: MessageReader;
  readonly #ended: LatelyEnded = new LatelyEnded();
  /** What is to come of streams that said how long they are. */
  readonly #lengths: WeakMap<CoreStream, number> = new WeakMap();
  #hasLengths = false;
  /** The stream of the DATA at hand, and how much of its payload is still to come. */
  #target: CoreStream | null = null;
  #left = 0;
  /** It has brought no byte so far, but perhaps padding. */
  #empty = true;
  #tinyCredit = tinyCredit;
  #goAways = 0;

  constructor(session: Session, wire: Http2Wire) {
    this.#session = session;
    this.#wire = wire;
    this.#decoder = new HpackDecoder(session.limits);
    this.#messages = new MessageReader(session.limits);
  }

  onFrame(type: number, flags: number, streamId: number, length: number): void {
    this.#wire.framesDone++;
    if (this.#session.frames !== null) this.#wire.tell('in', type, flags, streamId, length);
  }

  // ------------------------------------------------------------------ headers

  onHeaders(id: number, block: Uint8Array, end: boolean, error: StreamError | undefined): void {
    const decoded = this.#decoder.decode(block, id);
    const problem = error ?? decoded.error;
    const { peer, info } = this.#session;
    const ours = id % 2 === (info.role === 'client' ? 1 : 0);
    if (!ours && id > peer.lastId) this.#request(id, decoded, end, problem);
    else {
      const stream = this.#sending(id, 'HEADERS');
      if (stream === null) return;
      if (problem !== undefined) peer.broke(stream, problem);
      else if (ours && !stream.isAnswered) this.#response(stream, decoded, end);
      else this.#trailers(stream, decoded, end);
    }
  }

  #request(id: number, decoded: DecodedBlock, end: boolean, error: StreamError | undefined): void {
    const { peer, info, ending } = this.#session;
    if (!this.#wire.peerOpens) {
      throw wireError(
        errorCode.PROTOCOL_ERROR,
        `the peer opened stream ${id} without having said that it would`,
      );
    }
    const first = info.role === 'client' ? 2 : 1;
    this.#ended.opened(id, peer.lastId === 0 ? first : peer.lastId + 2);
    this.#wire.earn(4);
    const request = error ?? this.#messages.request(id, decoded);
    const isWrong = StreamError.is(request);
    const isLate = ending.isGoingAway && !ending.isWarning && !ending.isOver;
    const stream = peer.opened(id, isWrong ? request : request.headers, isWrong ? 3 : request.urgency);
    if (stream === null) {
      // GOAWAY has told of it, but a proxy may look only at the first one that comes.
      if (isLate) this.#session.sendRefusalOf(id, 'refused', '', noHeaders);
      return;
    }
    if (!isWrong) this.#expect(stream, request.length);
    const isHidden = this.#wire.host?.takes(stream) === true;
    if (!isHidden) this.#session.tell('accept', stream);
    if (end) this.#end(stream, undefined);
    if (!isHidden) peer.offered(stream);
  }

  #response(stream: CoreStream, decoded: DecodedBlock, end: boolean): void {
    const { peer } = this.#session;
    const response = this.#messages.response(stream.id, decoded);
    if (StreamError.is(response)) {
      peer.broke(stream, response);
      return;
    }
    const { headers, status } = response;
    if (status < 200) {
      // Interim responses (RFC 9113 §8.1) are read, and say nothing that a stream could tell.
      if (end) this.#broke(stream, errorCode.PROTOCOL_ERROR, `the peer ended it with :status ${status}`);
      else this.#useless();
      return;
    }
    if (end && status >= 300) {
      this.#ended.add(stream.id);
      if (!isLocalOver(stream.state)) this.#session.sendReset(stream, 'no-error', '');
      const word = status === 503 || status < 500 ? 'refused' : 'internal-error';
      peer.refused(stream, word, status, `:status ${status}`, headers, false);
    } else {
      const bodiless = status === 204 || status === 304 || stream.headers.get(':method') === 'HEAD';
      if (!bodiless) this.#expect(stream, response.length);
      stream.peerAnswered(headers);
      if (end) this.#end(stream, undefined);
    }
  }

  #trailers(stream: CoreStream, decoded: DecodedBlock, end: boolean): void {
    const { fields } = decoded;
    const wrong = end ? trailersProblem(fields) : 'HEADERS in mid stream do not end it';
    if (wrong !== undefined) {
      this.#broke(stream, errorCode.PROTOCOL_ERROR, wrong);
      return;
    }
    const headers = fromPeer(fields, this.#session.limits);
    if (StreamError.is(headers)) {
      this.#session.peer.broke(stream, headers);
      return;
    }
    keepNeverIndexed(headers, decoded);
    this.#end(stream, headers);
  }

  // ------------------------------------------------------------------ data

  onDataStart(id: number, length: number): void {
    this.#left = length;
    this.#empty = true;
    this.#target = this.#sending(id, 'DATA');
    const stream = this.#target;
    if (stream !== null && stream.origin === 'local' && !stream.isAnswered) {
      this.#broke(stream, errorCode.PROTOCOL_ERROR, 'the peer sent DATA before its HEADERS');
    }
  }

  onData(_id: number, chunk: Uint8Array): void {
    const bytes = chunk.length;
    this.#left -= bytes;
    this.#empty = false;
    const stream = this.#open;
    if (!this.#count(stream, bytes) || stream === null) return;
    if (this.#hasLengths && !this.#measure(stream, bytes)) return;
    this.#session.peer.data(stream, chunk);
  }

  onDataEnd(_id: number, end: boolean): void {
    const padding = this.#left;
    if (padding > 0) this.#pad(this.#open, padding);
    // Apache puts one before trailers.
    if (this.#empty && !end) this.#useless();
    const stream = this.#open;
    this.#target = null;
    if (end && stream !== null) this.#end(stream, undefined);
  }

  /** Padding counts against the windows (§6.1), and nobody reads it: the credit is returned at once. */
  #pad(stream: CoreStream | null, bytes: number): void {
    const { crediting } = this.#session;
    crediting.received(stream, bytes);
    if (stream === null) return;
    stream.inbox.window.unread -= bytes;
    crediting.released(stream, bytes);
  }

  /** The stream of the DATA at hand, unless it is over by now. */
  get #open(): CoreStream | null {
    return this.#target?.isOver === false ? this.#target : null;
  }

  /** Counts data against the windows; false if the stream's did not allow it. */
  #count(stream: CoreStream | null, bytes: number): boolean {
    try {
      this.#session.peer.sent(stream, bytes);
      return true;
    } catch (error) {
      // An overrun of a stream's window costs the stream, one of the connection's the connection (§6.9.1).
      if (stream === null || !StreamError.is(error) || error.streamId === undefined) throw error;
      this.#broke(stream, errorCode.FLOW_CONTROL_ERROR, error.message);
      return false;
    }
  }

  /** RFC 9113 §8.1.1: the DATA of a message that says its length is that long. */
  #expect(stream: CoreStream, length: number | undefined): void {
    if (length === undefined) return;
    this.#lengths.set(stream, length);
    this.#hasLengths = true;
  }

  #measure(stream: CoreStream, bytes: number): boolean {
    const left = this.#lengths.get(stream);
    if (left === undefined) return true;
    this.#lengths.set(stream, left - bytes);
    if (left >= bytes) return true;
    this.#broke(stream, errorCode.PROTOCOL_ERROR, 'the peer sent more than its content-length');
    return false;
  }

  // ------------------------------------------------------------------ streams

  onRstStream(id: number, code: number): void {
    const { peer } = this.#session;
    const stream = this.#known(id, 'RST_STREAM');
    if (stream === null) {
      this.#useless();
      return;
    }
    this.#ended.add(id);
    const word = fromWire(code);
    if (stream.origin === 'local' && !stream.isAnswered) peer.refused(stream, word, code, '', noHeaders);
    else if (
      code === errorCode.NO_ERROR &&
      stream.origin === 'local' &&
      stream.state === 'half-closed-remote'
    ) {
      // RFC 9113 §8.1: the response is complete, and the rest of our request is not wanted.
      peer.stopped(stream, word, code);
      stream.localEnded();
    } else peer.reset(stream, word, code, '');
  }

  onWindowUpdate(id: number, increment: number): void {
    const { peer } = this.#session;
    if (id === 0) {
      if (!this.#wire.returned(increment) || increment < this.#tinyCredit) this.#useless();
      peer.connectionCredit(increment);
      return;
    }
    const stream = this.#known(id, 'WINDOW_UPDATE');
    if (stream === null || !this.#isOwed(stream, increment)) this.#useless();
    if (stream === null) return;
    if (stream.outbox.window + increment <= maxCredit) peer.credit(stream, increment);
    else this.#broke(stream, errorCode.FLOW_CONTROL_ERROR, 'the peer raised its window above 2^31 - 1');
  }

  /** Whether credit gives back what was sent, in pieces that are worth it. Wider windows are made once, or now and then. */
  #isOwed({ outbox }: CoreStream, increment: number): boolean {
    return increment >= this.#tinyCredit && !outbox.hasEnded && increment <= outbox.unreturned;
  }

  /** Priorities in frames are deprecated (§5.3.2), and may come for any stream. */
  onPriority(): void {
    this.#useless();
  }

  onStreamError(id: number, error: StreamError): void {
    const { peer, streams } = this.#session;
    const stream = streams.get(id);
    if (stream?.announced) peer.broke(stream, error);
    else if (peer.wasOpened(id)) {
      peer.fault('error');
      this.#wire.resetGone(id, error.wireCode ?? errorCode.PROTOCOL_ERROR);
    }
    // There is no stream to reset.
    else throw wireError(error.wireCode ?? errorCode.PROTOCOL_ERROR, error.message);
  }

  // ------------------------------------------------------------------ the connection

  onSettings(settings: readonly Setting[]): void {
    const session = this.#session;
    const { peer, transmitter } = session;
    const first = !session.isEstablished;
    if (!first) peer.fault('settings');
    let windowBytes = first ? START_WINDOW_BYTES : peer.initialWindow;
    let maxStreams = first ? Number.POSITIVE_INFINITY : undefined;
    let serverOpens = false;
    for (const [id, value] of settings) {
      if (id === settingId.HEADER_TABLE_SIZE) this.#wire.encoder.setTableLimit(value);
      else if (id === settingId.MAX_CONCURRENT_STREAMS) maxStreams = value;
      else if (id === settingId.INITIAL_WINDOW_SIZE) windowBytes = value;
      else if (id === settingId.MAX_FRAME_SIZE) this.#wire.takesFrames(value);
      else if (id === SETTINGS_SERVER_OPENS) {
        this.#wire.peerIsOurs = true;
        serverOpens = value === 1;
      }
    }
    session.isEstablished = true;
    if (first) this.#agree(serverOpens);
    this.#setWindows(windowBytes);
    if (first) peer.connectionWindow(START_WINDOW_BYTES);
    if (maxStreams !== undefined) transmitter.allowOpen(maxStreams);
    this.#wire.settingsAck();
  }

  onSettingsAck(): void {
    this.#useless();
  }

  onPing(payload: Uint8Array, ack: boolean): void {
    const { peer } = this.#session;
    if (ack) peer.ponged(uint32(payload, 0) === 0 ? uint32(payload, 4) : 0);
    else {
      // grpc-go measures with one for each DATA, Go's x/net/http2 sends one with a reset.
      if (!this.#wire.spend()) peer.fault('ping');
      this.#wire.pong(payload);
    }
  }

  onGoAway(lastId: number, code: number, debug: Uint8Array): void {
    const { peer } = this.#session;
    if (++this.#goAways > politeGoAways) peer.fault('useless');
    const text = debug.length === 0 ? '' : `: ${new TextDecoder().decode(debug.subarray(0, 256))}`;
    const message = `the peer gave up the connection (${errorName(code)})${text}`;
    const error =
      code === errorCode.NO_ERROR
        ? null
        : new StreamError('closed', message, { remote: true, wireCode: code, reset: fromWire(code) });
    peer.goesAway(lastId, error);
    this.#wire.host?.goesAway();
  }

  onUnknown(): void {
    this.#session.peer.fault('useless');
  }

  /** §6.9.2: the new size changes the window of every stream; one above 2^31-1 is a fault of the connection. */
  #setWindows(bytes: number): void {
    const { peer, streams } = this.#session;
    const change = bytes - peer.initialWindow;
    if (change === 0) return;
    for (const { id, outbox } of streams.values()) {
      if (outbox.window + change > maxCredit) {
        throw wireError(
          errorCode.FLOW_CONTROL_ERROR,
          `the peer's SETTINGS raised the window of stream ${id} above 2^31 - 1`,
        );
      }
    }
    peer.windows(bytes);
    this.#tinyCredit = Math.min(tinyCredit, bytes >> 1);
  }

  /** Whether a server may open streams here: both ends have said so by now, or never will. */
  #agree(serverOpens: boolean): void {
    const agreed = serverOpens && this.#wire.announces;
    if (this.#session.info.role === 'client') this.#wire.peerOpens ||= agreed;
    this.#wire.host?.agreed(agreed);
  }

  // ------------------------------------------------------------------ inside

  /** The stream on which the peer sends headers or data; null if they are to be ignored. */
  #sending(id: number, what: string): CoreStream | null {
    const stream = this.#known(id, what);
    if (stream === null) {
      if (this.#ended.has(id)) {
        throw wireError(errorCode.STREAM_CLOSED, `the peer sent ${what} on stream ${id} after its end`);
      }
      this.#session.peer.find(id);
    } else if (stream.remoteOver) {
      this.#broke(stream, errorCode.STREAM_CLOSED, `the peer sent ${what} after its end`);
      return null;
    }
    return stream;
  }

  /** The stream of a frame; null if it is over. One that never was is a fault of the connection (§5.1). */
  #known(id: number, what: string): CoreStream | null {
    const stream = this.#session.streams.get(id);
    if (stream?.announced) return stream;
    if (this.#session.peer.wasOpened(id) && !this.#ended.wasSkipped(id)) return null;
    throw wireError(
      errorCode.PROTOCOL_ERROR,
      `the peer sent ${what} on stream ${id}, which was never opened`,
    );
  }

  #end(stream: CoreStream, trailers: ReturnType<typeof fromPeer> | undefined): void {
    if (this.#hasLengths) {
      const left = this.#lengths.get(stream) ?? 0;
      this.#lengths.delete(stream);
      if (left > 0) {
        this.#broke(
          stream,
          errorCode.PROTOCOL_ERROR,
          `the peer ended it ${left} bytes before its content-length`,
        );
        return;
      }
    }
    this.#ended.add(stream.id);
    if (StreamError.is(trailers)) return;
    stream.peerEnded(trailers);
    if (this.#wire.lingersEnd) this.#session.transmitter.ready(stream);
  }

  #broke(stream: CoreStream, code: number, what: string): void {
    this.#session.peer.broke(stream, wireError(code, what, stream.id));
  }

  /** A frame that does nothing: fine as far as it follows from what we sent, a fault beyond that. */
  #useless(): void {
    if (!this.#wire.spend()) this.#session.peer.fault('useless');
  }
}

import type { StreamHeaders } from '../api.js';
import { StreamError } from '../core/errors.js';
import { fromPeer, toHeaders } from '../core/headers.js';
import type { Session } from '../core/session.js';
import type { CoreStream } from '../core/stream.js';
import { maxCredit } from '../core/window.js';
import { settingsBytes } from './codec.js';
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
  GOAWAY_BYTES,
  GOAWAY_FLOW_CONTROL_ERROR,
  GOAWAY_INTERNAL_ERROR,
  GOAWAY_OK,
  HEADERS_HEAD_BYTES,
  MAX_WINDOW_BYTES,
  PING_BYTES,
  RST_FLOW_CONTROL_ERROR,
  RST_INVALID_STREAM,
  RST_PROTOCOL_ERROR,
  RST_STREAM_ALREADY_CLOSED,
  RST_STREAM_BYTES,
  RST_STREAM_IN_USE,
  resetCode,
  SETTINGS_INITIAL_WINDOW_SIZE,
  SETTINGS_MAX_CONCURRENT_STREAMS,
  SETTINGS_OF_OURS,
  type SpdyHandler,
  type SpdySetting,
  SYN_REPLY_HEAD_BYTES,
  SYN_STREAM_HEAD_BYTES,
  WINDOW_UPDATE_BYTES,
} from './frames.js';
import { HeaderBlockDecoder } from './header-block.js';
import { HeldHeaders, sizeOf } from './held-headers.js';
import { FRAME_DATA, isOneWay, withOptions } from './options.js';
import type { SpdyWire } from './wire.js';

/** Credit in smaller pieces is a fault, unless the peer's window is that small itself, and it is for what was sent. */
const tinyCredit = 64;

/** A block that unpacks to so many times its size costs us what it does not cost the peer: a fault for each of these. */
const heavyBytes = 16 * 1024;
const heavyTimes = 32;

/** Frames of data that are longer than this cost the peer more than us. */
const freeDataBytes = 1024;

/**
 * What the peer's frames mean to the session. Header blocks are unpacked before anything else is looked at, since those
 * of refused and forgotten streams belong to the same zlib stream as the others.
 */
export class SpdyReader implements SpdyHandler {
  readonly #session: Session;
  readonly #wire: SpdyWire;
  readonly #blocks: HeaderBlockDecoder;
  readonly #held: HeldHeaders;
  /** From HEADERS frames, until it shows what they belong to: a refusal, an answer or an end. */
  readonly #further: WeakMap<CoreStream, StreamHeaders> = new WeakMap();
  /** Streams that only we send on, and that the peer has answered. */
  readonly #needless: WeakSet<CoreStream> = new WeakSet();
  /** The stream of the DATA frame at hand. */
  #target: CoreStream | null = null;
  #tinyCredit = tinyCredit;

  constructor(session: Session, wire: SpdyWire) {
    this.#session = session;
    this.#wire = wire;
    this.#blocks = new HeaderBlockDecoder(session.limits);
    this.#held = new HeldHeaders(session);
  }

  synStream(id: number, associatedTo: number, priority: number, flags: number, block: Uint8Array): void {
    this.#seen(FRAME_SYN_STREAM, flags, id, SYN_STREAM_HEAD_BYTES + block.length);
    const { peer, limits } = this.#session;
    const flat = withOptions(this.#decode(block, id), associatedTo, flags);
    const bytes = this.#blocks.unpackedBytes;
    if (id <= peer.lastId && id % 2 === peer.lastId % 2) {
      this.#reused(id);
      return;
    }
    const headers = StreamError.is(flat) ? flat : fromPeer(flat, limits);
    const stream = peer.opened(id, this.#held.hasRoom(bytes) ? headers : tooMuchHeld(id), priority);
    if (stream === null) return;
    this.#held.hold(stream, bytes);
    this.#session.tell('accept', stream);
    if ((flags & FLAG_UNIDIRECTIONAL) !== 0) mute(stream);
    if ((flags & FLAG_FIN) !== 0) stream.peerEnded();
    peer.offered(stream);
  }

  synReply(id: number, flags: number, block: Uint8Array): void {
    this.#seen(FRAME_SYN_REPLY, flags, id, SYN_REPLY_HEAD_BYTES + block.length);
    const headers = this.#unpack(block, id);
    const stream = this.#find(id);
    if (stream === null) return;
    if (stream.origin === 'remote') {
      this.#broke(stream, RST_PROTOCOL_ERROR, 'the peer answered a stream that it had opened itself');
    } else if (isOneWay(stream.headers)) {
      // Go's applications may answer what needs no answer, once.
      if (this.#needless.has(stream)) this.#session.peer.fault('useless');
      this.#needless.add(stream);
    } else if (stream.isAnswered) {
      this.#broke(stream, RST_STREAM_IN_USE, 'the peer answered a second time');
    } else if (StreamError.is(headers)) {
      this.#session.peer.broke(stream, headers);
    } else {
      stream.peerAnswered(this.#withFurther(stream, headers));
      if ((flags & FLAG_FIN) !== 0) this.#end(stream);
    }
  }

  headers(id: number, flags: number, block: Uint8Array): void {
    this.#seen(FRAME_HEADERS, flags, id, HEADERS_HEAD_BYTES + block.length);
    const headers = this.#unpack(block, id);
    const stream = this.#find(id);
    if (stream === null) return;
    if (stream.remoteOver) {
      this.#broke(stream, RST_STREAM_ALREADY_CLOSED, 'the peer sent HEADERS after its end');
    } else if (StreamError.is(headers)) {
      this.#session.peer.broke(stream, headers);
    } else {
      if (this.#further.has(stream)) this.#session.peer.fault('useless');
      const all = this.#withFurther(stream, headers);
      const wrong = this.#excess(stream, all);
      if (wrong !== null) {
        const message = `stream ${id}: the peer sent more than ${wrong}`;
        this.#session.peer.broke(stream, new StreamError('limit', message, { streamId: id, remote: true }));
        return;
      }
      this.#further.set(stream, all);
      if ((flags & FLAG_FIN) !== 0) this.#end(stream);
    }
  }

  dataStart(id: number, length: number, flags: number): void {
    this.#seen(FRAME_DATA, flags, id, FRAME_HEADER_BYTES + length);
    // Without windows any number of them may be under way to a stream that we have reset.
    const isFree = this.#session.peer.windowless && length >= freeDataBytes;
    const stream = this.#find(id, isFree ? 0 : 1);
    this.#target = stream;
    if (stream === null) return;
    if (length === 0 && (flags & FLAG_FIN) === 0) this.#session.peer.fault('useless');
    if (stream.remoteOver) {
      this.#broke(stream, RST_STREAM_ALREADY_CLOSED, 'the peer sent DATA after its end');
    } else if (stream.origin === 'local' && !stream.isAnswered) {
      this.#broke(stream, RST_PROTOCOL_ERROR, 'the peer sent DATA before its SYN_REPLY');
    }
  }

  data(_id: number, chunk: Uint8Array, fin: boolean): void {
    const { peer } = this.#session;
    let stream = this.#target;
    if (stream?.isOver) stream = null;
    if (chunk.length > 0) {
      try {
        peer.sent(stream, chunk.length);
      } catch (error) {
        if (stream === null || !StreamError.is(error) || error.streamId === undefined) throw error;
        this.#broke(stream, RST_FLOW_CONTROL_ERROR, error.message);
        return;
      }
      if (stream !== null) peer.data(stream, chunk);
    }
    if (fin && stream !== null && !stream.isOver) this.#end(stream);
  }

  rstStream(id: number, status: number): void {
    this.#seen(FRAME_RST_STREAM, 0, id, RST_STREAM_BYTES);
    const { peer } = this.#session;
    if (!peer.wasOpened(id)) {
      peer.fault('useless');
      return;
    }
    const stream = peer.find(id);
    if (stream === null) return;
    if (stream.origin === 'remote' || stream.isAnswered) peer.reset(stream, resetCode(status), status, '');
    else peer.refused(stream, resetCode(status), status, '', this.#withFurther(stream, toHeaders(undefined)));
  }

  settings(entries: readonly SpdySetting[], flags: number): void {
    this.#seen(FRAME_SETTINGS, flags, 0, settingsBytes(entries.length));
    const { peer, transmitter } = this.#session;
    peer.fault('settings');
    const ours = entries.find(({ id }) => id === SETTINGS_OF_OURS);
    if (ours !== undefined) this.#recognised(ours.value);
    for (const { id, value } of entries) {
      if (id === SETTINGS_MAX_CONCURRENT_STREAMS) transmitter.allowOpen(value);
      if (id !== SETTINGS_INITIAL_WINDOW_SIZE) continue;
      this.#tinyCredit = Math.min(this.#tinyCredit, value >> 1);
      if (this.#wire.flowControl === 'off') continue;
      if (value > MAX_WINDOW_BYTES) throw flowControl(`the peer set windows of ${value} bytes`);
      peer.keepsToWindows();
      peer.windows(value);
    }
  }

  /** Data need not wait for replies any more, and what waits for one goes. */
  #recognised(receiveBudgetBytes: number): void {
    const { streams, transmitter } = this.#session;
    this.#wire.recognise(receiveBudgetBytes);
    this.#tinyCredit = Math.min(this.#tinyCredit, receiveBudgetBytes >> 1);
    for (const stream of streams.values()) {
      stream.outbox.settle();
      transmitter.ready(stream);
    }
  }

  windowUpdate(id: number, delta: number): void {
    this.#seen(FRAME_WINDOW_UPDATE, 0, id, WINDOW_UPDATE_BYTES);
    const { peer } = this.#session;
    if (delta < tinyCredit && (delta < this.#tinyCredit || !this.#wire.returned(delta)))
      peer.fault('useless');
    if (this.#wire.flowControl === 'off') return;
    peer.keepsToWindows();
    if (id === 0) {
      if (delta === 0) throw flowControl('the peer sent a WINDOW_UPDATE of 0 for the connection');
      peer.connectionCredit(delta);
      return;
    }
    const stream = this.#find(id);
    if (stream === null) return;
    if (delta === 0) this.#broke(stream, RST_PROTOCOL_ERROR, 'the peer sent a WINDOW_UPDATE of 0');
    else if (stream.outbox.window + delta <= maxCredit) peer.credit(stream, delta);
    else this.#broke(stream, RST_FLOW_CONTROL_ERROR, 'the peer raised the window above 2^31 - 1');
  }

  ping(id: number): void {
    this.#seen(FRAME_PING, 0, 0, PING_BYTES);
    const { peer, info } = this.#session;
    const parity = info.role === 'client' ? 1 : 0;
    if (id === 0) peer.fault('useless');
    else if (id % 2 === parity) peer.ponged((id + parity) / 2);
    else {
      peer.fault('ping');
      this.#wire.pong(id);
    }
  }

  goAway(lastGoodId: number, status: number): void {
    this.#seen(FRAME_GOAWAY, 0, 0, GOAWAY_BYTES);
    const word = goAwayWords.get(status) ?? 'protocol-error';
    const error =
      status === GOAWAY_OK
        ? null
        : new StreamError('closed', `the peer gave up the connection (${word}, status ${status})`, {
            remote: true,
            wireCode: status,
            reset: word,
          });
    this.#session.peer.goesAway(lastGoodId, error);
  }

  unknown(type: number, flags: number, length: number): void {
    this.#seen(type, flags, 0, FRAME_HEADER_BYTES + length);
    this.#session.peer.fault('useless');
  }

  // ------------------------------------------------------------------ inside

  /** A frame came: the peer speaks SPDY, whatever else is wrong with it. `size` is that of the whole frame. */
  #seen(type: number, flags: number, id: number, size: number): void {
    this.#session.isEstablished = true;
    if (this.#session.frames !== null) this.#wire.tell('in', type, flags, id, size - FRAME_HEADER_BYTES);
  }

  #decode(block: Uint8Array, id: number): string[] | StreamError {
    const flat = this.#blocks.decode(block, id);
    let { unpackedBytes } = this.#blocks;
    const isHeavy = unpackedBytes > heavyTimes * block.length;
    for (; isHeavy && unpackedBytes > heavyBytes; unpackedBytes -= heavyBytes) {
      this.#session.peer.fault('useless');
    }
    return flat;
  }

  #unpack(block: Uint8Array, id: number): StreamHeaders | StreamError {
    const flat = this.#decode(block, id);
    return StreamError.is(flat) ? flat : fromPeer(flat, this.#session.limits);
  }

  /** What is too much about all that HEADERS have said of a stream; null if nothing is. */
  #excess(stream: CoreStream, all: StreamHeaders): string | null {
    const { maxHeaders, maxHeaderListBytes } = this.#session.limits;
    if ([...all].length > maxHeaders) return `${maxHeaders} headers`;
    const bytes = sizeOf(all);
    if (bytes > maxHeaderListBytes) return `${maxHeaderListBytes} bytes of headers`;
    const opening = stream.origin === 'remote' ? sizeOf(stream.headers) : 0;
    return this.#held.hold(stream, opening + bytes)
      ? null
      : 'there is room for in the headers of all streams';
  }

  /** The stream of a frame; null if it is over, or never was: the peer is told of the latter. */
  #find(id: number, weight = 1): CoreStream | null {
    const { peer } = this.#session;
    if (peer.wasOpened(id)) return peer.find(id, true, weight);
    peer.fault('error');
    this.#reset(id, RST_INVALID_STREAM);
    return null;
  }

  #reused(id: number): void {
    const { peer, streams } = this.#session;
    const stream = streams.get(id);
    if (stream !== undefined) {
      this.#broke(stream, RST_PROTOCOL_ERROR, 'the peer opened it a second time');
      return;
    }
    peer.fault('error');
    this.#reset(id, RST_PROTOCOL_ERROR);
  }

  #reset(id: number, status: number): void {
    this.#wire.reset(id, status);
    this.#session.transmitter.schedule();
  }

  #broke(stream: CoreStream, wireCode: number, what: string): void {
    const message = what.startsWith('stream ') ? what : `stream ${stream.id}: ${what}`;
    const code = wireCode === RST_FLOW_CONTROL_ERROR ? 'flow-control' : 'protocol';
    const reset = code === 'protocol' ? 'protocol-error' : code;
    const details = { streamId: stream.id, remote: true, wireCode, reset } as const;
    this.#session.peer.broke(stream, new StreamError(code, message, details));
  }

  #end(stream: CoreStream): void {
    const trailers = this.#further.get(stream);
    this.#further.delete(stream);
    stream.peerEnded(trailers);
  }

  /** What HEADERS have said of the stream so far, and `headers` after it. */
  #withFurther(stream: CoreStream, headers: StreamHeaders): StreamHeaders {
    const before = this.#further.get(stream);
    if (before === undefined) return headers;
    this.#further.delete(stream);
    return toHeaders([...before, ...headers]);
  }
}

function tooMuchHeld(streamId: number): StreamError {
  const message = `stream ${streamId}: the headers of those that are open leave no room for its own`;
  return new StreamError('refused', message, { streamId, reset: 'refused' });
}

/** The peer alone sends: what there is to send has ended, and the stream is over once all of it is read. */
function mute({ outbox }: CoreStream): void {
  void outbox.end(null);
  outbox.ended();
}

const goAwayWords: ReadonlyMap<number, 'internal-error' | 'flow-control'> = new Map([
  [GOAWAY_INTERNAL_ERROR, 'internal-error'],
  [GOAWAY_FLOW_CONTROL_ERROR, 'flow-control'],
]);

function flowControl(message: string): StreamError {
  return new StreamError('flow-control', message, {
    remote: true,
    wireCode: GOAWAY_FLOW_CONTROL_ERROR,
    reset: 'flow-control',
  });
}

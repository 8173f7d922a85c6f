import type { StreamHeaders } from '../api.js';
import { StreamError, violation } from '../core/errors.js';
import { fromPeer } from '../core/headers.js';
import type { Session } from '../core/session.js';
import type { CoreStream } from '../core/stream.js';
import { trickle } from '../core/window.js';
import type { FrameHandler } from './codec.js';
import { codes, frameName, fromWire, type Settings } from './frames.js';
import type { HeaderBlock } from './payload.js';
import type { FramerWire } from './wire.js';

/** Credit in smaller pieces is a fault, unless the peer's window is that small itself. */
const tinyCredit = 64;

/** What the peer's frames mean to the session, and which of them it may not send when (SPEC §3 to §6). */
export class FramerReader implements FrameHandler {
  readonly #session: Session;
  readonly #wire: FramerWire;
  #tinyCredit = tinyCredit;

  constructor(session: Session, wire: FramerWire) {
    this.#session = session;
    this.#wire = wire;
  }

  frame(type: number, flags: number, id: number, length: number): void {
    this.#session.showFrame('in', frameName(type), id, length, flags);
  }

  settings(settings: Settings): void {
    const session = this.#session;
    if (settings.role === session.info.role) {
      throw violation(
        `both ends of the connection are the ${settings.role}: give one of them the other role`,
      );
    }
    const { initialWindow, connectionWindow, reserve = 0 } = settings;
    const least = reserve === 0 ? tinyCredit : trickle(reserve) >> 1;
    this.#tinyCredit = Math.min(tinyCredit, least, initialWindow >> 1, connectionWindow >> 1);
    session.isEstablished = true;
    session.peer.windows(settings.initialWindow);
    session.transmitter.reserve = reserve;
    session.peer.connectionWindow(settings.connectionWindow);
  }

  open(id: number, urgency: number, block: HeaderBlock, data: Uint8Array, end: boolean): void {
    const session = this.#session;
    const headers =
      urgency <= 7 ? this.#headers(block) : violation(`the peer opened stream ${id} with urgency ${urgency}`);
    const stream = session.peer.opened(id, headers, urgency);
    if (stream !== null) session.tell('accept', stream);
    this.#take(stream, data, end);
    if (stream !== null) session.peer.offered(stream);
  }

  accept(id: number, block: HeaderBlock, data: Uint8Array, end: boolean): void {
    const stream = this.#toAnswer(id);
    if (stream !== null) {
      const headers = this.#headers(block);
      if (StreamError.is(headers)) this.#session.peer.broke(stream, headers);
      else stream.peerAnswered(headers);
    }
    this.#take(stream, data, end);
  }

  refuse(id: number, code: number, reason: string, block: HeaderBlock): void {
    const stream = this.#toAnswer(id);
    if (stream === null) return;
    const headers = this.#headers(block);
    if (StreamError.is(headers)) this.#session.peer.broke(stream, headers);
    else this.#session.peer.refused(stream, fromWire(code), code, reason, headers);
  }

  data(id: number, chunk: Uint8Array, last: boolean, end: boolean): void {
    const stream = this.#session.peer.find(id, last);
    if (stream !== null) this.#mustBeSending(stream);
    if (chunk.length === 0 && !end) this.#session.peer.fault('useless');
    this.#take(stream, chunk, end);
  }

  trailers(id: number, block: HeaderBlock): void {
    const stream = this.#session.peer.find(id);
    if (stream === null) return;
    this.#mustBeSending(stream);
    const headers = this.#headers(block);
    if (StreamError.is(headers)) this.#session.peer.broke(stream, headers);
    else stream.peerEnded(headers);
  }

  credit(id: number, bytes: number): void {
    const session = this.#session;
    if (bytes === 0) throw violation(`the peer sent a credit of 0 for stream ${id}`, 'flow-control');
    if (bytes < this.#tinyCredit) session.peer.fault('useless');
    if (id === 0) session.peer.connectionCredit(bytes);
    else {
      const stream = session.peer.find(id);
      if (stream !== null) session.peer.credit(stream, bytes);
    }
  }

  stop(id: number, code: number): void {
    const stream = this.#session.peer.find(id);
    if (stream !== null) this.#session.peer.stopped(stream, fromWire(code), code);
  }

  reset(id: number, code: number, reason: string): void {
    const stream = this.#session.peer.find(id);
    if (stream !== null) this.#session.peer.reset(stream, fromWire(code), code, reason);
  }

  ping(payload: Uint8Array): void {
    this.#session.peer.fault('ping');
    this.#wire.pong(payload);
  }

  pong(payload: Uint8Array): void {
    const view = new DataView(payload.buffer, payload.byteOffset, 8);
    this.#session.peer.ponged(view.getUint32(0) === 0 ? view.getUint32(4) : 0);
  }

  goAway(lastId: number, code: number, reason: string): void {
    const message = `the peer gave up the connection (${fromWire(code)})${reason && `: ${reason}`}`;
    const error =
      code === codes['no-error']
        ? null
        : new StreamError('closed', message, { remote: true, wireCode: code, reset: fromWire(code) });
    this.#session.peer.goesAway(lastId, error);
  }

  skip(): void {
    this.#session.peer.fault('useless');
  }

  #headers({ flat, error }: HeaderBlock): StreamHeaders | StreamError {
    return error ?? fromPeer(flat, this.#session.limits);
  }

  /** A stream of ours that waits for its answer. */
  #toAnswer(id: number): CoreStream | null {
    const stream = this.#session.peer.find(id);
    if (stream !== null && (stream.origin === 'remote' || stream.isAnswered)) {
      throw violation(`the peer answered stream ${id}, which does not wait for it`);
    }
    return stream;
  }

  #mustBeSending(stream: CoreStream): void {
    if (stream.remoteOver) throw violation(`the peer sent data on stream ${stream.id} after its end`);
    if (stream.origin === 'local' && !stream.isAnswered) {
      throw violation(`the peer sent data on stream ${stream.id} before its answer`);
    }
  }

  #take(stream: CoreStream | null, data: Uint8Array, end: boolean): void {
    const session = this.#session;
    // An answer can have broken the stream: its data still counts for the connection.
    const target = stream?.isOver ? null : stream;
    if (data.length > 0) {
      session.peer.sent(target, data.length);
      if (target !== null) session.peer.data(target, data);
    }
    if (end && target !== null && !target.isOver) target.peerEnded();
  }
}

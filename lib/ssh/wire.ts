import type { ProviderFeatures, StreamHeaders } from '../api.js';
import { utf8 } from '../core/bytes.js';
import type { StreamError } from '../core/errors.js';
import type { FrameWriter } from '../core/frame-writer.js';
import { noHeaders } from '../core/headers.js';
import { resetCodeOf } from '../core/read-reset.js';
import type { Session } from '../core/session.js';
import type { CoreStream } from '../core/stream.js';
import type { HeadersUse, Reason, Wire } from '../core/wire.js';
import { Channel, type ChannelKind, ChannelTable } from './channel.js';
import { type Field, fieldsLength, headerFields, readMessage, writeFields, writeUint32 } from './codec.js';
import type { Forwards } from './forwards.js';
import {
  EXTENDED_STDERR,
  MAX_DATA_BYTES,
  MAX_FIRST_BYTES,
  MSG_CHANNEL_CLOSE,
  MSG_CHANNEL_DATA,
  MSG_CHANNEL_EOF,
  MSG_CHANNEL_EXTENDED_DATA,
  MSG_CHANNEL_FAILURE,
  MSG_CHANNEL_OPEN,
  MSG_CHANNEL_OPEN_CONFIRMATION,
  MSG_CHANNEL_OPEN_FAILURE,
  MSG_CHANNEL_REQUEST,
  MSG_CHANNEL_SUCCESS,
  MSG_CHANNEL_WINDOW_ADJUST,
  MSG_DISCONNECT,
  MSG_GLOBAL_REQUEST,
  messageName,
  REQUEST_HEADERS,
  REQUEST_KEEPALIVE,
  REQUEST_RESET,
} from './frames.js';
import type { SshLink } from './link.js';
import type { SshChannel, SshLimitValues } from './options.js';
import { SshReader } from './reader.js';
import { disconnectReason, openReason, toWire } from './reasons.js';
import { checkOpen, encodeOpen, isSession, kindOf, typeOf } from './standard-types.js';

/** Every channel may have a packet's worth of window, however much is unread elsewhere. */
const leastWindowBytes = MAX_DATA_BYTES;
/** Messages between us and the link have their length before them. */
const lengthBytes = 4;
/** What a message of data has before the data: type, recipient, length. */
const dataHeadBytes = 9;
/** As much of a refusal's or an error's text as is sent. */
const mostTextLength = 256;

/** What our answer to a global request is to be: the peer's come in the order of the requests. */
export type GlobalReply = { readonly ping: number } | { settled(data: Uint8Array | null): void };

/**
 * SSH's side of a session: what the engine decides, in messages of the connection protocol (RFC 4254). A message is
 * the payload of a packet; here it has its length before it, so that the link knows where it ends.
 */
export class SshWire implements Wire {
  readonly name = 'ssh';
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
  readonly dataBeforeReply = false;
  readonly endsApart = true;
  /** DISCONNECT ends everything: it is said when the last stream is over. */
  readonly goAwayLast = true;
  readonly isMidFrame = false;
  readonly framesDone = 1;
  readonly channels: ChannelTable = new ChannelTable();
  readonly serve: ReadonlySet<SshChannel>;
  /** Our global requests that wait for an answer. */
  readonly globals: GlobalReply[] = [];
  /** Where the peer's end of this connection has us listen, and the other way round. */
  forwards: Forwards | null = null;
  readonly #session: Session;
  readonly #link: SshLink;
  readonly #reader: SshReader;
  /** Channels of streams that are not sent yet. */
  readonly #prepared: WeakMap<CoreStream, Channel> = new WeakMap();

  constructor(session: Session, link: SshLink, serve: readonly SshChannel[]) {
    this.#session = session;
    this.#link = link;
    this.serve = new Set(serve);
    this.#reader = new SshReader(session, this);
    link.tell({
      loggedIn: () => {
        session.isEstablished = true;
        session.transmitter.allowOpen(Number.POSITIVE_INFINITY);
      },
      failed: (error) => session.ending.fail(error),
      isOver: () => session.ending.isOver,
      fault: (kind) => session.peer.fault(kind),
    });
  }

  get limits(): SshLimitValues {
    return this.#session.limits as SshLimitValues;
  }

  /** The other end is one of ours: it sends headers with each acceptance, and knows our requests. */
  get peerIsOurs(): boolean {
    return this.#link.peerIsOurs;
  }

  get isRecognised(): boolean {
    return this.#session.isEstablished;
  }

  /** A chunk of the link is one message. */
  receive(chunk: Uint8Array): number {
    if (this.#session.frames !== null) this.#reader.tell(chunk);
    readMessage(chunk, this.#reader);
    return chunk.length;
  }

  headerBytes(headers: StreamHeaders): number {
    let bytes = 4;
    for (const [name, value] of headers) bytes += 8 + name.length + utf8.encode(value).length;
    return bytes;
  }

  checkHeaders(headers: StreamHeaders, use: HeadersUse): void {
    if (use === 'open' && headers !== noHeaders) checkOpen(headers, this.#session.info.role);
  }

  // ------------------------------------------------------------------ out

  preface(): void {
    const { transmitter } = this.#session;
    transmitter.maxDataBytes = MAX_DATA_BYTES;
    // What an opening may have in it depends on who the peer is.
    transmitter.allowOpen(0);
  }

  /** What a stream of ours has beyond others is there before it is sent. */
  prepare(stream: CoreStream): void {
    if (!isSession(kindOf(stream.headers))) return;
    const channel = this.#channelOf(stream);
    this.#reader.sessions.opening(channel, stream);
    this.#prepared.set(stream, channel);
  }

  openingBytes(stream: CoreStream): number {
    const takes = this.#link.peerMerges && kindOf(stream.headers) === 'stream';
    return takes ? MAX_FIRST_BYTES : 0;
  }

  open(stream: CoreStream, bytes: number, end: boolean): void {
    const channel = this.#prepared.get(stream) ?? this.#channelOf(stream);
    const kind = channel.kind as ChannelKind;
    this.channels.add(channel);
    this.channels.number(channel);
    this.lease(channel);
    const fields: Field[] = [typeOf(kind), channel.local, channel.windowBytes, MAX_DATA_BYTES];
    if (kind === 'stream') fields.push(...headerFields(stream.headers));
    else fields.push(encodeOpen(kind, stream.headers));
    if (bytes > 0 || end) fields.push(end, bytes);
    channel.eofSent = end;
    this.#put(stream.id, MSG_CHANNEL_OPEN, fields, bytes);
  }

  accept(stream: CoreStream, headers: StreamHeaders): void {
    const channel = this.channels.byId(stream.id) as Channel;
    if (channel.session !== null) {
      this.#reader.sessions.accepted(channel);
      return;
    }
    const { isStream } = channel;
    if (isStream && this.#link.peerMerges && !channel.isConfirmed) {
      this.lease(channel);
      this.confirm(channel, headerFields(headers));
      return;
    }
    this.#confirmNow(channel);
    if (isStream && (this.peerIsOurs || headers !== noHeaders)) this.#sendHeaders(channel, headers);
  }

  /** Grants the window now; the headers follow, or a reset that is a refusal then. Standard channels can only be refused before. */
  answersLater(stream: CoreStream): void {
    const channel = this.channels.byId(stream.id) as Channel;
    if (channel.isStream) this.#confirmNow(channel);
  }

  #confirmNow(channel: Channel): void {
    if (channel.isConfirmed) return;
    this.lease(channel);
    this.confirm(channel);
  }

  data(stream: CoreStream, bytes: number, end: boolean): void {
    const channel = this.channels.byId(stream.id);
    if (channel === undefined || channel.closeSent) return;
    if (bytes > 0) {
      const at = this.#reserve(lengthBytes + dataHeadBytes);
      const { slab } = this.#writer;
      writeUint32(slab, at, dataHeadBytes + bytes);
      slab[at + 4] = MSG_CHANNEL_DATA;
      writeUint32(slab, at + 5, channel.remote);
      writeUint32(slab, at + 9, bytes);
      this.#reader.earn();
      if (this.#session.frames !== null) this.tell('out', MSG_CHANNEL_DATA, stream.id, dataHeadBytes + bytes);
    } else if (end) this.#end(channel, null);
  }

  trailers(stream: CoreStream, headers: StreamHeaders): void {
    const channel = this.channels.byId(stream.id);
    if (channel !== undefined && !channel.closeSent) this.#end(channel, headers);
  }

  /** There is no place for headers in a refusal: they follow its text, one in a line. */
  refuse(id: number, code: Reason, reason: string, headers: StreamHeaders): void {
    const channel = this.channels.byId(id);
    if (channel === undefined) return;
    if (channel.session !== null) {
      this.#reader.sessions.refused(channel);
      return;
    }
    const lines = [reason.slice(0, mostTextLength)];
    if (channel.isStream) for (const [name, value] of headers) lines.push(`${name}: ${value}`);
    const text = lines.join('\n');
    const read = resetCodeOf(channel.stream, code, toWire);
    if (channel.isConfirmed) {
      this.request(channel, REQUEST_RESET, false, read, text);
      this.close(channel);
    } else {
      const said = read === toWire(code) ? code : 'cancel';
      this.refuseOpen(channel, openReason(said, channel.isStream, reason !== ''), text);
    }
  }

  refuseOpen(channel: Channel, reason: number, text: string): void {
    this.send(channel.id, MSG_CHANNEL_OPEN_FAILURE, channel.remote, reason, text, '');
    this.channels.remove(channel);
  }

  reset(id: number, code: Reason, reason: string): void {
    const channel = this.channels.byId(id);
    if (channel === undefined || channel.closeSent) return;
    if (channel.isConfirmed) this.#reset(channel, code, reason);
    else if (channel.origin === 'remote') this.refuse(id, code, reason || 'the stream was reset', noHeaders);
    else {
      channel.resetDue = { code, reason };
      // A peer of ours need not accept it first, only to be told then.
      if (channel.isStream && this.peerIsOurs) {
        this.#global(
          channel.id,
          REQUEST_RESET,
          false,
          channel.local,
          toWire(code),
          reason.slice(0, mostTextLength),
        );
      }
    }
  }

  stop(id: number, code: Reason): void {
    this.reset(id, code, '');
  }

  credit(id: number, bytes: number): void {
    const channel = this.channels.byId(id);
    if (channel === undefined || !channel.isConfirmed || channel.closeSent) return;
    const at = this.#reserve(lengthBytes + 9);
    const { slab } = this.#writer;
    writeUint32(slab, at, 9);
    slab[at + 4] = MSG_CHANNEL_WINDOW_ADJUST;
    writeUint32(slab, at + 5, channel.remote);
    writeUint32(slab, at + 9, bytes);
    this.tell('out', MSG_CHANNEL_WINDOW_ADJUST, id, 9);
  }

  /** Whoever does not know the request says so, which is an answer too. */
  ping(payload: number): void {
    this.globals.push({ ping: payload });
    this.#global(0, REQUEST_KEEPALIVE, true);
  }

  /** There is no last id: what was read is told to be accepted, or it would be told to have been refused. */
  goAway(_lastId: number, error: StreamError | null): void {
    for (const stream of this.#session.streams.values()) this.#session.sayAccepted(stream);
    const text = (error?.message ?? '').slice(0, mostTextLength);
    this.send(0, MSG_DISCONNECT, disconnectReason(error), text, '');
  }

  // ------------------------------------------------------------------ for the reader and its helpers

  /** Says how much the peer may send on a channel: less, the more the others were given. */
  lease(channel: Channel): void {
    const { windowBytes, receiveBudgetBytes } = this.limits;
    const left = receiveBudgetBytes - (this.channels.leasedBytes - channel.windowBytes);
    const fair = Math.max(leastWindowBytes, left >= 2 * windowBytes ? windowBytes : Math.floor(left / 2));
    this.channels.lease(channel, Math.min(windowBytes, fair));
    channel.stream?.inbox.startWith(channel.windowBytes);
  }

  /** Gives a channel of the peer's a number. */
  confirm(channel: Channel, data: readonly Field[] = []): void {
    this.channels.number(channel);
    channel.isConfirmed = true;
    const fields = [channel.remote, channel.local, channel.windowBytes, MAX_DATA_BYTES];
    this.send(channel.id, MSG_CHANNEL_OPEN_CONFIRMATION, ...fields, ...data);
  }

  request(channel: Channel, name: string, wantsReply: boolean, ...fields: readonly Field[]): void {
    this.send(channel.id, MSG_CHANNEL_REQUEST, channel.remote, name, wantsReply, ...fields);
  }

  reply(channel: Channel, success: boolean): void {
    this.send(channel.id, success ? MSG_CHANNEL_SUCCESS : MSG_CHANNEL_FAILURE, channel.remote);
  }

  /** A global request whose answer goes to `settled`, null being a refusal. */
  globalRequest(name: string, fields: readonly Field[], settled: (data: Uint8Array | null) => void): void {
    this.globals.push({ settled });
    this.#global(0, name, true, ...fields);
  }

  /** Standard error of a command. */
  side(channel: Channel, chunk: Uint8Array): void {
    if (channel.closeSent) return;
    this.send(channel.id, MSG_CHANNEL_EXTENDED_DATA, channel.remote, EXTENDED_STDERR, { string: chunk });
  }

  /** Calls `task` once, in so many milliseconds, unless the connection is over. */
  after(ms: number, task: () => void): void {
    this.#link.after(ms, task);
  }

  /**
   * Both halves closed, a channel is. Of a session that is served to us the exit has to be known, too: its server may send that
   * behind its EOF (RFC 4254 §6.10), or CLOSE without one.
   */
  ended(channel: Channel): void {
    const { eofSent, eofReceived, closeReceived, session } = channel;
    if (closeReceived) this.close(channel);
    else if (eofSent && eofReceived && session?.exit !== null) {
      this.close(channel);
      this.#reader.sessions.finished(channel);
    }
  }

  close(channel: Channel): void {
    if (channel.closeSent) return;
    channel.closeSent = true;
    this.send(channel.id, MSG_CHANNEL_CLOSE, channel.remote);
    if (channel.closeReceived) this.channels.remove(channel);
  }

  /** Puts a message into the batch of this turn. */
  send(streamId: number, type: number, ...fields: readonly Field[]): void {
    this.#put(streamId, type, fields, 0);
    this.#session.transmitter.schedule();
  }

  /** Shows a message to whoever observes; `length` is that of the whole payload. */
  tell(direction: 'in' | 'out', type: number, streamId: number, length: number): void {
    if (this.#session.frames !== null)
      this.#session.showFrame(direction, messageName(type), streamId, length, 0);
  }

  // ------------------------------------------------------------------ inside

  #channelOf(stream: CoreStream): Channel {
    const channel = new Channel(stream.id, 'local', kindOf(stream.headers));
    channel.stream = stream;
    return channel;
  }

  get #writer(): FrameWriter {
    return this.#session.transmitter.writer;
  }

  #reserve(bytes: number): number {
    return this.#writer.reserve(bytes);
  }

  /** `more` bytes of the message follow from the engine. */
  #put(streamId: number, type: number, fields: readonly Field[], more: number): void {
    const bytes = 1 + fieldsLength(fields);
    const at = this.#reserve(lengthBytes + bytes);
    const { slab } = this.#writer;
    writeUint32(slab, at, bytes + more);
    slab[at + lengthBytes] = type;
    writeFields(slab, at + lengthBytes + 1, fields);
    this.tell('out', type, Math.max(0, streamId), bytes + more);
  }

  #global(streamId: number, name: string, wantsReply: boolean, ...fields: readonly Field[]): void {
    this.send(streamId, MSG_GLOBAL_REQUEST, name, wantsReply, ...fields);
  }

  /** Half-closes. A session that we serve is over with its command. */
  #end(channel: Channel, trailers: StreamHeaders | null): void {
    const served = channel.session !== null && channel.origin === 'remote';
    if (served) this.#reader.sessions.exits(channel, trailers);
    else if (trailers !== null && channel.isStream) {
      this.#sendHeaders(channel, trailers);
    }
    channel.eofSent = true;
    this.send(channel.id, MSG_CHANNEL_EOF, channel.remote);
    if (served) this.#reader.sessions.exited(channel);
    else this.ended(channel);
  }

  #sendHeaders(channel: Channel, headers: StreamHeaders): void {
    this.request(channel, REQUEST_HEADERS, false, ...headerFields(headers));
  }

  #reset(channel: Channel, code: Reason, reason: string): void {
    if (channel.isStream) {
      const read = resetCodeOf(channel.stream, code, toWire);
      this.request(channel, REQUEST_RESET, false, read, reason.slice(0, mostTextLength));
    }
    this.close(channel);
  }
}

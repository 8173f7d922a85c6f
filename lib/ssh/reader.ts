import type { StreamHeaders } from '../api.js';
import { StreamError } from '../core/errors.js';
import { fromPeer, noHeaders } from '../core/headers.js';
import type { Session } from '../core/session.js';
import type { CoreStream } from '../core/stream.js';
import { Channel, type ChannelKind } from './channel.js';
import {
  decodeFirst,
  decodeHeaders,
  type FirstData,
  type PayloadReader,
  readUint32,
  type SshHandler,
} from './codec.js';
import {
  DISCONNECT_BY_APPLICATION,
  EXTENDED_STDERR,
  MAX_DATA_BYTES,
  MAX_FIRST_BYTES,
  MSG_CHANNEL_OPEN,
  MSG_CHANNEL_OPEN_CONFIRMATION,
  MSG_REQUEST_FAILURE,
  MSG_REQUEST_SUCCESS,
  OPEN_CONNECT_FAILED,
  OPEN_PROHIBITED,
  OPEN_RESOURCE_SHORTAGE,
  OPEN_UNKNOWN_TYPE,
  REQUEST_HEADERS,
  REQUEST_KEEPALIVE,
  REQUEST_RESET,
} from './frames.js';
import { fromOpenReason, fromWire, violation } from './reasons.js';
import { Sessions } from './sessions.js';
import { decodeOpen, kindOfType, TYPE_SESSION } from './standard-types.js';
import type { SshWire } from './wire.js';

/** Credit in smaller pieces is a fault, unless it answers data of ours: some return it with every read. */
const tinyCredit = 64;
const mostEarned = 4096;
/** Packets that carry less cost more than they bring. Nobody's are shorter than a few KiB; RFC 4254 names no least. */
const leastPacketBytes = 256;
/** A peer that is not ours may follow its acceptance up with headers, and need not: so long they are waited for. */
const lateHeadersMs = 100;

/** What the peer's messages mean to the session, and which of them it may not send when (RFC 4254 §5). */
export class SshReader implements SshHandler {
  readonly sessions: Sessions;
  readonly #session: Session;
  readonly #wire: SshWire;
  /** Answers to the peer's global requests, in their order; null until one is known. */
  readonly #answers: { settled: boolean; data: Uint8Array | null }[] = [];
  /** Streams that a peer which is not ours has accepted, and may send headers for. */
  #unanswered: Channel[] = [];
  #nextRemoteId: number;
  #earned = 0;
  /** The peer has accepted a stream of our own kind: before that, a refusal may mean that it is no peer of ours. */
  #accepted = false;

  constructor(session: Session, wire: SshWire) {
    this.#session = session;
    this.#wire = wire;
    this.#nextRemoteId = session.info.role === 'client' ? 2 : 1;
    this.sessions = new Sessions(session, wire, () => this.#takeId());
  }

  /** Data of ours may be answered by credit in small pieces. */
  earn(): void {
    if (this.#earned < mostEarned) this.#earned++;
  }

  /** Shows a message to whoever observes. */
  tell(payload: Uint8Array): void {
    const type = payload[0] as number;
    let id = 0;
    if (type === MSG_CHANNEL_OPEN) id = this.#nextRemoteId;
    else if (type >= MSG_CHANNEL_OPEN_CONFIRMATION && payload.length >= 5) {
      id = Math.max(0, this.#wire.channels.get(readUint32(payload, 1))?.id ?? 0);
    }
    this.#wire.tell('in', type, id, payload.length);
  }

  // ------------------------------------------------------------------ opening

  channelOpen(type: string, sender: number, window: number, maxPacket: number, data: PayloadReader): void {
    const kind = type === TYPE_SESSION ? null : kindOfType(type);
    const channel = new Channel(
      kind === null ? this.sessions.placeholder() : this.#takeId(),
      'remote',
      kind ?? null,
    );
    channel.remote = sender;
    channel.peerWindow = window;
    channel.maxPacket = Math.min(maxPacket, MAX_DATA_BYTES);
    const { channels } = this.#wire;
    channels.add(channel);
    if (kind === undefined)
      this.#refuse(channel, OPEN_UNKNOWN_TYPE, `there are no channels of type ${type} here`);
    else if (maxPacket < leastPacketBytes)
      this.#refuse(channel, OPEN_CONNECT_FAILED, `packets of ${maxPacket} bytes carry too little`);
    else if (!this.#isServed(kind))
      this.#refuse(channel, OPEN_PROHIBITED, 'channels of this type are not served here');
    else if (channels.remoteCount > this.#wire.limits.maxStreams) {
      this.#refuse(channel, OPEN_RESOURCE_SHORTAGE, 'no more channels are taken');
    } else if (kind === null) this.sessions.opened(channel);
    else this.#opened(channel, kind, data);
  }

  #opened(channel: Channel, kind: ChannelKind, data: PayloadReader): void {
    const { peer, limits } = this.#session;
    let flat = kind === 'stream' ? decodeHeaders(data, limits) : decodeOpen(kind, data);
    if (kind.startsWith('forwarded-')) {
      const expected = this.#wire.forwards?.expected(flat as readonly string[]) ?? null;
      if (expected === null) {
        this.#refuse(channel, OPEN_PROHIBITED, 'nobody asked for connections from there');
        return;
      }
      flat = expected;
    }
    const headers = StreamError.is(flat) ? flat : fromPeer(flat, limits);
    if (kind === 'stream' && !StreamError.is(headers) && headers.has(':ssh')) {
      this.#refuse(
        channel,
        OPEN_PROHIBITED,
        'a stream of our own kind is none of the channels that ":ssh" names',
      );
      return;
    }
    const first = kind === 'stream' && !StreamError.is(flat) ? decodeFirst(data) : null;
    const bytes = first?.bytes.length ?? 0;
    if (bytes > MAX_FIRST_BYTES) {
      const what = `the peer sent ${bytes} bytes with the opening of a stream`;
      throw violation(`${what}, where ${MAX_FIRST_BYTES} are allowed`, 'flow-control');
    }
    const stream = peer.opened(channel.id, headers, 3);
    if (stream === null) {
      this.#wire.channels.remove(channel);
      return;
    }
    this.sessions.begin(channel, stream);
    this.#session.tell('accept', stream);
    if (first !== null) this.#received(channel, stream, first);
    peer.offered(stream);
  }

  /** What came with an opening, as if it had come behind it. */
  #received(channel: Channel, stream: CoreStream, { bytes, end }: FirstData): void {
    const { peer } = this.#session;
    if (bytes.length > 0) {
      this.#wire.channels.lease(channel, bytes.length);
      peer.sent(stream, bytes.length);
      peer.data(stream, bytes);
    }
    if (!end) return;
    channel.eofReceived = true;
    stream.peerEnded();
  }

  #isServed(kind: ChannelKind | null): boolean {
    const { serve, forwards } = this.#wire;
    const isServer = this.#session.info.role === 'server';
    if (kind === 'stream') return true;
    if (kind === null) return isServer && this.sessions.isServed;
    if (kind.startsWith('forwarded-')) return !isServer && forwards !== null;
    return isServer && serve.has(kind);
  }

  #refuse(channel: Channel, reason: number, text: string): void {
    this.#session.peer.fault(reason === OPEN_RESOURCE_SHORTAGE ? 'refusal' : 'error');
    this.#wire.refuseOpen(channel, reason, text);
  }

  openConfirmation(
    recipient: number,
    sender: number,
    window: number,
    maxPacket: number,
    data: PayloadReader,
  ): void {
    const channel = this.#opening(recipient);
    if (maxPacket < leastPacketBytes)
      throw violation(`the peer accepted channel ${recipient} for packets of ${maxPacket} bytes`);
    this.#accepted ||= channel.isStream;
    channel.remote = sender;
    channel.isConfirmed = true;
    const stream = channel.stream as CoreStream;
    const due = channel.resetDue;
    if (due !== null || stream.isOver) {
      this.#wire.reset(channel.id, due?.code ?? 'cancel', due?.reason ?? '');
      return;
    }
    const { outbox } = stream;
    outbox.maxDataBytes = Math.min(maxPacket, MAX_DATA_BYTES);
    if (channel.session !== null) {
      this.sessions.confirmed(channel, stream);
    } else if (!channel.isStream) stream.peerAnswered(noHeaders);
    else {
      outbox.isConfirmed = true;
      if (!this.#wire.peerIsOurs) this.#awaitHeaders(channel);
    }
    this.#session.peer.credit(stream, window - outbox.bytesOut);
    if (channel.isStream && this.#wire.peerIsOurs && !data.isEmpty) this.#headers(channel, data);
  }

  openFailure(recipient: number, reason: number, description: string): void {
    const channel = this.#opening(recipient);
    this.#wire.channels.remove(channel);
    const stream = channel.stream as CoreStream;
    if (channel.resetDue !== null || stream.isOver) return;
    const [text = '', ...lines] = description.split('\n');
    const { code, retryable } = fromOpenReason(reason);
    const stranger =
      channel.isStream && !this.#wire.peerIsOurs && !this.#accepted && reason <= OPEN_UNKNOWN_TYPE;
    const hint = stranger ? 'the peer may know no streams of rxmux, only the channels of SSH (":ssh")' : '';
    const why = [text, hint].filter((part) => part !== '').join('; ');
    this.#session.peer.refused(stream, code, reason, why, this.#headersIn(lines), retryable);
  }

  /** A channel of ours that waits for its answer. */
  #opening(recipient: number): Channel {
    const channel = this.#wire.channels.get(recipient);
    if (channel !== undefined && channel.origin === 'local' && !channel.isConfirmed) return channel;
    throw violation(`the peer answered the opening of channel ${recipient}, which does not wait for it`);
  }

  #headersIn(lines: readonly string[]): StreamHeaders {
    const flat: string[] = [];
    for (const line of lines) {
      const at = line.indexOf(': ', 1);
      if (at > 0) flat.push(line.slice(0, at), line.slice(at + 2));
    }
    const headers = fromPeer(flat, this.#session.limits);
    return StreamError.is(headers) ? noHeaders : headers;
  }

  #awaitHeaders(channel: Channel): void {
    if (this.#unanswered.push(channel) > 1) return;
    const settle = (): void => {
      const channels = this.#unanswered;
      this.#unanswered = [];
      for (const { stream } of channels)
        if (stream !== null && !stream.isOver) stream.peerAnswered(noHeaders);
    };
    this.#wire.after(lateHeadersMs, settle);
  }

  #takeId(): number {
    const id = this.#nextRemoteId;
    this.#nextRemoteId += 2;
    return id;
  }

  // ------------------------------------------------------------------ data and credit

  windowAdjust(recipient: number, bytes: number): void {
    const channel = this.#find(recipient);
    if (bytes === 0)
      throw violation(`the peer widened the window of channel ${recipient} by 0`, 'flow-control');
    if (bytes < tinyCredit && --this.#earned < 0) {
      this.#earned = 0;
      this.#session.peer.fault('useless');
    }
    const { stream } = channel;
    if (stream === null) this.sessions.widened(channel, bytes);
    else if (channel.closeSent) this.#behindClose(channel);
    else if (!stream.isOver) this.#session.peer.credit(stream, bytes);
  }

  data(recipient: number, chunk: Uint8Array): void {
    const channel = this.#find(recipient);
    const stream = this.#receiving(channel, chunk);
    if (stream === null) return;
    channel.late = null;
    if (!stream.isAnswered) stream.peerAnswered(noHeaders);
    this.#session.peer.data(stream, chunk);
  }

  extendedData(recipient: number, type: number, chunk: Uint8Array): void {
    const channel = this.#find(recipient);
    const stream = this.#receiving(channel, chunk);
    if (stream === null) return;
    const { session } = channel;
    if (session !== null && channel.origin === 'local' && type === EXTENDED_STDERR) session.received(chunk);
    else {
      this.#session.peer.fault('useless');
      this.sessions.released(stream, chunk.length);
    }
  }

  /** Counts data against the window. Null if nobody is there any more to take it. */
  #receiving(channel: Channel, chunk: Uint8Array): CoreStream | null {
    const bytes = chunk.length;
    const { stream, session } = channel;
    if (bytes > MAX_DATA_BYTES)
      throw violation(`the peer sent ${bytes} bytes where ${MAX_DATA_BYTES} are allowed`);
    if (channel.eofReceived) throw violation(`the peer sent data on channel ${channel.local} after its end`);
    if (bytes === 0) this.#session.peer.fault('useless');
    let left: number;
    if (stream === null) {
      if (session?.isRefused !== true)
        throw violation(`the peer sent data on channel ${channel.local} before it was started`);
      session.unheardBytes += bytes;
      left = channel.windowBytes - session.unheardBytes;
    } else if (!stream.isOver && !channel.closeSent) {
      this.#session.peer.sent(stream, bytes);
      return stream;
    } else left = stream.inbox.window.credit -= bytes;
    if (left >= 0) return null;
    throw violation(`the peer sent more than its window on channel ${channel.local}`, 'flow-control');
  }

  // ------------------------------------------------------------------ ending

  eof(recipient: number): void {
    const channel = this.#find(recipient);
    if (channel.eofReceived) throw violation(`the peer ended channel ${recipient} twice`);
    channel.eofReceived = true;
    const { stream } = channel;
    if (stream === null || channel.closeSent) return;
    if (channel.session !== null && channel.origin === 'local') {
      this.sessions.ended(channel, stream);
      return;
    }
    if (!stream.isOver) {
      if (!stream.isAnswered) stream.peerAnswered(noHeaders);
      stream.peerEnded(channel.late ?? undefined);
    }
    this.#wire.ended(channel);
  }

  close(recipient: number): void {
    const channel = this.#find(recipient);
    channel.closeReceived = true;
    if (channel.closeSent) this.#wire.channels.remove(channel);
    else this.#wire.close(channel);
    const { stream } = channel;
    const { peer } = this.#session;
    if (stream === null) peer.fault('reset');
    else if (stream.isOver) return;
    else if (channel.resetSeen !== null) {
      const { code, reason } = channel.resetSeen;
      if (this.#wire.peerIsOurs && stream.origin === 'local' && !stream.isAnswered) {
        const [text = '', ...lines] = reason.split('\n');
        peer.refused(stream, fromWire(code), code, text, this.#headersIn(lines));
      } else peer.reset(stream, fromWire(code), code, reason);
    } else if (channel.session !== null && channel.origin === 'local') this.sessions.closed(channel, stream);
    else if (channel.eofReceived) {
      if (!stream.outbox.hasEnded) peer.stopped(stream, 'cancel', 0);
    } else peer.reset(stream, 'cancel', 0, 'its channel was closed before the end');
  }

  // ------------------------------------------------------------------ requests

  channelRequest(recipient: number, name: string, wantsReply: boolean, data: PayloadReader): void {
    const channel = this.#find(recipient);
    if (channel.closeSent) this.#behindClose(channel);
    else if (channel.isStream && name === REQUEST_HEADERS) this.#headers(channel, data);
    else if (channel.isStream && name === REQUEST_RESET) {
      if (channel.resetSeen !== null) this.#session.peer.fault('useless');
      channel.resetSeen = { code: data.uint32(), reason: data.last(data.text(MAX_DATA_BYTES)) };
    } else if (name === 'eow@openssh.com') this.#stopped(channel);
    else if (name === REQUEST_KEEPALIVE) {
      this.#session.peer.fault('ping');
      if (wantsReply) this.#wire.reply(channel, false);
    } else if (channel.session === null || !this.sessions.request(channel, name, wantsReply, data)) {
      this.#session.peer.fault('error');
      if (wantsReply) this.#wire.reply(channel, false);
    }
  }

  #behindClose(channel: Channel): void {
    if (channel.isBeyondClose()) this.#session.peer.fault('useless');
  }

  /** The first headers answer what we opened; later ones are trailers, if the end comes next. */
  #headers(channel: Channel, data: PayloadReader): void {
    const { limits, peer } = this.#session;
    const stream = channel.stream as CoreStream;
    const flat = decodeHeaders(data, limits);
    const headers = StreamError.is(flat) ? flat : fromPeer(data.last(flat), limits);
    if (stream.isOver) return;
    if (channel.eofReceived)
      throw violation(`the peer sent headers on channel ${channel.local} after its end`);
    if (StreamError.is(headers)) peer.broke(stream, headers);
    else if (channel.origin === 'remote' || stream.isAnswered) {
      if (channel.late !== null) peer.fault('useless');
      channel.late = headers;
    } else stream.peerAnswered(headers);
  }

  /** OpenSSH's: it reads no more. */
  #stopped(channel: Channel): void {
    const { stream } = channel;
    if (stream === null || stream.isOver || stream.outbox.hasFailed || stream.outbox.hasEnded)
      this.#session.peer.fault('useless');
    else this.#session.peer.stopped(stream, 'cancel', 0);
  }

  channelSuccess(recipient: number): void {
    this.#answered(recipient, true);
  }

  channelFailure(recipient: number): void {
    this.#answered(recipient, false);
  }

  #answered(recipient: number, success: boolean): void {
    const { channels } = this.#wire;
    if (channels.get(recipient)?.isConfirmed !== true && channels.hadBefore(recipient)) {
      // paramiko's commands have threads of their own, and may say CLOSE before it says that they were started.
      this.#session.peer.fault('useless');
      return;
    }
    const channel = this.#find(recipient);
    const stream = channel.stream;
    if (
      channel.session === null ||
      channel.origin === 'remote' ||
      stream === null ||
      channel.session.isStarted
    ) {
      this.#session.peer.fault('useless');
    } else if (!stream.isOver) this.sessions.answered(channel, stream, success);
  }

  globalRequest(name: string, wantsReply: boolean, data: PayloadReader): void {
    if (name === REQUEST_RESET && !wantsReply) {
      this.#resetBeforeAccepted(data);
      return;
    }
    this.#session.peer.fault('ping');
    const answer = { settled: !wantsReply, data: null as Uint8Array | null };
    if (wantsReply) this.#answers.push(answer);
    const settle = (result: Uint8Array | null): void => {
      answer.data = result;
      answer.settled = true;
      this.#sendAnswers();
    };
    if (name === 'no-more-sessions@openssh.com') this.sessions.refuseMore();
    if (this.#wire.forwards?.request(name, data, settle) !== true) settle(null);
  }

  #sendAnswers(): void {
    while (this.#answers[0]?.settled) {
      const { data } = this.#answers.shift() as { data: Uint8Array | null };
      if (data === null) this.#wire.send(0, MSG_REQUEST_FAILURE);
      else this.#wire.send(0, MSG_REQUEST_SUCCESS, data);
    }
  }

  /** Of a stream that has no number of ours yet, so that the peer can only name its own. */
  #resetBeforeAccepted(data: PayloadReader): void {
    const sender = data.uint32();
    const code = data.uint32();
    const reason = data.last(data.text(MAX_DATA_BYTES));
    for (const channel of this.#wire.channels.values()) {
      if (channel.origin === 'local' || channel.isConfirmed || channel.remote !== sender) continue;
      this.#wire.refuseOpen(channel, OPEN_CONNECT_FAILED, 'it was reset');
      if (channel.stream !== null) this.#session.peer.reset(channel.stream, fromWire(code), code, reason);
      return;
    }
    // We had accepted it just before: the peer resets it when it hears.
    this.#session.peer.fault('reset');
  }

  requestSuccess(data: PayloadReader): void {
    this.#globalAnswer(data.rest());
  }

  requestFailure(): void {
    this.#globalAnswer(null);
  }

  #globalAnswer(data: Uint8Array | null): void {
    const waiting = this.#wire.globals.shift();
    if (waiting === undefined) this.#session.peer.fault('useless');
    else if ('ping' in waiting) this.#session.peer.ponged(waiting.ping);
    else waiting.settled(data);
  }

  // ------------------------------------------------------------------ the connection

  disconnect(reason: number, description: string): void {
    const isGraceful = reason === DISCONNECT_BY_APPLICATION && this.#session.streams.size === 0;
    const said = description === '' ? '' : `: ${description}`;
    const message = `the peer ended the connection (reason ${reason})${said}`;
    const error = new StreamError('closed', message, { remote: true, wireCode: reason });
    this.#session.peer.goesAway(0, isGraceful ? null : error);
  }

  unknown(): void {
    this.#session.peer.fault('useless');
  }

  #find(recipient: number): Channel {
    const channel = this.#wire.channels.get(recipient);
    if (channel === undefined) throw violation(`the peer named channel ${recipient}, which there is not`);
    if (channel.isConfirmed) return channel;
    throw violation(`the peer used channel ${recipient} before it had accepted it`);
  }
}

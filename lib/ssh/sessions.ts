import type { StreamHeaders } from '../api.js';
import { StreamError } from '../core/errors.js';
import { fromPeer, noHeaders, toHeaders } from '../core/headers.js';
import type { Session } from '../core/session.js';
import type { CoreStream } from '../core/stream.js';
import type { Channel } from './channel.js';
import type { PayloadReader } from './codec.js';
import { MAX_WINDOW_BYTES } from './frames.js';
import type { SshChannel } from './options.js';
import { violation } from './reasons.js';
import { SessionPart } from './session-part.js';
import type { SshWire } from './wire.js';

/** What a signal is called (RFC 4254 §6.10), or a variable: nothing longer is either. */
const maxSignalBytes = 64;

/**
 * Sessions (RFC 4254 §6): channels that become streams when a command, a shell or a subsystem is started on them, and
 * that end with its exit status.
 */
export class Sessions {
  readonly #session: Session;
  readonly #wire: SshWire;
  readonly #takeId: () => number;
  #placeholder = 0;
  #refuses = false;

  constructor(session: Session, wire: SshWire, takeId: () => number) {
    this.#session = session;
    this.#wire = wire;
    this.#takeId = takeId;
  }

  get isServed(): boolean {
    const { serve } = this.#wire;
    return !this.#refuses && (serve.has('exec') || serve.has('shell') || serve.has('subsystem'));
  }

  /** The client has all the sessions that it wants (OpenSSH's PROTOCOL §2.2). */
  refuseMore(): void {
    this.#refuses = true;
  }

  /** An id for a channel that has no stream yet. */
  placeholder(): number {
    return --this.#placeholder;
  }

  // ------------------------------------------------------------------ as a client

  opening(channel: Channel, stream: CoreStream): void {
    channel.session = this.#partOf(channel);
    channel.session.attach(stream);
    stream.inbox.awaitsTrailers = true;
  }

  /** Says what is to be started, and in what environment. */
  confirmed(channel: Channel, stream: CoreStream): void {
    const wire = this.#wire;
    const { headers } = stream;
    for (const [name, value] of headers) {
      // Names of variables are upper-case by custom, those of headers lower-case by rule.
      if (!name.startsWith(':')) wire.request(channel, 'env', false, name.toUpperCase(), value);
      else if (name === ':env') wire.request(channel, 'env', false, ...variableOf(value));
    }
    const term = headers.get(':term');
    if (term !== undefined) {
      const size = [':columns', ':rows', ':width', ':height'].map((name) => Number(headers.get(name) ?? 0));
      wire.request(channel, 'pty-req', false, term, ...size, '\0');
    }
    if (channel.kind === 'shell') wire.request(channel, 'shell', true);
    else {
      const what = headers.get(channel.kind === 'exec' ? ':command' : ':subsystem') ?? '';
      wire.request(channel, channel.kind as string, true, what);
    }
  }

  answered(channel: Channel, stream: CoreStream, success: boolean): void {
    const part = channel.session as SessionPart;
    part.isStarted = true;
    if (success) {
      stream.peerAnswered(noHeaders);
      part.saySoFar();
    } else {
      this.#wire.close(channel);
      this.#session.peer.refused(
        stream,
        'refused',
        0,
        `it does not start this ${channel.kind}`,
        noHeaders,
        false,
      );
    }
  }

  /** The end of the output; the exit status may come after it. */
  ended(channel: Channel, stream: CoreStream): void {
    channel.session?.sideEnded();
    if (stream.isOver) return;
    if (!stream.isAnswered) stream.peerAnswered(noHeaders);
    stream.inbox.end();
    this.#wire.ended(channel);
  }

  /** All is known of a command, and our CLOSE is out. Twisted's servers never answer that. */
  finished({ session, stream }: Channel): void {
    if (session === null || session.exit === null || stream === null) return;
    stream.inbox.awaitsTrailers = false;
    stream.peerEnded(headersOf(session.exit));
  }

  closed(channel: Channel, stream: CoreStream): void {
    const { peer } = this.#session;
    const exit = channel.session?.exit ?? null;
    stream.inbox.awaitsTrailers = false;
    if (!stream.isAnswered && exit === null) {
      peer.refused(stream, 'refused', 0, `it does not start this ${channel.kind}`, noHeaders, false);
    } else if (exit === null && !channel.eofReceived) {
      peer.reset(stream, 'cancel', 0, 'its channel was closed before the end');
    } else {
      if (!stream.isAnswered) stream.peerAnswered(noHeaders);
      stream.peerEnded(exit === null ? undefined : headersOf(exit));
      if (!stream.outbox.hasEnded) peer.stopped(stream, 'cancel', 0);
    }
  }

  // ------------------------------------------------------------------ as a server

  opened(channel: Channel): void {
    channel.session = this.#partOf(channel);
    this.#wire.lease(channel);
    this.#wire.confirm(channel);
  }

  /** Gives a stream what its channel has learnt. */
  begin(channel: Channel, stream: CoreStream): void {
    channel.stream = stream;
    stream.outbox.maxDataBytes = channel.maxPacket;
    this.#session.peer.credit(stream, channel.peerWindow);
    if (channel.session === null) return;
    stream.inbox.startWith(channel.windowBytes);
    const { unheardBytes } = channel.session;
    if (unheardBytes > 0) {
      this.#session.peer.sent(stream, unheardBytes);
      this.released(stream, unheardBytes);
    }
    channel.session.attach(stream);
    if (channel.eofReceived) stream.peerEnded();
  }

  /** Credit for a session that is not started. */
  widened(channel: Channel, bytes: number): void {
    channel.peerWindow += bytes;
    if (channel.peerWindow > MAX_WINDOW_BYTES) {
      throw violation(
        `the peer raised the window of channel ${channel.local} above 2^32 - 1`,
        'flow-control',
      );
    }
  }

  accepted(channel: Channel): void {
    const session = channel.session as SessionPart;
    session.isStarted = true;
    if (session.wantsReply) this.#wire.reply(channel, true);
  }

  refused(channel: Channel): void {
    const session = channel.session as SessionPart;
    session.isRefused = true;
    if (session.wantsReply) this.#wire.reply(channel, false);
    this.#wire.close(channel);
  }

  /** Before the end: OpenSSH and dropbear want it there, and lose it otherwise. */
  exits(channel: Channel, trailers: StreamHeaders | null): void {
    const signal = trailers?.get(':exit-signal');
    if (signal !== undefined) this.#wire.request(channel, 'exit-signal', false, signal, false, '', '');
    else {
      const status = Number(trailers?.get(':exit-status') ?? 0);
      this.#wire.request(channel, 'exit-status', false, Number.isInteger(status) ? status : 1);
    }
  }

  /** Clients wait for the CLOSE, and may never end their half. What they still send has no reader. */
  exited(channel: Channel): void {
    const { stream } = channel;
    this.#wire.close(channel);
    if (stream === null || stream.remoteOver) return;
    stream.stop();
    stream.peerEnded();
  }

  // ------------------------------------------------------------------ requests

  /** False if this is no request for a session. */
  request(channel: Channel, name: string, wantsReply: boolean, data: PayloadReader): boolean {
    const session = channel.session as SessionPart;
    if (channel.origin === 'local') return this.#fromServer(channel, session, name, data);
    switch (name) {
      case 'env':
        return this.#answer(channel, wantsReply, this.#environment(session, data));
      case 'pty-req':
        return this.#answer(channel, wantsReply, this.#terminal(session, data));
      case 'exec':
      case 'shell':
      case 'subsystem':
        return this.#start(channel, name, wantsReply, data);
      case 'window-change':
        // Whoever drags the edge of a terminal sends dozens a second, which is less than the bucket refills.
        this.#session.peer.fault('useless');
        session.resized({
          columns: data.uint32(),
          rows: data.uint32(),
          width: data.uint32(),
          height: data.uint32(),
        });
        return this.#answer(channel, wantsReply, true);
      case 'signal':
        this.#session.peer.fault('useless');
        session.signalled(data.text(maxSignalBytes));
        return this.#answer(channel, wantsReply, true);
    }
    return false;
  }

  #fromServer(channel: Channel, session: SessionPart, name: string, data: PayloadReader): boolean {
    if (session.exit !== null) this.#session.peer.fault('useless');
    if (name === 'exit-status') session.exit = [':exit-status', String(data.uint32())];
    else if (name === 'exit-signal') session.exit = [':exit-signal', data.text(maxSignalBytes)];
    else return false;
    this.#wire.ended(channel);
    return true;
  }

  #answer(channel: Channel, wantsReply: boolean, success: boolean): boolean {
    if (!success) this.#session.peer.fault('useless');
    if (wantsReply) this.#wire.reply(channel, success);
    return true;
  }

  #environment(session: SessionPart, data: PayloadReader): boolean {
    const { limits } = this.#wire;
    const exact = data.typed(limits.maxHeaderNameBytes);
    const value = data.typed(limits.maxHeaderValueBytes);
    if (exact === null || value === null) return false;
    if (session.isStarted || ++session.environment > limits.maxEnvironment) return false;
    const name = exact.toLowerCase();
    const headers = [name, value];
    if (exact !== exact.toUpperCase()) headers.push(':env', `${exact}=${value}`);
    if (name.startsWith(':') || StreamError.is(fromPeer(headers, limits))) return false;
    session.before.push(...headers);
    return true;
  }

  #terminal(session: SessionPart, data: PayloadReader): boolean {
    const { limits } = this.#wire;
    const before = [':term', data.text(maxSignalBytes)];
    for (const name of [':columns', ':rows', ':width', ':height']) before.push(name, String(data.uint32()));
    // The modes, which no stream has a use for.
    data.bytes();
    if (session.before.includes(':term') || StreamError.is(fromPeer(before, limits))) return false;
    session.before.push(...before);
    return true;
  }

  #start(channel: Channel, kind: SshChannel, wantsReply: boolean, data: PayloadReader): boolean {
    const session = channel.session as SessionPart;
    const { limits, serve } = this.#wire;
    const flat = [':ssh', kind];
    const command = kind === 'exec' ? data.typed(limits.maxCommandBytes) : '';
    if (kind === 'exec') flat.push(':command', command ?? '');
    if (kind === 'subsystem') flat.push(':subsystem', data.text(1024));
    if (command === null || channel.stream !== null || !serve.has(kind)) {
      session.isRefused = true;
      return false;
    }
    session.wantsReply = wantsReply;
    return this.#started(channel, kind, fromPeer([...flat, ...session.before], limits));
  }

  #started(channel: Channel, kind: SshChannel, headers: StreamHeaders | StreamError): boolean {
    const { peer } = this.#session;
    channel.kind = kind;
    this.#wire.channels.rename(channel, this.#takeId());
    const stream = peer.opened(channel.id, headers, 3);
    if (stream === null) return true;
    this.begin(channel, stream);
    this.#session.tell('accept', stream);
    peer.offered(stream);
    return true;
  }

  // ------------------------------------------------------------------ inside

  #partOf(channel: Channel): SessionPart {
    const wire = this.#wire;
    const host = {
      resize: ({ columns, rows, width = 0, height = 0 }: Parameters<SessionPart['resize']>[0]): void =>
        this.#tell(channel, () =>
          wire.request(channel, 'window-change', false, columns, rows, width, height),
        ),
      signal: (name: string): void => this.#tell(channel, () => wire.request(channel, 'signal', false, name)),
      side: (chunk: Uint8Array): void => wire.side(channel, chunk),
      released: (bytes: number): void => {
        if (channel.stream !== null) this.released(channel.stream, bytes);
      },
    };
    return new SessionPart(host, wire.limits.sideBytes);
  }

  #tell(channel: Channel, say: () => void): void {
    const { session } = channel;
    if (session?.isStarted === false) session.sayLater(say);
    else if (!channel.closeSent) say();
  }

  /** Bytes that count for the window of a stream, and never were in its inbox. */
  released(stream: CoreStream, bytes: number): void {
    if (stream.isOver || bytes === 0) return;
    stream.inbox.window.unread -= bytes;
    this.#session.crediting.released(stream, bytes);
  }
}

/** Name and value of a variable, out of `name=value`. */
function variableOf(text: string): [string, string] {
  const at = text.indexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

function headersOf(flat: readonly string[]): StreamHeaders {
  return toHeaders([[flat[0] as string, flat[1] as string]]);
}

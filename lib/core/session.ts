import type { Observable, Subject } from 'rxjs';
import type {
  FrameEvent,
  HeadersInit,
  NewStreamOptions,
  Provider,
  ProviderEvent,
  ProviderInfo,
  ProviderOperator,
  ProviderOptions,
  ResetCode,
  Stream,
  StreamHeaders,
  Transport,
} from '../api.js';
import { onAbort } from './abort.js';
import { Backlog } from './backlog.js';
import { type Clock, systemClock } from './clock.js';
import { Crediting, type CreditingHost, type EarlyWindows } from './crediting.js';
import { Ending, type EndingHost } from './ending.js';
import { StreamError } from './errors.js';
import { Tap } from './events.js';
import { Fifo } from './fifo.js';
import { checkHeaders, toHeaders } from './headers.js';
import { IdTable } from './id-table.js';
import { type LimitBounds, type LimitValues, withLimits } from './limits.js';
import { Peer, type PeerHost } from './peer.js';
import { Pings } from './pings.js';
import { abortable, Deferred, handled, reject } from './promises.js';
import { pausedForAnswers, Receiver } from './receiver.js';
import { CoreStream } from './stream.js';
import type { StreamEvent, StreamHost } from './stream-host.js';
import { Timekeeper, type Watched } from './timekeeper.js';
import { onlyReads, Transmitter, type TransmitterHost } from './transmitter.js';
import type { HeadersUse, Reason, Wire } from './wire.js';

/** What a protocol tells the engine about itself. */
export interface SessionProfile extends EarlyWindows {
  readonly limits: LimitValues;
  /** What the wire allows some of them to be. */
  readonly bounds?: LimitBounds;
  /** Makes the protocol's side of a session. It is called before anything is read or written. */
  wire(session: Session): Wire;
}

/** Options for tests and protocols, beside the public ones. */
export interface SessionOptions extends ProviderOptions {
  clock?: Clock;
  /** Where accepted streams go, if that is not a backlog of the session's own. */
  backlog?: Backlog<CoreStream>;
}

/**
 * One connection with a protocol on it: the table of streams, and everything that every protocol shares. The protocol
 * (`Wire`) puts what is decided here into frames, and tells `peer` what the peer's frames say.
 */
export class Session
  implements Provider, StreamHost, PeerHost, TransmitterHost, CreditingHost, EndingHost, Watched
{
  readonly info: ProviderInfo;
  readonly limits: LimitValues;
  readonly streams: IdTable<CoreStream> = new IdTable();
  /** What the peer's frames say goes in here. */
  readonly peer: Peer;
  readonly transmitter: Transmitter;
  readonly crediting: Crediting;
  readonly ending: Ending;
  readonly pings: Pings;
  readonly backlog: Backlog<CoreStream>;
  readonly wire: Wire;
  /** The peer's preface and first settings are here. */
  isEstablished = false;
  readonly #clock: Clock;
  readonly receiver: Receiver;
  readonly #timekeeper: Timekeeper;
  readonly #events: Tap<ProviderEvent> = new Tap();
  readonly #frames: Tap<FrameEvent> = new Tap();
  /** Frames that are to be shown once they are whole. */
  readonly #unshown: Fifo<Omit<FrameEvent, 'at'>> = new Fifo();
  readonly #closed: Deferred<void> = new Deferred();
  /** The id of the next stream that we open. */
  nextId: number;
  /** Streams whose bytes have not found their reader in the turn they came. */
  #unsettled: CoreStream[] = [];
  #removeSignal: (() => void) | null = null;

  constructor(transport: Transport, profile: SessionProfile, options: SessionOptions = {}) {
    const role = options.role ?? 'client';
    this.#clock = options.clock ?? systemClock;
    this.backlog = options.backlog ?? new Backlog('accept$');
    this.limits = withLimits(profile.limits, options.limits, profile.bounds);
    this.nextId = role === 'client' ? 1 : 2;
    this.crediting = new Crediting(this, profile);
    this.ending = new Ending(transport, this.#clock, this);
    this.peer = new Peer(this, profile);
    this.info = { protocol: '', role, features: {} as never };
    const wire = profile.wire(this);
    this.wire = wire;
    const { local, remote } = transport;
    this.info = { protocol: wire.name, role, features: wire.features, local, remote } as ProviderInfo;
    this.transmitter = new Transmitter(transport, wire, this);
    if (profile.connectionWindow && !this.peer.windowless) {
      this.transmitter.addCredit(this.peer.earlyConnectionWindow);
    }
    this.pings = new Pings(this.#clock, (payload) => {
      wire.ping(payload);
      this.transmitter.schedule();
    });
    this.#timekeeper = new Timekeeper(this.#clock, this.limits, this);
    this.receiver = new Receiver(transport, wire, this.limits, this.#clock, (error) => this.#failBy(error));
    wire.preface();
    this.transmitter.schedule();
    transport.start({
      onData: (chunk) => this.#received(chunk),
      onEnd: () => this.receiver.whenEmpty(() => this.ending.transportEnded()),
      onDrain: () => this.#drained(),
      onClose: (error) => this.ending.transportClosed(error),
    });
    this.#removeSignal = onAbort(options.signal, (reason) => this.abort(reason));
    if (this.ending.isOver) this.#removeSignal();
  }

  // ------------------------------------------------------------------ the provider

  newStream(headers?: HeadersInit, options: NewStreamOptions = {}): Stream {
    const urgency = options.urgency ?? 3;
    if ((urgency & 7) !== urgency) {
      throw new RangeError(`urgency is a whole number from 0 to 7, not ${urgency}`);
    }
    const list = this.toHeaders(headers, 'open');
    const refusal = this.#refusal();
    const id = refusal === null ? this.nextId : 0;
    const stream = new CoreStream(this, id, 'local', list, urgency, this.peer.streamWindow);
    stream.prepare(options.label, undefined);
    if (refusal === null) {
      this.nextId += 2;
      this.streams.add(stream);
      this.transmitter.open(stream);
      this.tell('open', stream);
      this.#abortWith(stream, options.signal);
    } else stream.fail(refusal, 'refused', false);
    return stream;
  }

  get accept$(): Observable<Stream> {
    return this.backlog.values$;
  }

  accept(options?: { signal?: AbortSignal }): Promise<Stream | null> {
    return handled(this.backlog.read(options?.signal));
  }

  get events$(): Observable<ProviderEvent> {
    return this.#events.values$;
  }

  get frames$(): Observable<FrameEvent> {
    return this.#frames.values$;
  }

  ping(options?: { signal?: AbortSignal }): Promise<number>;
  ping(options: { signal?: AbortSignal } = {}): Promise<number> {
    return handled(abortable(this.pings.ping(), options.signal));
  }

  close(options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    this.beginClose();
    return handled(abortable(this.#closed.promise, signal, () => this.abort(signal?.reason)));
  }

  abort(reason?: unknown): void {
    this.ending.abort(reason);
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  pipe(...operators: ProviderOperator[]): Provider {
    return operators.reduce<Provider>((provider, operator) => operator(provider), this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close().catch(() => {});
  }

  // ------------------------------------------------------------------ from the wire

  now(): number {
    return this.#clock.now();
  }

  toHeaders(init: HeadersInit | undefined, use: HeadersUse): StreamHeaders {
    const headers = checkHeaders(toHeaders(init), this.limits, (given) => this.wire.headerBytes(given));
    this.wire.checkHeaders?.(headers, use);
    return headers;
  }

  /** Null while nobody observes frames. */
  get frames(): Subject<FrameEvent> | null {
    return this.#frames.slot;
  }

  /** Shows a frame to whoever observes: ours just before they go, since an observer may add to them what he likes. */
  showFrame(direction: 'in' | 'out', name: string, streamId: number, length: number, flags: number): void {
    if (this.frames === null) return;
    this.#unshown.push({ direction, name, streamId, length, flags });
    // None of ours is half done while one of the peer's is read.
    if (direction === 'in') this.showFrames();
  }

  // ------------------------------------------------------------------ from the streams

  get events(): Subject<ProviderEvent> | null {
    return this.#events.slot;
  }

  tell(type: StreamEvent, stream: CoreStream): void {
    this.events?.next({ type, stream, at: this.now() });
  }

  dropped(stream: CoreStream, bytes: number): void {
    if (stream.isLeftBehind) return;
    if (this.wire.features.halfStop || !stream.inbox.isStopped) this.crediting.dropped(bytes);
    else this.#discard(stream, bytes);
  }

  settleLater(stream: CoreStream): void {
    if (this.#unsettled.push(stream) > 1) return;
    this.#clock.soon(() => {
      const streams = this.#unsettled;
      this.#unsettled = [];
      for (const waiting of streams) waiting.inbox.settle();
    });
  }

  /** Of a stream that was read, before its end is told: that alone would say that nothing was. */
  sayAccepted(stream: CoreStream): void {
    if (stream.answer !== 'ready') return;
    stream.answer = 'written';
    this.wire.accept(stream, stream.replyHeaders, 0, false);
  }

  sendReset(stream: CoreStream, code: Reason, reason: string): void {
    if (!stream.announced || this.ending.isOver) return;
    this.sayAccepted(stream);
    this.wire.reset(stream.id, code, reason);
    this.transmitter.schedule();
  }

  sendRefusal(stream: CoreStream, code: ResetCode, headers: StreamHeaders): void {
    this.backlog.remove(stream);
    this.sendRefusalOf(stream.id, code, '', headers);
  }

  sendRefusalOf(id: number, code: Reason, reason: string, headers: StreamHeaders): void {
    this.wire.refuse(id, code, reason, headers);
    this.transmitter.schedule();
  }

  stopped(stream: CoreStream, code: ResetCode): void {
    stream.stopDue = code;
    this.transmitter.ready(stream);
  }

  sayStop(stream: CoreStream): void {
    this.wire.stop(stream.id, stream.stopDue as ResetCode);
    stream.stopDue = null;
    if (this.wire.features.halfStop) return;
    this.peer.forgive(stream.id);
    stream.peerEnded();
  }

  over(stream: CoreStream): void {
    if (!this.streams.delete(stream.id)) return;
    this.peer.forget(stream);
    this.transmitter.forget(stream);
    this.#timekeeper.forget(stream);
    this.crediting.forget(stream);
    this.ending.announced();
    if (this.streams.size === 0) this.ending.drained();
  }

  // ------------------------------------------------------------------ from the parts of the connection

  get mayBeLate(): boolean {
    if (!this.peer.windowless) return false;
    // Nobody is heard who is not listened to.
    return this.crediting.paused || [...this.streams.values()].some((stream) => stream.outbox.bytesOut > 0);
  }

  yieldTurn(): void {
    this.#clock.soon(() => {
      if (this.ending.isOver) return;
      this.transmitter.yielded();
      this.#answersGone();
    });
  }

  showFrames(): void {
    for (let frame = this.#unshown.shift(); frame; frame = this.#unshown.shift())
      this.frames?.next({ ...frame, at: this.now() });
  }

  roundTrip(): number {
    const pings = this.pings;
    if (Number.isNaN(pings.rtt) && !pings.isPending && this.wire.features.ping) void pings.ping();
    return pings.rtt;
  }

  answersWaiting(bytes: number): void {
    if (bytes > this.limits.maxAnswerBytes) this.receiver.pause(pausedForAnswers);
  }

  tellGoAway(lastId: number, remote: boolean): void {
    this.events?.next({ type: 'goaway', at: this.now(), remote, lastId });
  }

  tellStall(stream: CoreStream, type: 'stall' | 'resume', side: 'send' | 'receive'): void {
    this.events?.next({ type, stream, at: this.now(), side });
  }

  warn(): Promise<unknown> | null {
    const heard = this.wire.warn?.() ?? null;
    if (heard !== null) this.tellGoAway(this.limits.maxStreamId, false);
    return heard;
  }

  sayGoAway(error: StreamError | null): void {
    const lastId = this.peer.goAway();
    this.wire.goAway(lastId, error);
    this.tellGoAway(lastId, false);
    if (error === null) this.transmitter.schedule();
    else this.transmitter.finish();
  }

  timeOut(stream: CoreStream, message: string): void {
    this.sendReset(stream, 'timeout', message);
    if (stream.origin === 'remote') this.backlog.remove(stream);
    const details = { streamId: stream.id, reset: 'cancel', retryable: !stream.announced } as const;
    stream.fail(new StreamError('timeout', `stream ${stream.id}: ${message}`, details), 'cancel', false);
  }

  // ------------------------------------------------------------------ inside

  /**
   * The wire cannot say that a reader has stopped: what comes until our own half has ended is dropped, with credit for
   * more, up to a limit.
   */
  #discard(stream: CoreStream, bytes: number): void {
    this.crediting.released(stream, bytes);
    if (stream.remoteOver) return;
    if (stream.stopDue !== null && onlyReads(stream)) {
      this.sayStop(stream);
      this.transmitter.schedule();
      return;
    }
    stream.discarded += bytes;
    const { discardBytes } = this.limits;
    if (stream.discarded <= discardBytes) return;
    const message = `stream ${stream.id}: more than ${discardBytes} bytes came after its reader had stopped`;
    stream.reset('cancel', new StreamError('limit', message));
  }

  /** Why no stream can be opened now, or null. */
  #refusal(): StreamError | null {
    const { isOver, isGoingAway, peerIsGoingAway } = this.ending;
    if (isOver || isGoingAway || peerIsGoingAway) {
      return new StreamError('closed', 'the connection is closed, or about to be', {
        retryable: true,
      });
    }
    const { takesNone } = this.wire;
    if (takesNone) return new StreamError('refused', takesNone, { remote: true, reset: 'refused' });
    if (this.nextId <= this.limits.maxStreamId) return null;
    this.beginClose();
    return new StreamError('limit', `this connection has used up its ids: ${this.nextId} is too high`, {
      retryable: true,
    });
  }

  #abortWith(stream: CoreStream, signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    const forget = onAbort(signal, (reason) => stream.reset('cancel', reason));
    if (stream.isOver) forget();
    else stream.prepare(undefined, forget);
  }

  #received(chunk: Uint8Array): void {
    if (this.ending.isOver) {
      this.ending.discard(chunk.length);
      return;
    }
    this.#timekeeper.heard();
    this.receiver.receive(chunk);
  }

  #drained(): void {
    this.transmitter.drained();
    this.#answersGone();
  }

  #answersGone(): void {
    if (!this.transmitter.isBlocked) this.receiver.resume(pausedForAnswers);
  }

  /** Takes no more streams, and closes when the last one is over. */
  beginClose(): void {
    for (const stream of this.backlog.takeAll()) if (!stream.isAnswered) stream.reject('refused');
    this.ending.close();
  }

  #failBy(error: unknown): void {
    const defect = 'a defect in the protocol driver';
    this.ending.fail(
      StreamError.is(error)
        ? error
        : new StreamError('protocol', defect, { cause: error, reset: 'internal-error' }),
    );
  }

  /** The connection is over for everybody who waits for something of it. */
  settle(error: StreamError | null): void {
    this.#removeSignal?.();
    this.#timekeeper.stop();
    this.transmitter.stop();
    this.receiver.stop();
    const reason = error ?? new StreamError('closed', 'the connection is closed');
    if (error === null) this.backlog.end();
    else this.backlog.fail(error);
    for (const stream of [...this.streams.values()]) stream.lose(reason);
    this.pings.fail(reason);
    this.#events.complete();
    this.#frames.complete();
    if (error === null) this.#closed.resolve();
    else reject(this.#closed, error);
  }
}

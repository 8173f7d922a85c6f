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
import { Backlog } from './backlog.js';
import { type Clock, systemClock } from './clock.js';
import { StreamError } from './errors.js';
import { Tap } from './events.js';
import { type Fault, Faults } from './faults.js';
import { noHeaders, toHeaders } from './headers.js';
import { type LimitBounds, type LimitValues, withLimits } from './limits.js';
import { Pings } from './pings.js';
import { abortable, type Deferred, deferred, handled } from './promises.js';
import { Receiver } from './receiver.js';
import { CoreStream, type StreamHost } from './stream.js';
import { Timekeeper, type Watched } from './timekeeper.js';
import { Tombstones } from './tombstones.js';
import { Transmitter, type TransmitterHost } from './transmitter.js';
import { asyncDispose } from './views.js';
import { grownWindow, maxCredit, ReceiveWindow } from './window.js';
import type { Reason, Wire } from './wire.js';

/** What a protocol tells the engine about itself. */
export interface SessionProfile {
  readonly limits: LimitValues;
  /** What the wire allows some of them to be. */
  readonly bounds?: LimitBounds;
  /** Makes the protocol's side of a session. It is called before anything is read or written. */
  wire(session: Session): Wire;
  /** Credit that the peer may assume before it knows ours, and we before we know the peer's. */
  readonly earlyWindow: number;
  readonly earlyConnectionWindow: number;
  /** The connection as a whole has a window too. */
  readonly connectionWindow: boolean;
}

/** Options for tests, beside the public ones. */
export interface SessionOptions extends ProviderOptions {
  clock?: Clock;
}

/** Whoever goes on sending after we have given up is read and discarded up to here, so that our reason can arrive. */
const lastWordsBytes = 1024 * 1024;
const lastWordsMs = 1000;

/**
 * One connection with a protocol on it: the table of streams, and everything that every protocol shares. The protocol
 * (`Wire`) puts what is decided here into frames, and calls the methods below `from the wire` with what the
 * peer's frames say.
 */
export class Session implements Provider, StreamHost, TransmitterHost, Watched {
  readonly info: ProviderInfo;
  readonly limits: LimitValues;
  readonly streams: Map<number, CoreStream> = new Map();
  readonly transmitter: Transmitter;
  readonly protocol: string;
  isEstablished = false;
  readonly #wire: Wire;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #profile: SessionProfile;
  readonly #receiver: Receiver;
  readonly #timekeeper: Timekeeper;
  readonly #faults: Faults;
  readonly #pings: Pings;
  readonly #tombstones: Tombstones;
  readonly #backlog: Backlog<CoreStream> = new Backlog('accept$');
  readonly #events: Tap<ProviderEvent> = new Tap();
  readonly #frames: Tap<FrameEvent> = new Tap();
  readonly #closed: Deferred<void> = deferred();
  readonly #window: ReceiveWindow;
  /** Streams whose credit frames are due. */
  #creditsDue: CoreStream[] = [];
  /** What grown windows have added to the connection's. */
  #grown = 0;
  #initialSendWindow: number;
  #nextId: number;
  #lastPeerId = 0;
  #peerStreams = 0;
  /** No new streams are opened, or taken: we said go-away, or the peer did. */
  #goingAway = false;
  #peerGoingAway = false;
  /** Ids above this were told in our go-away to be unprocessed. */
  #goAwayId = Number.POSITIVE_INFINITY;
  /** Everything has been settled; only the transport may still be closing. */
  #over = false;
  #ending = false;
  #discarded = 0;
  #cancelDeadline: (() => void) | null = null;
  #removeSignal: (() => void) | null = null;

  constructor(transport: Transport, profile: SessionProfile, options: SessionOptions = {}) {
    const role = options.role ?? 'client';
    this.#profile = profile;
    this.#transport = transport;
    this.#clock = options.clock ?? systemClock;
    this.limits = withLimits(profile.limits, options.limits, profile.bounds);
    this.#nextId = role === 'client' ? 1 : 2;
    this.#initialSendWindow = Math.min(profile.earlyWindow, this.limits.windowBytes);
    this.#window = new ReceiveWindow(
      profile.connectionWindow ? this.limits.receiveBudgetBytes : Number.POSITIVE_INFINITY,
    );
    this.#faults = new Faults(this.limits);
    this.#tombstones = new Tombstones(this.limits.tombstones, this.limits.tombstoneMs);
    this.info = { protocol: '', role, features: {} as never };
    const wire = profile.wire(this);
    this.#wire = wire;
    this.protocol = wire.name;
    this.info = {
      protocol: wire.name,
      role,
      features: wire.features,
      ...(transport.local === undefined ? {} : { local: transport.local }),
      ...(transport.remote === undefined ? {} : { remote: transport.remote }),
    };
    this.transmitter = new Transmitter(transport, wire, this);
    if (profile.connectionWindow) {
      this.transmitter.addCredit(Math.min(profile.earlyConnectionWindow, this.limits.receiveBudgetBytes));
    }
    this.#pings = new Pings(this.#clock, (payload) => {
      wire.ping(payload);
      this.transmitter.schedule();
    });
    this.#timekeeper = new Timekeeper(this.#clock, this.limits, this);
    this.#receiver = new Receiver(transport, wire, this.limits, this.#clock, (error) => this.#failBy(error));
    wire.preface();
    this.transmitter.schedule();
    transport.start({
      onData: (chunk) => this.#received(chunk),
      onEnd: () => this.#receiver.whenEmpty(() => this.#ended()),
      onDrain: () => this.#drained(),
      onClose: (error) => this.#transportClosed(error),
    });
    this.#listenTo(options.signal);
  }

  // ------------------------------------------------------------------ the provider

  newStream(headers?: HeadersInit, options: NewStreamOptions = {}): Stream {
    const urgency = options.urgency ?? 3;
    if (!(Number.isInteger(urgency) && urgency >= 0 && urgency <= 7)) {
      throw new RangeError(`urgency is a whole number from 0 to 7, not ${urgency}`);
    }
    const list = toHeaders(headers);
    const refusal = this.#refusal();
    const id = refusal === null ? this.#nextId : 0;
    const stream = new CoreStream(this, id, 'local', list, urgency, this.#initialSendWindow);
    stream.prepare(options.label, undefined);
    if (refusal === null) {
      this.#nextId += 2;
      this.streams.set(id, stream);
      this.transmitter.open(stream);
      const { slot } = this.#events;
      if (slot !== null) slot.next({ type: 'open', stream, at: this.now() });
      this.#abortWith(stream, options.signal);
    } else stream.fail(refusal, 'refused', false);
    return stream;
  }

  get accept$(): Observable<Stream> {
    return this.#backlog.values$;
  }

  accept(options?: { signal?: AbortSignal }): Promise<Stream | null> {
    return handled(this.#backlog.read(options?.signal));
  }

  get events$(): Observable<ProviderEvent> {
    return this.#events.values$;
  }

  get frames$(): Observable<FrameEvent> {
    return this.#frames.values$;
  }

  ping(options?: { signal?: AbortSignal }): Promise<number>;
  ping(options: { signal?: AbortSignal } = {}): Promise<number> {
    const { signal } = options;
    const answer = this.#pings.ping();
    return handled(signal === undefined ? answer : abortable(answer, signal, () => {}));
  }

  close(options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    this.#beginClose();
    const { promise } = this.#closed;
    return handled(
      signal === undefined ? promise : abortable(promise, signal, () => this.abort(signal.reason)),
    );
  }

  abort(reason?: unknown): void {
    if (this.#over) return;
    const error = new StreamError('closed', 'the connection was aborted by us', { cause: reason });
    this.#sayGoAway(new StreamError('closed', 'aborted', { reset: 'cancel' }));
    this.#settle(error);
    this.#transport.destroy();
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  pipe(...operators: ProviderOperator[]): Provider {
    return operators.reduce<Provider>((provider, operator) => operator(provider), this);
  }

  async [asyncDispose](): Promise<void> {
    await this.close().catch(() => {});
  }

  // ------------------------------------------------------------------ from the wire

  now(): number {
    return this.#clock.now();
  }

  /** Null while nobody observes frames. */
  get frames(): Subject<FrameEvent> | null {
    return this.#frames.slot;
  }

  /** The peer's preface and first settings are here. */
  established(): void {
    this.isEstablished = true;
  }

  /** The peer changed the window that streams start with. */
  peerInitialWindow(bytes: number): void {
    const change = bytes - this.#initialSendWindow;
    this.#initialSendWindow = bytes;
    for (const stream of this.streams.values()) {
      if (!stream.outbox.hasEnded) this.#moreWindow(stream, change);
    }
  }

  /** The window of the connection, which replaces the one that was assumed. */
  peerConnectionWindow(bytes: number): void {
    this.#connectionCredit(
      bytes - Math.min(this.#profile.earlyConnectionWindow, this.limits.receiveBudgetBytes),
    );
  }

  /** The peer opens a stream. Null if it is refused; its frames are then to be ignored. */
  peerOpened(id: number, headers: StreamHeaders | StreamError, urgency: number): CoreStream | null {
    if (id % 2 === this.#nextId % 2)
      throw protocolError(`the peer opened stream ${id}, which is ours to open`);
    if (id <= this.#lastPeerId) throw protocolError(`the peer opened stream ${id} after ${this.#lastPeerId}`);
    this.#lastPeerId = id;
    if (id > this.#goAwayId) return null;
    if (StreamError.is(headers)) {
      this.#refuseId(id, headers.code === 'limit' ? 'limit' : 'protocol-error', headers.message, 'error');
      return null;
    }
    if (this.#goingAway || this.#peerStreams >= this.limits.maxStreams) {
      this.#refuseId(id, 'refused', 'no more streams are taken', 'refusal');
      return null;
    }
    if (this.#backlog.waiting >= this.limits.backlog) {
      this.#refuseId(id, 'refused', 'too many streams wait to be accepted', 'refusal');
      return null;
    }
    const stream = new CoreStream(this, id, 'remote', headers, urgency, this.#initialSendWindow);
    this.#peerStreams++;
    this.streams.set(id, stream);
    return stream;
  }

  /** Hands an opened stream on, after the data that came with it. */
  peerOffered(stream: CoreStream): void {
    const { slot } = this.#events;
    if (slot !== null) slot.next({ type: 'accept', stream, at: this.now() });
    if (!stream.isOver) this.#backlog.push(stream);
  }

  /** The stream of a frame. Null if it is over, and the frame is to be ignored. */
  find(id: number): CoreStream | null {
    const stream = this.streams.get(id);
    if (stream?.announced) return stream;
    const ours = id % 2 === this.#nextId % 2;
    if (stream !== undefined || (ours ? id >= this.#nextId : id > this.#lastPeerId)) {
      throw protocolError(`the peer sent a frame for stream ${id}, which was never opened`);
    }
    if (id <= this.#goAwayId && !this.#tombstones.has(id, this.now())) this.fault('useless');
    return null;
  }

  /** Counts a peer's data against the windows. To be called before `peerData` and even if the stream is over. */
  peerSent(stream: CoreStream | null, bytes: number): void {
    const window = this.#window;
    window.received(bytes);
    const slack = Math.max(0, this.#profile.earlyConnectionWindow - this.limits.receiveBudgetBytes);
    if (window.credit < -slack) throw overrun(0, bytes, window.credit + bytes);
    if (stream === null) {
      this.#taken(bytes);
      return;
    }
    const own = stream.inbox.window;
    own.received(bytes);
    const ownSlack = Math.max(0, this.#profile.earlyWindow - this.limits.windowBytes);
    if (own.credit < -ownSlack) throw overrun(stream.id, bytes, own.credit + bytes);
  }

  peerData(stream: CoreStream, chunk: Uint8Array): void {
    stream.inbox.receive(chunk);
    if (!stream.readStalled && stream.inbox.isStalling) {
      stream.readStalled = true;
      this.#tellStall(stream, 'stall', 'receive');
    }
  }

  peerCredit(stream: CoreStream, bytes: number): void {
    if (stream.outbox.window + bytes > maxCredit) {
      throw new StreamError(
        'flow-control',
        `the peer raised the window of stream ${stream.id} above 2^31 - 1`,
        {
          remote: true,
        },
      );
    }
    this.#moreWindow(stream, bytes);
  }

  peerConnectionCredit(bytes: number): void {
    this.#connectionCredit(bytes);
  }

  peerRefused(
    stream: CoreStream,
    code: ResetCode,
    wireCode: number,
    reason: string,
    headers: StreamHeaders,
  ): void {
    const message = `stream ${stream.id} was refused by the peer (${code})${reason && `: ${reason}`}`;
    const details = { streamId: stream.id, remote: true, wireCode, headers, reset: code };
    stream.fail(
      new StreamError('refused', message, { ...details, retryable: code === 'refused' }),
      code,
      true,
    );
  }

  peerReset(stream: CoreStream, code: ResetCode, wireCode: number, reason: string): void {
    this.fault('reset');
    const message = `stream ${stream.id} was reset by the peer (${code})${reason && `: ${reason}`}`;
    if (stream.origin === 'remote') this.#backlog.withdraw(stream);
    stream.fail(
      new StreamError('reset', message, { streamId: stream.id, remote: true, wireCode, reset: code }),
      code,
      true,
    );
  }

  peerStopped(stream: CoreStream, code: ResetCode, wireCode: number): void {
    this.fault('reset');
    stream.peerStopped(code, wireCode);
  }

  peerPonged(payload: number): void {
    const rtt = this.#pings.answered(payload);
    if (rtt === undefined) this.fault('useless');
    else if (this.#events.slot !== null) this.#events.slot.next({ type: 'ping', at: this.now(), rtt });
  }

  /** The peer takes no stream above `lastId` any more; with an error, it has given up altogether. */
  peerGoAway(lastId: number, error: StreamError | null): void {
    const { slot } = this.#events;
    if (slot !== null) slot.next({ type: 'goaway', at: this.now(), remote: true, lastId });
    if (error !== null) {
      this.#settle(error);
      this.#endTransport();
      return;
    }
    this.#peerGoingAway = true;
    for (const stream of [...this.streams.values()]) {
      if (stream.origin === 'local' && stream.id > lastId) {
        const message = `stream ${stream.id} was not processed: the peer is going away`;
        const details = { streamId: stream.id, remote: true, retryable: true, reset: 'refused' } as const;
        stream.fail(new StreamError('refused', message, details), 'refused', true);
      }
    }
    this.#endIfDrained();
  }

  /** Counts a useless act of the peer's. */
  fault(fault: Fault): void {
    if (this.#over || this.#faults.allow(fault, this.now())) return;
    throw new StreamError('limit', `the peer sent too much that is of no use (${fault})`, { remote: true });
  }

  /** A broken stream, which the connection survives. */
  peerBroke(stream: CoreStream, error: StreamError): void {
    this.fault('error');
    this.sendReset(stream, error.code === 'limit' ? 'limit' : 'protocol-error', error.message);
    stream.fail(error, 'protocol-error', true);
  }

  // ------------------------------------------------------------------ from the streams

  get events(): Subject<ProviderEvent> | null {
    return this.#events.slot;
  }

  get sendBlock(): 'window' | 'transport' | null {
    return this.transmitter.block;
  }

  ready(stream: CoreStream): void {
    this.transmitter.ready(stream);
  }

  thirsty(stream: CoreStream): void {
    this.transmitter.thirsty(stream);
    if (!stream.stalled && stream.outbox.isNearEdge && !this.transmitter.isBlocked) this.stalled(stream);
  }

  queued(bytes: number): void {
    this.transmitter.queued(bytes);
  }

  mayTake(bytes: number): boolean {
    return this.transmitter.mayTake(bytes);
  }

  released(stream: CoreStream, bytes: number): void {
    this.#taken(bytes);
    if (stream.remoteOver || stream.inbox.window.due === 0 || stream.creditDue) return;
    stream.creditDue = true;
    this.#creditsDue.push(stream);
    this.transmitter.schedule();
  }

  dropped(_stream: CoreStream, bytes: number): void {
    this.#taken(bytes);
  }

  sendReset(stream: CoreStream, code: Reason, reason: string): void {
    if (!stream.announced || this.#over) return;
    this.#wire.reset(stream.id, code, reason);
    this.transmitter.schedule();
  }

  sendRefusal(stream: CoreStream, code: ResetCode, headers: StreamHeaders): void {
    this.#backlog.withdraw(stream);
    this.#wire.refuse(stream.id, code, '', headers);
    this.transmitter.schedule();
  }

  stopped(stream: CoreStream, code: ResetCode): void {
    stream.stopDue = code;
    this.transmitter.ready(stream);
  }

  over(stream: CoreStream): void {
    if (!this.streams.delete(stream.id)) return;
    if (stream.origin === 'remote') this.#peerStreams--;
    if (stream.state === 'reset') this.#tombstones.add(stream.id, this.now());
    this.transmitter.forget(stream);
    const grown = stream.inbox.window.target - this.limits.windowBytes;
    this.#grown -= grown;
    this.#window.target -= grown;
    if (this.streams.size === 0) this.#endIfDrained();
  }

  // ------------------------------------------------------------------ from the sending side

  writeCredit(): void {
    if (this.#window.due > 0 && this.#window.target !== Number.POSITIVE_INFINITY) {
      const bytes = this.#window.due;
      this.#window.grant(bytes);
      this.#wire.credit(0, bytes);
    }
    if (this.#creditsDue.length === 0) return;
    const streams = this.#creditsDue;
    this.#creditsDue = [];
    const now = this.now();
    for (const stream of streams) {
      stream.creditDue = false;
      if (!stream.remoteOver && !stream.inbox.isStopped) this.#grant(stream, now);
    }
  }

  stalled(stream: CoreStream): void {
    stream.stalled = true;
    this.#tellStall(stream, 'stall', 'send');
  }

  answersWaiting(bytes: number): void {
    if (bytes > this.limits.maxAnswerBytes) this.#receiver.pause('answers');
  }

  // ------------------------------------------------------------------ from the timekeeper

  giveUp(error: StreamError): void {
    this.#failBy(error);
  }

  closeIdle(): void {
    this.#beginClose();
  }

  timeOut(stream: CoreStream, message: string): void {
    this.sendReset(stream, 'timeout', message);
    if (stream.origin === 'remote') this.#backlog.withdraw(stream);
    const details = { streamId: stream.id, reset: 'cancel' } as const;
    stream.fail(new StreamError('timeout', `stream ${stream.id}: ${message}`, details), 'cancel', false);
  }

  // ------------------------------------------------------------------ inside

  /** Why no stream can be opened now, or null. */
  #refusal(): StreamError | null {
    if (this.#over || this.#goingAway || this.#peerGoingAway) {
      return new StreamError('closed', 'the connection takes no new streams: it is closed, or about to be', {
        retryable: true,
      });
    }
    if (this.#nextId <= this.limits.maxStreamId) return null;
    this.#beginClose();
    return new StreamError('limit', `this connection has used up its ids: ${this.#nextId} is too high`, {
      retryable: true,
    });
  }

  #abortWith(stream: CoreStream, signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    const aborted = (): void => stream.reset('cancel', signal.reason);
    if (signal.aborted) aborted();
    else {
      signal.addEventListener('abort', aborted, { once: true });
      stream.prepare(undefined, () => signal.removeEventListener('abort', aborted));
    }
  }

  #listenTo(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    const aborted = (): void => this.abort(signal.reason);
    if (signal.aborted) aborted();
    else {
      signal.addEventListener('abort', aborted, { once: true });
      this.#removeSignal = () => signal.removeEventListener('abort', aborted);
    }
  }

  #refuseId(id: number, code: Reason, reason: string, fault: Fault): void {
    this.fault(fault);
    this.#wire.refuse(id, code, reason, noHeaders);
    this.#tombstones.add(id, this.now());
    this.transmitter.schedule();
  }

  #moreWindow(stream: CoreStream, bytes: number): void {
    stream.outbox.credit(bytes);
    if (stream.stalled && stream.outbox.window > 0) {
      stream.stalled = false;
      this.#tellStall(stream, 'resume', 'send');
    }
    stream.outbox.settle();
    this.transmitter.ready(stream);
  }

  #connectionCredit(bytes: number): void {
    if (!this.transmitter.addCredit(bytes)) {
      throw new StreamError('flow-control', 'the peer raised the window of the connection above 2^31 - 1', {
        remote: true,
      });
    }
  }

  /** Bytes of the connection's window are free again. */
  #taken(bytes: number): void {
    this.#window.unread -= bytes;
    if (this.#window.due > 0) this.transmitter.schedule();
  }

  /** Returns credit to a stream, and widens its window if its reader is faster than the window. */
  #grant(stream: CoreStream, now: number): void {
    const { window } = stream.inbox;
    if (window.unread === 0 && window.target < this.limits.maxWindowBytes) {
      const { rtt } = this.#pings;
      if (Number.isNaN(rtt) && !this.#pings.isPending && this.#wire.features.ping) void this.#pings.ping();
      const room = this.limits.growthBudgetBytes - this.#grown;
      const most = Math.min(this.limits.maxWindowBytes, window.target + room);
      const grown = grownWindow(window.target, most, now - stream.creditAt, rtt || 0) - window.target;
      window.target += grown;
      this.#window.target += grown;
      this.#grown += grown;
    }
    stream.creditAt = now;
    const bytes = window.due;
    if (bytes === 0) return;
    window.grant(bytes);
    this.#wire.credit(stream.id, bytes);
    if (stream.readStalled) {
      stream.readStalled = false;
      this.#tellStall(stream, 'resume', 'receive');
    }
  }

  #tellStall(stream: CoreStream, type: 'stall' | 'resume', side: 'send' | 'receive'): void {
    const { slot } = this.#events;
    if (slot !== null) slot.next({ type, stream, at: this.now(), side });
  }

  #received(chunk: Uint8Array): void {
    if (this.#over) {
      this.#discarded += chunk.byteLength;
      if (this.#discarded > lastWordsBytes) this.#transport.destroy();
      return;
    }
    this.#timekeeper.heard();
    this.#receiver.receive(chunk);
  }

  #drained(): void {
    this.transmitter.drained();
    if (!this.transmitter.isBlocked) this.#receiver.resume('answers');
  }

  // ------------------------------------------------------------------ the end

  #beginClose(): void {
    if (this.#goingAway || this.#over) return;
    for (const stream of this.#backlog.withdrawAll()) stream.reject('refused');
    this.#goingAway = true;
    this.#goAwayId = this.#lastPeerId;
    this.#sayGoAway(null);
    this.#deadline(this.limits.drainMs, 'streams were still open when the time to drain them was over');
    this.#endIfDrained();
  }

  #sayGoAway(error: StreamError | null): void {
    this.#wire.goAway(this.#lastPeerId, error);
    const { slot } = this.#events;
    if (slot !== null) slot.next({ type: 'goaway', at: this.now(), remote: false, lastId: this.#lastPeerId });
    if (error === null) this.transmitter.schedule();
    else this.transmitter.flush();
  }

  /** After a go-away, the last stream takes the connection with it. */
  #endIfDrained(): void {
    if (this.#over || this.#ending || this.streams.size > 0) return;
    if (!this.#goingAway && !this.#peerGoingAway) return;
    this.#ending = true;
    // After this turn, so that what is being said in it is sent.
    queueMicrotask(() => {
      if (this.#over) return;
      this.transmitter.flush();
      this.#transport.end();
      this.#deadline(this.limits.closeMs, 'the transport did not close in time');
    });
  }

  #deadline(ms: number, message: string): void {
    this.#cancelDeadline?.();
    this.#cancelDeadline = this.#clock.after(ms, () => {
      if (this.#ending) {
        this.#settle(null);
        this.#transport.destroy();
      } else this.abort(new StreamError('timeout', message));
    });
  }

  /** The peer's side of the transport has ended. */
  #ended(): void {
    if (this.#over) {
      this.#transport.end();
      return;
    }
    if (this.streams.size > 0) {
      this.#lost(`the connection ended with ${this.streams.size} streams open`, undefined);
      return;
    }
    if (!this.isEstablished) {
      this.#lost('the connection ended before the peer had said what it speaks', undefined);
      return;
    }
    this.#ending = true;
    this.transmitter.flush();
    this.#settle(null);
    this.#transport.end();
    this.#cancelDeadline = this.#clock.after(this.limits.closeMs, () => this.#transport.destroy());
  }

  #transportClosed(error: unknown): void {
    this.#cancelDeadline?.();
    this.#cancelDeadline = null;
    if (this.#over) return;
    if (this.streams.size === 0 && this.#ending) this.#settle(null);
    else this.#lost(`the connection was lost with ${this.streams.size} streams open`, error);
  }

  #lost(message: string, cause: unknown): void {
    this.#settle(new StreamError('closed', message, { remote: true, cause }));
    this.#transport.destroy();
  }

  /** The peer broke the protocol, or its time is up: it is told why, and then the transport closes. */
  #failBy(error: unknown): void {
    if (this.#over) return;
    const reason = StreamError.is(error)
      ? error
      : new StreamError('protocol', 'a defect in the protocol driver', {
          cause: error,
          reset: 'internal-error',
        });
    if (this.isEstablished) this.#sayGoAway(reason);
    this.#settle(reason);
    this.#endTransport();
  }

  #endTransport(): void {
    this.#transport.end();
    this.#cancelDeadline = this.#clock.after(lastWordsMs, () => this.#transport.destroy());
  }

  /** The connection is over for everybody who waits for something of it. */
  #settle(error: StreamError | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#removeSignal?.();
    this.#cancelDeadline?.();
    this.#cancelDeadline = null;
    this.#timekeeper.stop();
    this.transmitter.stop();
    this.#receiver.stop();
    const reason = error ?? new StreamError('closed', 'the connection is closed');
    if (error === null) this.#backlog.end();
    else this.#backlog.fail(error);
    for (const stream of [...this.streams.values()]) stream.lose(reason);
    this.#pings.fail(reason);
    this.#events.complete();
    this.#frames.complete();
    if (error === null) this.#closed.resolve();
    else this.#closed.reject(error);
  }
}

function protocolError(message: string): StreamError {
  return new StreamError('protocol', message, { remote: true, reset: 'protocol-error' });
}

function overrun(id: number, bytes: number, window: number): StreamError {
  const whose = id === 0 ? 'the connection' : `stream ${id}`;
  const message = `${whose}: the peer sent ${bytes} bytes into a window of ${Math.max(0, window)}`;
  return new StreamError('flow-control', message, {
    remote: true,
    streamId: id || undefined,
    reset: 'flow-control',
  });
}

import { Observable } from 'rxjs';
import type {
  FrameEvent,
  HeadersInit,
  NewStreamOptions,
  Provider,
  ProviderEvent,
  ProviderInfo,
  ProviderOperator,
  Stream,
  Transport,
} from '../api.js';
import { systemClock } from '../core/clock.js';
import { Session, type SessionOptions, type SessionProfile } from '../core/session.js';
import type { CoreStream } from '../core/stream.js';
import type { CarrierTransport } from './carrier.js';
import { Annex, JoinedEvents, JoinedStreams } from './joined.js';
import type { Target } from './messages.js';
import { isCarrier, REVERSE_PATH, Reverse, type ReverseHost } from './reverse.js';
import { Http2Wire, type Http2WireHost } from './wire.js';

/** What a connection of HTTP/2 is set up with. */
export interface Http2Settings {
  readonly target: Target;
  /** Whether the private setting is sent by which a server may open streams on the connection itself. */
  readonly announces: boolean;
  /** A client's: from the start, once somebody listens, or never. A server's: false if it takes none. */
  readonly reverse: boolean | 'listening';
  readonly lingersEnd: boolean;
  readonly neverIndexed: readonly string[];
}

/** A session, and the reverse session that goes through one of its streams where the server cannot open any. */
export class Http2Provider implements Provider, ReverseHost, Http2WireHost {
  readonly info: ProviderInfo;
  readonly streams: ReadonlyMap<number, Stream>;
  readonly outer: Session;
  readonly clock: typeof systemClock;
  readonly role: 'client' | 'server';
  readonly accept$: Observable<Stream>;
  readonly #profile: SessionProfile;
  readonly #options: SessionOptions;
  readonly #settings: Http2Settings;
  readonly #reverse: Reverse;
  readonly #events: JoinedEvents<ProviderEvent>;
  readonly #frames: JoinedEvents<FrameEvent>;
  #listens: boolean;

  constructor(
    transport: Transport,
    profile: Omit<SessionProfile, 'wire'>,
    options: SessionOptions,
    settings: Http2Settings,
  ) {
    const { target, announces, lingersEnd, neverIndexed } = settings;
    this.role = options.role ?? 'client';
    this.clock = options.clock ?? systemClock;
    this.#options = options;
    this.#settings = settings;
    this.#listens = settings.reverse === true;
    this.#reverse = new Reverse(this);
    const innerOptions = { swapped: true, neverIndexed };
    this.#profile = { ...profile, wire: (session) => new Http2Wire(session, target, innerOptions) };
    const wireOptions = { host: this, announces, lingersEnd, neverIndexed };
    const wire = (session: Session): Http2Wire => new Http2Wire(session, target, wireOptions);
    this.outer = new Session(transport, { ...profile, wire }, options);
    this.info = this.outer.info;
    const sessions = (): [Session, ...Session[]] => {
      const { inner } = this.#reverse;
      return inner === null ? [this.outer] : [this.outer, inner];
    };
    this.streams = new JoinedStreams(sessions, isCarrier);
    this.#events = new JoinedEvents<ProviderEvent>(
      sessions,
      (session) => session.events$,
      (event) => !('stream' in event && isCarrier(event.stream)),
    );
    this.#frames = new JoinedEvents<FrameEvent>(
      sessions,
      (session) => session.frames$,
      () => true,
    );
    this.accept$ = new Observable((subscriber) => {
      this.#listen();
      return this.outer.accept$.subscribe(subscriber);
    });
    const over = (): void => {
      this.#reverse.stop();
      this.#reverse.inner?.abort(new Error('the connection is closed'));
    };
    this.outer.closed.then(over, over);
  }

  // ------------------------------------------------------------------ the provider

  newStream(headers?: HeadersInit, options?: NewStreamOptions): Stream {
    const opener = this.role === 'server' ? this.#reverse.opener : this.outer;
    const stream = opener.newStream(headers, options);
    // Without ids left, no other reverse session helps, nor one that keeps the connection open.
    if (stream.id === 0 && opener.nextId > opener.limits.maxStreamId) void this.close();
    return stream;
  }

  accept(options?: { signal?: AbortSignal }): Promise<Stream | null> {
    this.#listen();
    return this.outer.accept(options);
  }

  get events$(): Observable<ProviderEvent> {
    return this.#events.values$;
  }

  get frames$(): Observable<FrameEvent> {
    return this.#frames.values$;
  }

  ping(options?: { signal?: AbortSignal }): Promise<number> {
    return this.outer.ping(options);
  }

  close(options?: { signal?: AbortSignal }): Promise<void> {
    const closing = this.outer.close(options);
    this.#reverse.goAway();
    return closing;
  }

  abort(reason?: unknown): void {
    this.#reverse.stop();
    this.#reverse.inner?.abort(reason);
    this.outer.abort(reason);
  }

  get closed(): Promise<void> {
    return this.outer.closed;
  }

  pipe(...operators: ProviderOperator[]): Provider {
    return operators.reduce<Provider>((provider, operator) => operator(provider), this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close().catch(() => {});
  }

  // ------------------------------------------------------------------ for the reverse session

  get offers(): HeadersInit | null {
    return this.#listens && this.#settings.reverse !== false ? { ':path': REVERSE_PATH } : null;
  }

  connect(transport: CarrierTransport): Session {
    const { limits, clock } = this.#options;
    let session: Session;
    const backlog = new Annex(this.outer.backlog, () => session.streams.values());
    session = new Session(transport, this.#profile, {
      role: this.role,
      limits: { ...limits, idleMs: 0 },
      backlog,
      ...(clock === undefined ? {} : { clock }),
    });
    this.#events.join(session);
    this.#frames.join(session);
    return session;
  }

  #listen(): void {
    if (this.#listens) return;
    this.#listens = true;
    this.#reverse.offer();
  }

  // ------------------------------------------------------------------ from the wire

  agreed(serverOpens: boolean): void {
    this.#reverse.agreed(serverOpens);
    // Streams that were to be opened before the connection goes away may be elsewhere now.
    const { ending } = this.outer;
    ending.announced();
    ending.drained();
  }

  goesAway(): void {
    this.#reverse.goAway();
  }

  takes(stream: CoreStream): boolean {
    if (this.role === 'client' || !isCarrier(stream)) return false;
    if (this.#settings.reverse === false) return false;
    if (this.outer.ending.isGoingAway) stream.reject('refused');
    else this.#reverse.accept(stream);
    return true;
  }
}

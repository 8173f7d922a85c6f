/**
 * The public contract: the interfaces that applications, wrappers and protocols share.
 * Types only; the files beside this one implement them.
 */
/// <reference lib="esnext.disposable" preserve="true" />
import type { Observable, Observer } from 'rxjs';

// ------------------------------------------------------------------ bytes

/** Text is sent as UTF-8. */
export type Chunk = Uint8Array | string;

/** Whatever can be subscribed to: rxjs 7, a later rxjs, the platform's own Observable. */
export interface SubscribableLike<T> {
  subscribe(
    observer: Partial<Observer<T>>,
    options?: { signal?: AbortSignal },
  ): { unsubscribe(): void } | void;
}

/** What a stream can send. A batch (`Chunk[]`) is one write. */
export type ByteSource =
  | Chunk
  | Iterable<Chunk | Chunk[]>
  | AsyncIterable<Chunk | Chunk[]>
  | ReadableStream<Chunk>
  | SubscribableLike<Chunk>;

/** How `stream.send()` treats its source. */
export interface SendOptions {
  /** Half-close after the source completes. Default true. */
  end?: boolean;
  /** Aborting resets the stream with code `cancel` and rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Bytes kept ahead of the window for sources that cannot be held (a timer, a Subject). Default 1 MiB. */
  maxBuffered?: number;
  /** What happens beyond `maxBuffered`. Default `strict`: reset the stream and reject. */
  overflow?: 'strict' | 'unbounded' | 'drop-newest';
}

// ------------------------------------------------------------------ headers

/** What headers can be made of. Names are case-insensitive; an array, or a repeated name, gives several values. */
export type HeadersInit = Record<string, string | readonly string[]> | Iterable<readonly [string, string]>;

/** Case-insensitive, ordered, multi-valued. Pseudo-headers (`:path`) are allowed, unlike in the platform's Headers. */
export interface StreamHeaders extends Iterable<[string, string]> {
  /** The first value of `name`. */
  get(name: string): string | undefined;
  /** Every value of `name`, in order. */
  getAll(name: string): string[];
  has(name: string): boolean;
  /** An object without a prototype: one string per name, or an array where there are several values. */
  toJSON(): Record<string, string | string[]>;
}

// ------------------------------------------------------------------ stream

/** `opening` until the acceptor has answered; the other words are HTTP/2's (RFC 9113 §5.1). */
export type StreamState =
  | 'opening'
  | 'open'
  | 'half-closed-local'
  | 'half-closed-remote'
  | 'closed'
  | 'reset';

/** Why a stream was reset. Each protocol maps the words to its own wire codes; a number is sent as it is. */
export type ResetCode =
  | 'no-error'
  | 'cancel'
  | 'refused'
  | 'protocol-error'
  | 'internal-error'
  | 'flow-control'
  | 'overflow'
  | number;

/** A stream's figures at one moment. Sizes are bytes. */
export interface StreamStats {
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Received and not yet released by the reader. */
  readonly queuedIn: number;
  /** Given to us and not yet with the transport. */
  readonly queuedOut: number;
  /** What the peer may send before it needs more credit. */
  readonly receiveWindow: number;
  /** What we may send before we need more credit. */
  readonly sendWindow: number;
  /** On the clock of the provider, in milliseconds. */
  readonly openedAt: number;
  /** What the stream waits for at this moment, if anything: the peer's window, the socket, or its own reader. */
  readonly blockedOn: 'window' | 'transport' | 'reader' | null;
}

/** One stream of bytes each way, over a connection that it shares with others. */
export interface Stream extends Observer<Chunk>, AsyncIterable<Uint8Array>, AsyncDisposable {
  readonly id: number;
  readonly origin: 'local' | 'remote';
  /** For people and traces; `framer#5` unless set. */
  label: string;
  /** What the opener sent along. */
  readonly headers: StreamHeaders;
  readonly state: StreamState;
  /** The state now, then each change; completes after `closed` or `reset`. */
  readonly state$: Observable<StreamState>;
  readonly stats: StreamStats;
  /** The peer's reply headers. Rejects if the peer refuses. */
  readonly reply: Promise<StreamHeaders>;
  /** What the peer sent along with its end, if anything. */
  readonly trailers: Promise<StreamHeaders | undefined>;
  /** Both halves are over. Rejects with the StreamError of a reset. Never causes an unhandled rejection. */
  readonly closed: Promise<void>;

  /** Answers a remote stream. The first read or write accepts with empty headers. */
  accept(headers?: HeadersInit | PromiseLike<HeadersInit>): this;
  /** Refuses a remote stream that has not been accepted yet. Default code: `refused`. */
  reject(code?: ResetCode, headers?: HeadersInit): void;

  /**
   * The bytes received. One reader at a time; they wait in the window until there is one, and nothing is lost. A chunk is
   * the reader's for good, and a view of memory that holds others too, up to 256 KiB: `chunk.slice()` is kept of few.
   */
  readonly data$: Observable<Uint8Array>;
  /** One chunk, or null at the end. Read a preamble this way, then subscribe to `data$` for the rest. */
  read(options?: { signal?: AbortSignal }): Promise<Uint8Array | null>;
  readonly readable: ReadableStream<Uint8Array>;
  /**
   * No more, thanks: what unsubscribing from `data$` does. The sending half is untouched; where the protocol has no message
   * for this (`features.halfStop`), its end is followed by a reset, by which the peer may lose what it has not read yet.
   */
  stop(code?: ResetCode): void;

  /**
   * Sends a source to its end, pulling only while the peer's window and the transport have room. Its chunks are the
   * stream's from here on, and must not be changed any more: large ones are sent without a copy.
   */
  send(source: ByteSource, options?: SendOptions): Promise<void>;
  /**
   * Resolves when the chunk has been taken into the window. It is the stream's from here on, and must not be changed any
   * more: large ones are sent without a copy. Whoever writes out of one buffer gives `buffer.slice()`.
   */
  write(chunk: Chunk): Promise<void>;
  /** Half-closes. */
  end(trailers?: HeadersInit): Promise<void>;
  /** A signal of `pipeTo()` waits for the write under way, as the platform has it; that of `send(source, { signal })` does not. */
  readonly writable: WritableStream<Chunk>;

  /** Ends both halves at once, as an error. */
  reset(code?: ResetCode, cause?: unknown): void;
}

// ------------------------------------------------------------------ provider

/** What the wire protocol has; where it has not, the documented substitute applies. */
export interface ProviderFeatures {
  readonly headers: boolean;
  readonly replyHeaders: boolean;
  readonly trailers: boolean;
  readonly flowControl: boolean;
  readonly halfStop: boolean;
  readonly ping: boolean;
  readonly goAway: boolean;
}

export interface ProviderInfo {
  readonly protocol: string;
  readonly role: 'client' | 'server';
  readonly local?: string;
  readonly remote?: string;
  readonly features: ProviderFeatures;
}

export interface NewStreamOptions {
  label?: string;
  /** Aborting resets the stream with code `cancel`. */
  signal?: AbortSignal;
  /** 0 is the most urgent, 7 the least; default 3, as in RFC 9218. */
  urgency?: number;
}

/** What happened to a stream or a connection; `at` is in milliseconds on the provider's clock. */
export type ProviderEvent =
  | {
      readonly type: 'open' | 'accept' | 'reply' | 'end' | 'close';
      readonly stream: Stream;
      readonly at: number;
    }
  | {
      readonly type: 'reset';
      readonly stream: Stream;
      readonly at: number;
      readonly remote: boolean;
      readonly code: ResetCode;
    }
  | {
      readonly type: 'stall' | 'resume';
      readonly stream: Stream;
      readonly at: number;
      readonly side: 'send' | 'receive';
    }
  | { readonly type: 'ping'; readonly at: number; readonly rtt: number }
  | { readonly type: 'goaway'; readonly at: number; readonly remote: boolean; readonly lastId: number };

/** One frame on the wire. `streamId` is 0 for the connection's own frames. */
export interface FrameEvent {
  readonly direction: 'in' | 'out';
  readonly at: number;
  readonly name: string;
  readonly streamId: number;
  /** The payload, in bytes. */
  readonly length: number;
  readonly flags: number;
}

/** One connection that carries streams both ways, or a wrapper that behaves like one. */
export interface Provider extends AsyncDisposable {
  readonly info: ProviderInfo;
  readonly streams: ReadonlyMap<number, Stream>;
  /** Opens a stream at once; what is sent before the peer confirms waits. Failure shows on reply, closed, data$. */
  newStream(headers?: HeadersInit, options?: NewStreamOptions): Stream;
  /** Streams the peer opened. One subscriber; a bounded backlog waits for it; holding it holds acceptance. */
  readonly accept$: Observable<Stream>;
  /** The next accepted stream; null once the provider is closed. */
  accept(options?: { signal?: AbortSignal }): Promise<Stream | null>;
  /** Stream lifecycle. One field test per event while nobody subscribes. */
  readonly events$: Observable<ProviderEvent>;
  /** Every frame, both directions. Same cost when unobserved. */
  readonly frames$: Observable<FrameEvent>;
  /** Round-trip time in milliseconds. Rejects with `timeout` when there is no answer in `deadMs`. */
  ping(options?: { signal?: AbortSignal }): Promise<number>;
  /** Graceful: no new streams, open ones finish. */
  close(options?: { signal?: AbortSignal }): Promise<void>;
  /** Now. Every open stream fails with this reason. */
  abort(reason?: unknown): void;
  /** Resolves after a clean close; rejects if the connection failed. Never causes an unhandled rejection. */
  readonly closed: Promise<void>;
  pipe(...operators: ProviderOperator[]): Provider;
}

/** A wrapper: what an operator is to an Observable. */
export type ProviderOperator = (provider: Provider) => Provider;

// ------------------------------------------------------------------ protocols and transports

/** A raw, ordered, reliable byte pipe. */
export interface Transport {
  /** Called once. `onData` is given bytes it may keep; `onClose` is given the error, if there was one. */
  start(handlers: {
    onData(chunk: Uint8Array): void;
    onEnd(): void;
    onDrain(): void;
    onClose(error?: unknown): void;
  }): void;
  /** Takes ownership of the buffers. False: wait for onDrain. */
  write(chunks: readonly Uint8Array[]): boolean;
  /** All that was written is copied or gone: the memory is the writer's again. Where it is not said, it never is. */
  readonly isFlushed?: boolean | undefined;
  pause(): void;
  resume(): void;
  end(): void;
  destroy(error?: unknown): void;
  readonly local?: string;
  readonly remote?: string;
  /** `host:port` as it was dialled: the name by which the peer is known, where `remote` is its address. */
  readonly authority?: string;
  /** Nobody between can read it, as with TLS. */
  readonly secure?: boolean;
}

export interface ProviderOptions {
  /** Who dialled. Default `client`; the two ends of a connection must differ. */
  role?: 'client' | 'server';
  limits?: Partial<Limits>;
  /** Aborting aborts the provider, however long it has been there. */
  signal?: AbortSignal;
}

/**
 * Every size, count, rate and time a peer controls, by name. Sizes are bytes, times milliseconds. `Partial<LimitValues>`
 * knows the names, and can be given wherever this is asked for.
 */
export interface Limits {
  [name: string]: number;
}

/** Swapping protocols is swapping this one value. */
export interface Protocol {
  (transport: Transport, options?: ProviderOptions): Provider;
  /** Its name in TLS's application-layer negotiation (RFC 7301). */
  readonly alpn?: string;
  /** Whether a peer that begins with `head` speaks it; undefined if more bytes are needed to tell. */
  readonly recognises?: (head: Uint8Array) => boolean | undefined;
  /** Throws if these options cannot be: `connect` and `listen` ask before they do anything. */
  readonly check?: (options: ProviderOptions) => void;
}

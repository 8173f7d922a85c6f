import type { Transport } from '../api.js';
import { systemClock } from '../core/clock.js';
import { checkLeast } from '../core/option.js';

/** What is read of a WebSocket's events. */
export interface WebSocketEvent {
  readonly type: string;
  readonly data?: unknown;
  readonly code?: number;
  readonly reason?: string;
  readonly error?: unknown;
}

/** What is needed of a WebSocket: the platform's has it (browsers, Node 22), and so has npm's `ws`. */
export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  readonly url?: string;
  send(data: never): void;
  close(code?: number, reason?: string): void;
  addEventListener(
    type: 'open' | 'message' | 'error' | 'close',
    listener: (event: WebSocketEvent) => void,
  ): void;
  // Only `ws` has these.
  pause?(): void;
  resume?(): void;
  terminate?(): void;
}

export interface WebSocketOptions {
  /**
   * What may wait while the connection does not read, on a WebSocket that cannot be paused (all but those of `ws`). A
   * peer within its windows stays below the default of 32 MiB; beyond it the connection ends.
   */
  readonly maxWaitingBytes?: number;
}

type Handlers = Parameters<Transport['start']>[0];

interface Closing {
  /** The peer has ended in good order. */
  readonly isEnd: boolean;
  readonly error: unknown;
}

const stateConnecting = 0;
const stateOpen = 1;
const stateClosed = 3;

/** Closed on purpose, RFC 6455 §7.4.1: done, gone (a page that is left), and by `close()` without a code. */
const cleanCodes: readonly number[] = [1000, 1001, 1005];
const doneCode = 1000;
/** We give up: a code of applications' own, since a page may say no other. */
const gaveUpCode = 4000;

/** Bytes queued in the WebSocket above which writers wait: a ping must never wait behind megabytes. */
const highWaterBytes = 256 * 1024;
const lowWaterBytes = highWaterBytes / 2;
/** No event tells of room: it is looked for after the first, twice that, and so on up to the last. */
const firstLookMs = 1;
const lastLookMs = 16;

/** More than the widest windows of our protocols add up to: HTTP/2's, of 28 MiB. */
const mostWaitingBytes = 32 * 1024 * 1024;
/** A message costs this much besides its bytes. */
const messageBytes = 256;

/**
 * A transport from a WebSocket that is open or about to be: the platform's, or one of npm's `ws`, at either end. Call it
 * in the turn in which the socket is given, or its first messages are lost. `end()` closes both directions, since a
 * WebSocket has no half-close.
 */
export function fromWebSocket(socket: WebSocketLike, options: WebSocketOptions = {}): Transport {
  if (typeof (socket as Partial<WebSocketLike> | null)?.addEventListener !== 'function') {
    throw new TypeError("fromWebSocket() needs a WebSocket: the platform's, or one of npm's ws");
  }
  checkLeast('maxWaitingBytes', options.maxWaitingBytes, 0);
  return new WebSocketTransport(socket, options.maxWaitingBytes ?? mostWaitingBytes);
}

class WebSocketTransport implements Transport {
  readonly remote?: string;
  readonly authority?: string;
  readonly secure?: boolean;
  readonly #socket: WebSocketLike;
  readonly #maxWaitingBytes: number;
  #handlers: Handlers | null = null;
  /** Written before the socket is open. */
  #early: Uint8Array[] = [];
  /** Arrived while reading was paused. */
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #delivering = false;
  #paused = false;
  #blocked = false;
  #cancelLook: (() => void) | null = null;
  #ended = false;
  /** How it has closed: told behind what waits, or at once where that is void. */
  #closing: Closing | null = null;
  /** Nothing is delivered any more but the close. */
  #isOver = false;
  #error: unknown = undefined;

  constructor(socket: WebSocketLike, maxWaitingBytes: number) {
    this.#socket = socket;
    this.#maxWaitingBytes = maxWaitingBytes;
    const { url } = socket;
    if (url) {
      this.remote = url;
      const { host } = new URL(url);
      // A unix socket has none.
      if (host !== '') this.authority = host;
      if (url.startsWith('wss:')) this.secure = true;
    }
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => this.#opened());
    socket.addEventListener('message', ({ data }) => this.#received(data));
    // The close that follows tells as much as a page may know; `ws` knows the cause.
    socket.addEventListener('error', ({ error }) => {
      this.#error ??= error;
    });
    socket.addEventListener('close', ({ code = 1006, reason = '' }) => {
      if (cleanCodes.includes(code)) this.#closed({ isEnd: true, error: undefined });
      else this.#closed({ isEnd: false, error: closedWith(code, reason, this.#error) });
    });
    if (socket.readyState === stateClosed) {
      this.#closed({ isEnd: false, error: new Error('the WebSocket was closed already') });
    }
  }

  start(handlers: Handlers): void {
    this.#handlers = handlers;
    this.#deliverLater();
  }

  write(chunks: readonly Uint8Array[]): boolean {
    if (this.#ended || this.#isOver) return false;
    const { readyState } = this.#socket;
    if (readyState === stateOpen) {
      this.#send(chunks);
      return this.#hasRoom();
    }
    if (readyState === stateConnecting) this.#early.push(...chunks);
    this.#blocked = true;
    return false;
  }

  pause(): void {
    this.#paused = true;
    if (!this.#ended) this.#socket.pause?.();
  }

  resume(): void {
    this.#paused = false;
    // What waits goes first, or more may come than is ever read.
    if (this.#waiting.length > 0 || this.#closing !== null) this.#deliverLater();
    else this.#socket.resume?.();
  }

  end(): void {
    if (this.#ended || this.#isOver) return;
    this.#ended = true;
    this.#stopLooking();
    // Behind what is queued. The answer must be read, whoever has paused.
    if (this.#socket.readyState !== stateConnecting) this.#socket.close(doneCode);
    this.#socket.resume?.();
  }

  destroy(error?: unknown): void {
    this.#giveUp(error, '');
  }

  // ---- outwards

  #opened(): void {
    if (this.#isOver) return;
    this.#send(this.#early);
    this.#early = [];
    if (this.#ended) this.#socket.close(doneCode);
    else if (this.#paused) this.#socket.pause?.();
    if (this.#blocked && this.#hasRoom()) this.#drained();
  }

  /** A message each: small ones come joined, and joining large ones costs what it saves. */
  #send(chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) this.#socket.send(sendable(chunk) as never);
  }

  #hasRoom(): boolean {
    if (this.#socket.bufferedAmount < highWaterBytes) return true;
    this.#blocked = true;
    if (this.#cancelLook === null) this.#lookAfter(firstLookMs);
    return false;
  }

  #lookAfter(ms: number): void {
    this.#cancelLook = systemClock.after(ms, () => {
      this.#cancelLook = null;
      if (!this.#look()) this.#lookAfter(Math.min(2 * ms, lastLookMs));
    });
  }

  /** True once nobody waits for room. */
  #look(): boolean {
    if (this.#socket.bufferedAmount > lowWaterBytes && !this.#isOver) return false;
    this.#drained();
    return true;
  }

  #drained(): void {
    this.#stopLooking();
    this.#blocked = false;
    if (!this.#isOver && !this.#ended) this.#handlers?.onDrain();
  }

  #stopLooking(): void {
    this.#cancelLook?.();
    this.#cancelLook = null;
  }

  // ---- inwards

  #received(data: unknown): void {
    // A page gets nothing after its own close: so does nobody.
    if (this.#isOver || this.#ended) return;
    const chunk = bytesOf(data);
    if (chunk === null) {
      const message = 'the peer sent a text message, and only binary messages carry bytes';
      this.#giveUp(new Error(message), message);
      return;
    }
    if (chunk.length === 0) return;
    if (this.#mustWait()) this.#keep(chunk);
    else this.#handlers?.onData(chunk);
    // Timers are slow in pages that nobody sees; messages are not.
    if (this.#cancelLook !== null) this.#look();
  }

  #mustWait(): boolean {
    return this.#handlers === null || this.#paused || this.#delivering;
  }

  #keep(chunk: Uint8Array): void {
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length + messageBytes;
    if (this.#waitingBytes <= this.#maxWaitingBytes) return;
    const message = `more than ${this.#maxWaitingBytes} bytes came while nobody could read them`;
    this.#giveUp(new Error(message), message);
  }

  /** In a later turn, so that the others have theirs. */
  #deliverLater(): void {
    if (this.#delivering || this.#handlers === null) return;
    if (this.#waiting.length === 0 && this.#closing === null) return;
    this.#delivering = true;
    systemClock.soon(() => this.#deliver(this.#handlers as Handlers));
  }

  #deliver(handlers: Handlers): void {
    let chunks = 0;
    while (chunks < this.#waiting.length && !this.#paused && !this.#isOver) {
      const chunk = this.#waiting[chunks++] as Uint8Array;
      this.#waitingBytes -= chunk.length + messageBytes;
      handlers.onData(chunk);
    }
    this.#waiting.splice(0, chunks);
    this.#delivering = false;
    if (!this.#paused && !this.#isOver && this.#waiting.length === 0) this.#socket.resume?.();
    const closing = this.#closing;
    if (closing === null || (this.#paused && !this.#isOver)) return;
    this.#closing = null;
    this.#isOver = true;
    if (closing.isEnd) handlers.onEnd();
    handlers.onClose(closing.error);
  }

  // ---- the end

  #closed(closing: Closing): void {
    if (this.#isOver) return;
    this.#closing = closing;
    if (!closing.isEnd) this.#drop();
    this.#stopLooking();
    this.#deliverLater();
  }

  /** Not even the peer's goodbye is waited for. */
  #giveUp(error: unknown, reason: string): void {
    if (this.#isOver) return;
    this.#closed({ isEnd: false, error });
    this.#socket.close(gaveUpCode, reason);
    this.#socket.terminate?.();
  }

  #drop(): void {
    this.#isOver = true;
    this.#early = [];
    this.#waiting = [];
  }
}

/** Browsers send no memory that may change in the middle of it: shared, or of a size that is not settled. */
function sendable(chunk: Uint8Array): Uint8Array {
  const buffer = chunk.buffer as ArrayBufferLike & { readonly resizable?: boolean };
  return buffer instanceof ArrayBuffer && buffer.resizable !== true ? chunk : new Uint8Array(chunk);
}

/** Null for text, and for what comes as neither an ArrayBuffer nor a view of one. */
function bytesOf(data: unknown): Uint8Array | null {
  if (ArrayBuffer.isView(data))
    return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  return data instanceof ArrayBuffer ? new Uint8Array(data) : null;
}

function closedWith(code: number, reason: string, cause: unknown): Error {
  const why = reason || (cause as Error | undefined)?.message;
  const message = `the WebSocket was closed with code ${code}${why ? `: ${why}` : ''}`;
  return new Error(message, cause === undefined ? undefined : { cause });
}

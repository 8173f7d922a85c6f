import type { Transport } from '../api.js';
import { systemClock } from '../core/clock.js';

/** What is read of a port's events. */
export interface MessagePortEvent {
  readonly type: string;
  readonly data?: unknown;
}

/** What is needed of a MessagePort: browsers have it, and Node. */
export interface MessagePortLike {
  postMessage(message: unknown, transfer: never[]): void;
  start(): void;
  close(): void;
  /** Node's. */
  hasRef?(): boolean;
  ref?(): void;
  unref?(): void;
  addEventListener(
    type: 'message' | 'messageerror' | 'close',
    listener: (event: MessagePortEvent) => void,
  ): void;
}

type Handlers = Parameters<Transport['start']>[0];

/** Bytes that the other end has not taken above which writers wait. */
const highWaterBytes = 256 * 1024;
/** What was taken is told in pieces of this. */
const tellBytes = 64 * 1024;
/** An end of ours sends no more than the first and one batch before it is told; a stranger is given up on. */
const mostWaitingBytes = 1024 * 1024;
/** No frame of ours is shorter than 8 bytes, so that many in one window are not more; each costs some hundred bytes. */
const mostWaitingMessages = highWaterBytes / 8;

/**
 * A transport from a MessagePort, whose other end has one too: between a page and its worker, between frames, between
 * threads of Node. What is written is copied once and then transferred; the chunks stay whole for their owner.
 *
 * What the two ends post: an ArrayBuffer, bytes; a number, how many were taken; null, the end; a string, a bad end.
 */
export function fromMessagePort(port: MessagePortLike): Transport {
  const methods = ['postMessage', 'start', 'close', 'addEventListener'] as const;
  if (methods.some((method) => typeof (port as Partial<MessagePortLike> | null)?.[method] !== 'function')) {
    throw new TypeError('fromMessagePort() needs a MessagePort: one end of a new MessageChannel()');
  }
  return new MessagePortTransport(port);
}

/** Who closed a port earlier is told by no event. In Node it keeps no process alive; in a browser nothing tells. */
function isClosed(port: MessagePortLike): boolean {
  if (port.hasRef?.() !== false) return false;
  port.ref?.();
  const isOpen = port.hasRef();
  port.unref?.();
  return !isOpen;
}

function goneError(): Error {
  return new Error('the other end of the port is gone');
}

class MessagePortTransport implements Transport {
  readonly #port: MessagePortLike;
  #handlers: Handlers | null = null;
  /** Bytes that arrived while reading was paused, and null for the end. */
  #waiting: (Uint8Array | null)[] = [];
  #waitingBytes = 0;
  #delivering = false;
  #paused = false;
  #taken = 0;
  /** Written, and not yet taken by the other end. */
  #onWay = 0;
  #blocked = false;
  #weEnded = false;
  #peerEnded = false;
  /** The end has come, and is perhaps not yet delivered. */
  #isEndHeard = false;
  /** The port is closed, and what came before is not yet delivered. */
  #isGone = false;
  #isOver = false;

  constructor(port: MessagePortLike) {
    this.#port = port;
  }

  start(handlers: Handlers): void {
    this.#handlers = handlers;
    if (this.#isOver) {
      systemClock.soon(() => handlers.onClose());
      return;
    }
    const port = this.#port;
    port.addEventListener('message', ({ data }) => this.#received(data));
    port.addEventListener('messageerror', () => this.#giveUp(new Error('a message could not be read')));
    port.addEventListener('close', () => this.#gone());
    port.start();
    if (isClosed(port)) this.#over(new Error('the port was closed before'));
  }

  write(chunks: readonly Uint8Array[]): boolean {
    if (this.#weEnded || this.#isOver) return false;
    if (this.#isGone) return true;
    let bytes = 0;
    for (const chunk of chunks) bytes += chunk.length;
    const all = new Uint8Array(bytes);
    let at = 0;
    for (const chunk of chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    this.#post(all.buffer, [all.buffer]);
    this.#onWay += bytes;
    this.#blocked = this.#onWay >= highWaterBytes;
    return !this.#blocked;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    if (this.#waiting.length === 0 || this.#delivering || this.#isOver) return;
    this.#delivering = true;
    systemClock.soon(() => this.#deliver());
  }

  end(): void {
    if (this.#weEnded || this.#isOver) return;
    this.#weEnded = true;
    this.#post(null);
    if (this.#peerEnded) this.#over(undefined);
  }

  destroy(error?: unknown): void {
    this.#giveUp(error);
  }

  #post(message: unknown, transfer: ArrayBuffer[] = []): void {
    this.#port.postMessage(message, transfer as never[]);
  }

  #received(message: unknown): void {
    if (this.#isOver) return;
    const isOurs = message instanceof ArrayBuffer || message === null;
    if (isOurs && this.#isEndHeard) {
      this.#giveUp(new Error('the other end of the port posts after its end'));
    } else if (message instanceof ArrayBuffer) {
      if (message.byteLength > 0) this.#arrived(new Uint8Array(message));
    } else if (message === null) this.#arrived(null);
    else if (typeof message === 'number') this.#peerTook(message);
    else if (typeof message === 'string') this.#over(new Error(message));
    else this.#giveUp(new Error('the other end of the port posts something else than bytes'));
  }

  #arrived(chunk: Uint8Array | null): void {
    if (chunk === null) this.#isEndHeard = true;
    if (!this.#paused && !this.#delivering) {
      this.#take(chunk);
      return;
    }
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk?.length ?? 0;
    const { length } = this.#waiting;
    if (this.#waitingBytes <= mostWaitingBytes && length <= mostWaitingMessages) return;
    const amount = `${this.#waitingBytes} bytes in ${length} messages`;
    this.#giveUp(new Error(`${amount} came while nobody could read them`));
  }

  #deliver(): void {
    let count = 0;
    while (count < this.#waiting.length && !this.#paused && !this.#isOver) {
      const chunk = this.#waiting[count++] as Uint8Array | null;
      this.#waitingBytes -= chunk?.length ?? 0;
      this.#take(chunk);
    }
    this.#waiting.splice(0, count);
    this.#delivering = false;
  }

  #take(chunk: Uint8Array | null): void {
    const handlers = this.#handlers as Handlers;
    if (chunk === null) {
      this.#peerEnded = true;
      handlers.onEnd();
      if (this.#weEnded) this.#over(undefined);
      else if (this.#isGone) this.#over(goneError());
      return;
    }
    handlers.onData(chunk);
    this.#taken += chunk.length;
    if (this.#taken < tellBytes || this.#isOver) return;
    this.#post(this.#taken);
    this.#taken = 0;
  }

  #peerTook(bytes: number): void {
    if (!(bytes >= 0 && bytes <= this.#onWay)) {
      this.#giveUp(new Error(`the other end of the port took ${bytes} bytes of ${this.#onWay}`));
      return;
    }
    this.#onWay -= bytes;
    if (!this.#blocked || this.#onWay > highWaterBytes / 2) return;
    this.#blocked = false;
    this.#handlers?.onDrain();
  }

  /** All that came before a good end is delivered first, unless somebody waits for room, which will not come. */
  #gone(): void {
    if (this.#isEndHeard && this.#waiting.length > 0 && !this.#blocked) this.#isGone = true;
    else this.#over(goneError());
  }

  #giveUp(error: unknown): void {
    if (this.#isOver) return;
    this.#post('the other end of the port was destroyed');
    this.#over(error);
  }

  #over(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiting = [];
    this.#port.close();
    const handlers = this.#handlers;
    systemClock.soon(() => handlers?.onClose(error));
  }
}

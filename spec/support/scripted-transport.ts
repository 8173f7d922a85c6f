import type { Transport } from '../../lib/api.js';

type Handlers = Parameters<Transport['start']>[0];

/**
 * A transport whose other end is the spec: it says what arrives and when, and sees what is written. As on a socket,
 * what is fed while reading is paused arrives later, and closing is noticed in a later turn.
 */
export class ScriptedTransport implements Transport {
  /** What `write` says: false while there is no room. `drain` makes room. */
  room = true;
  paused = false;
  /** Our side said that it writes no more. */
  ended = false;
  destroyed = false;
  closed = false;
  /** Told of what is written, instead of `written`. */
  onWrite: ((chunk: Uint8Array) => void) | null = null;
  /** The peer answers our end with its own, and the transport is closed. */
  answersEnd = true;
  readonly #written: Uint8Array[] = [];
  #handlers: Handlers | null = null;
  /** Chunks, or the peer's end (null), that wait until reading goes on. */
  #waiting: (Uint8Array | null)[] = [];

  start(handlers: Handlers): void {
    this.#handlers = handlers;
    this.#deliver();
  }

  write(chunks: readonly Uint8Array[]): boolean {
    if (this.ended || this.closed) return true;
    for (const chunk of chunks) {
      if (this.onWrite === null) this.#written.push(chunk.slice());
      else this.onWrite(chunk.slice());
    }
    return this.room;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    setImmediate(() => this.#deliver());
  }

  end(): void {
    if (this.ended || this.closed) return;
    this.ended = true;
    if (!this.answersEnd) return;
    setImmediate(() => {
      this.feedEnd();
      this.close();
    });
  }

  destroy(error?: unknown): void {
    if (this.destroyed || this.closed) return;
    this.destroyed = true;
    this.#waiting = [];
    setImmediate(() => this.close(error));
  }

  // ---- what the spec does

  /** All bytes written so far. */
  get written(): Uint8Array {
    return Buffer.concat(this.#written);
  }

  /** Bytes from the peer. They belong to the receiver from here on. */
  feed(chunk: Uint8Array): void {
    this.#waiting.push(chunk);
    this.#deliver();
  }

  /** The peer writes no more. */
  feedEnd(): void {
    this.#waiting.push(null);
    this.#deliver();
  }

  /** The transport is gone, for both directions. */
  close(error?: unknown): void {
    if (this.closed) return;
    this.closed = true;
    this.#waiting = [];
    this.#handlers?.onClose(error);
  }

  /** The transport takes more again. */
  drain(): void {
    this.room = true;
    this.#handlers?.onDrain();
  }

  #deliver(): void {
    while (this.#handlers !== null && !this.paused && !this.closed && !this.destroyed) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      if (next === null) this.#handlers.onEnd();
      else this.#handlers.onData(next);
    }
  }
}

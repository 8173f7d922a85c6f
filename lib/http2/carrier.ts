import type { Transport } from '../api.js';
import { hold, type Release } from '../core/hold.js';
import { microtask } from '../core/promises.js';
import { roomFor } from '../core/room.js';
import type { CoreStream } from '../core/stream.js';

type Handlers = Parameters<Transport['start']>[0];

/**
 * A transport over the two bodies of a stream, for a connection within a connection. The stream may come later: until
 * then what is written waits, and no more than the first write is taken.
 */
export class CarrierTransport implements Transport {
  #stream: CoreStream | null = null;
  #handlers: Handlers | null = null;
  #early: Uint8Array[] = [];
  #paused = false;
  #release: Release | null = null;
  #over = false;

  get isAttached(): boolean {
    return this.#stream !== null;
  }

  start(handlers: Handlers): void {
    this.#handlers = handlers;
    if (this.#stream !== null) this.#read(this.#stream, handlers);
  }

  /** Gives it its stream, which is nobody else's from here on. */
  attach(stream: CoreStream): void {
    this.#stream = stream;
    const early = this.#early;
    this.#early = [];
    if (this.#handlers !== null) this.#read(stream, this.#handlers);
    if (this.write(early)) this.#handlers?.onDrain();
  }

  write(chunks: readonly Uint8Array[]): boolean {
    if (this.#over) return true;
    if (this.#stream === null) {
      this.#early.push(...chunks);
      return false;
    }
    const { outbox } = this.#stream;
    if (outbox.refusal !== undefined) return true;
    for (const chunk of chunks) outbox.take(chunk);
    const room = roomFor(outbox, 1);
    if (room === null) return true;
    room.then(
      () => this.#handlers?.onDrain(),
      () => {},
    );
    return false;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    const release = this.#release;
    this.#release = null;
    release?.();
  }

  end(): void {
    if (this.#stream === null) this.destroy();
    else void this.#stream.end();
  }

  destroy(error?: unknown): void {
    if (this.#over) return;
    if (this.#stream === null) microtask(() => this.#close(error));
    else this.#stream.reset('cancel', error);
  }

  #read(stream: CoreStream, handlers: Handlers): void {
    stream.data$.subscribe({
      next: (chunk) => {
        handlers.onData(chunk);
        if (this.#paused && this.#release === null) this.#release = hold();
      },
      complete: () => handlers.onEnd(),
      // It is on `closed` as well, and may be there alone.
      error: () => {},
    });
    stream.closed.then(
      () => this.#close(undefined),
      (error) => this.#close(error),
    );
  }

  #close(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.resume();
    this.#handlers?.onClose(error);
  }
}

import type { Transport } from '../api.js';
import { systemClock } from '../core/clock.js';

/** Bytes delivered in one turn of the event loop; a pipe without this would starve timers and I/O. */
const bytesPerTurn = 256 * 1024;
/** Bytes on their way above which the writer is told to wait. */
const highWaterBytes = 256 * 1024;

type Handlers = Parameters<Transport['start']>[0];

/** A connected pair in this process. What one end writes, the other gets in a later turn of the event loop. */
export function memoryPair(): [Transport, Transport] {
  const a = new MemoryTransport('memory:a', 'memory:b');
  const b = new MemoryTransport('memory:b', 'memory:a');
  a.peer = b;
  b.peer = a;
  return [a, b];
}

class MemoryTransport implements Transport {
  readonly local: string;
  readonly remote: string;
  /** Given right after it is made. */
  peer!: MemoryTransport;
  #handlers: Handlers | null = null;
  /** What the peer wrote and we have not delivered. */
  readonly #incoming: Uint8Array[] = [];
  #incomingBytes = 0;
  #peerEnded = false;
  #endDelivered = false;
  #weEnded = false;
  #paused = false;
  #closed = false;
  #scheduled = false;
  #needsDrain = false;

  constructor(local: string, remote: string) {
    this.local = local;
    this.remote = remote;
  }

  start(handlers: Handlers): void {
    this.#handlers = handlers;
    this.#schedule();
  }

  write(chunks: readonly Uint8Array[]): boolean {
    const { peer } = this;
    if (this.#weEnded || this.#closed || peer.#closed) return true;
    for (const chunk of chunks) {
      // Each end may do what it likes with its bytes, as on any other transport.
      peer.#incoming.push(chunk.slice());
      peer.#incomingBytes += chunk.length;
    }
    peer.#schedule();
    this.#needsDrain = peer.#incomingBytes >= highWaterBytes;
    return !this.#needsDrain;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  end(): void {
    if (this.#weEnded || this.#closed) return;
    this.#weEnded = true;
    this.peer.#peerEnded = true;
    this.peer.#schedule();
  }

  destroy(error?: unknown): void {
    if (this.#closed) return;
    this.#close(error);
    const { peer } = this;
    // The peer notices in a later turn, after what was written before.
    systemClock.soon(() => peer.#lose());
  }

  #close(error: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#incoming.length = 0;
    const handlers = this.#handlers;
    systemClock.soon(() => handlers?.onClose(error));
  }

  #lose(): void {
    if (this.#closed) return;
    this.#deliver(Number.POSITIVE_INFINITY);
    const isWhole = this.#weEnded && this.#peerEnded;
    this.#close(isWhole ? undefined : new Error('the other end of the pair was destroyed'));
  }

  #schedule(): void {
    if (this.#scheduled || this.#paused || this.#closed || this.#handlers === null) return;
    if (this.#incoming.length === 0 && (!this.#peerEnded || this.#endDelivered)) return;
    this.#scheduled = true;
    systemClock.soon(() => {
      this.#scheduled = false;
      this.#deliver(bytesPerTurn);
      this.#schedule();
    });
  }

  #deliver(budget: number): void {
    let left = budget;
    while (left > 0 && !this.#paused && !this.#closed) {
      const chunk = this.#incoming.shift();
      if (chunk === undefined) break;
      left -= chunk.length;
      this.#incomingBytes -= chunk.length;
      this.#handlers?.onData(chunk);
    }
    if (this.#incomingBytes < highWaterBytes / 2) this.peer.#drained();
    if (this.#incoming.length > 0 || !this.#peerEnded || this.#endDelivered || this.#paused || this.#closed)
      return;
    this.#endDelivered = true;
    this.#handlers?.onEnd();
    this.#finish();
    this.peer.#finish();
  }

  /** Closes once both directions have ended. */
  #finish(): void {
    if (this.#weEnded && this.#endDelivered) this.#close(undefined);
  }

  #drained(): void {
    if (!this.#needsDrain) return;
    this.#needsDrain = false;
    this.#handlers?.onDrain();
  }
}

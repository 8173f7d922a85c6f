import { StreamError } from './errors.js';
import { PacedQueue } from './paced-queue.js';
import { ReceiveWindow } from './window.js';

/** What a receiving half tells its stream. */
export interface InboxOwner {
  readonly id: number;
  /** The reader took bytes. */
  inboxReleased(bytes: number): void;
  /** Bytes were dropped unread. */
  inboxDropped(bytes: number): void;
  /** The reader left before the end. */
  inboxAbandoned(): void;
  inboxAttached(): void;
}

/** Chunks below this are joined while they wait, so that many small ones cost no more than their bytes. */
const joinBytes = 2048;
const firstBlockBytes = 256;
const mostBlockBytes = 16 * 1024;

/**
 * The receiving half of a stream: bytes wait within the window for one reader, and credit goes back as it lets go.
 */
export class Inbox extends PacedQueue<Uint8Array> {
  readonly window: ReceiveWindow;
  bytesIn = 0;
  readonly #owner: InboxOwner;
  /** Memory behind the last chunk of the queue, which further small ones are copied into. */
  #block: Uint8Array | null = null;
  #stopped = false;

  constructor(owner: InboxOwner, windowBytes: number) {
    super();
    this.#owner = owner;
    this.window = new ReceiveWindow(windowBytes);
  }

  protected get what(): string {
    return `stream ${this.#owner.id}`;
  }

  protected get streamId(): number {
    return this.#owner.id;
  }

  /** The reader keeps half a window or more to itself: the peer has to wait, or soon will. */
  get isStalling(): boolean {
    return this.window.credit < this.window.target / 2 && this.window.unread > 0 && !this.hasIdleReader;
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  /** Bytes from the peer, already counted by the window. */
  receive(chunk: Uint8Array): void {
    this.bytesIn += chunk.byteLength;
    if (this.hasFailed) this.#drop(chunk.byteLength);
    else this.push(chunk);
  }

  /** Ends the reading side from here; what waits is dropped. Gives false if it was over already. */
  stop(): boolean {
    if (this.hasFailed || (this.hasEnded && this.waiting === 0 && !this.isHeld)) return false;
    this.#stopped = true;
    const message = `stream ${this.#owner.id} was stopped by its reader: use read() to take a part of it`;
    this.fail(new StreamError('stopped', message, { streamId: this.#owner.id }));
    return true;
  }

  override fail(error: unknown): void {
    if (this.hasFailed) return;
    const { unread } = this.window;
    super.fail(error);
    this.#block = null;
    if (unread > 0) this.#drop(unread);
  }

  protected override enqueue(chunk: Uint8Array): void {
    const last = this.last;
    const block = this.#block;
    const length = chunk.byteLength;
    if (block !== null && last !== undefined && last.buffer === block.buffer) {
      const used = last.byteLength;
      if (length <= joinBytes && used + length <= block.byteLength) {
        block.set(chunk, used);
        this.replaceLast(block.subarray(0, used + length));
        return;
      }
    }
    if (length <= joinBytes) {
      const room = Math.min(Math.max(this.window.unread, firstBlockBytes), mostBlockBytes);
      const fresh = new Uint8Array(Math.max(room, length));
      fresh.set(chunk);
      this.#block = fresh;
      super.enqueue(fresh.subarray(0, length));
    } else {
      this.#block = null;
      // A waiting view must not keep a far larger piece of memory alive.
      super.enqueue(length * 4 < chunk.buffer.byteLength ? chunk.slice() : chunk);
    }
  }

  protected override released(chunk: Uint8Array): void {
    if (this.hasFailed) return;
    // The block may be handed to the reader now, and is not written again.
    if (this.waiting === 0) this.#block = null;
    this.window.unread -= chunk.byteLength;
    this.#owner.inboxReleased(chunk.byteLength);
  }

  protected override abandoned(): void {
    this.#owner.inboxAbandoned();
  }

  protected override attached(): void {
    this.#owner.inboxAttached();
  }

  #drop(bytes: number): void {
    this.window.unread -= bytes;
    this.#owner.inboxDropped(bytes);
  }
}

import { copies } from './copies.js';
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
  /** Bytes that waited are gone, for somebody has transferred their memory. */
  halfBroke(error: StreamError): void;
  /** A chunk waits in the memory it arrived in: `settle()` is to be called in a later turn. */
  inboxWaits(): void;
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
  /** The window that it started with. */
  startBytes: number;
  /** The peer has more to say after the last byte. */
  awaitsTrailers = false;
  readonly #owner: InboxOwner;
  /** Memory behind the last chunk of the queue, which further small ones are copied into. */
  #block: Uint8Array | null = null;
  #stopped = false;
  /** `settle` is to be called. */
  #settling = false;

  constructor(owner: InboxOwner, windowBytes: number) {
    super();
    this.#owner = owner;
    this.startBytes = windowBytes;
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

  /** All is here, trailers included. */
  get isComplete(): boolean {
    return this.hasEnded && !this.awaitsTrailers;
  }

  /** Begins with another window than the usual one, before the peer is told. What came with the opening counts. */
  startWith(windowBytes: number): void {
    this.window.credit += windowBytes - this.startBytes;
    this.window.target = windowBytes;
    this.startBytes = windowBytes;
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  /** Bytes from the peer, already counted by the window. */
  receive(chunk: Uint8Array): void {
    this.bytesIn += chunk.length;
    if (this.hasFailed) this.#drop(chunk.length);
    else this.push(chunk);
  }

  /** Ends the reading side from here; what waits is dropped. Gives false if it was over already. */
  stop(): boolean {
    if (this.hasFailed || (this.hasEnded && this.size === 0 && !this.isHeld)) return false;
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

  /** Copies what has waited for a turn of the event loop out of the larger piece of memory that it arrived in. */
  settle(): void {
    this.#settling = false;
    const chunk = this.last;
    // Of one whose memory is gone nothing is to be made.
    if (!chunk?.length || this.#block !== null) return;
    if (chunk.length <= joinBytes) this.last = this.#startBlock(chunk);
    else this.last = unpinned(chunk);
  }

  protected override enqueue(chunk: Uint8Array): void {
    // The first one is kept as it is for now: its reader has most often come before the turn is over.
    if (this.size === 0) {
      // What was in the block is with the reader now.
      this.#block = null;
      super.enqueue(chunk);
      if (this.#settling) return;
      this.#settling = true;
      this.#owner.inboxWaits();
      return;
    }
    if (this.#block === null) this.settle();
    const last = this.last as Uint8Array;
    const block = this.#block;
    const length = chunk.length;
    if (block !== null && last.length + length <= block.length) {
      block.set(chunk, last.length);
      this.last = block.subarray(0, last.length + length);
    } else if (length > joinBytes) {
      this.#block = null;
      super.enqueue(unpinned(chunk));
    } else super.enqueue(this.#startBlock(chunk));
  }

  /** Begins a block with `chunk`, and room for more behind it. */
  #startBlock(chunk: Uint8Array): Uint8Array {
    const room = Math.min(Math.max(this.window.unread, firstBlockBytes), mostBlockBytes);
    const block = new Uint8Array(Math.max(room, chunk.length));
    block.set(chunk);
    this.#block = block;
    return block.subarray(0, chunk.length);
  }

  /** Readers may transfer the memory of what they were given. It may have been that of others, too. */
  protected override weigh({ byteLength }: Uint8Array): number {
    if (byteLength === 0) {
      const { id: streamId } = this.#owner;
      const message = `stream ${streamId}: its bytes were in memory that another reader has transferred`;
      const error = new StreamError('reset', message, { streamId, reset: 'internal-error' });
      this.fail(error);
      this.#owner.halfBroke(error);
    }
    return byteLength;
  }

  protected override released(_chunk: Uint8Array, bytes: number): void {
    if (this.hasFailed) return;
    // The block may be handed to the reader now, and is not written again.
    if (this.size === 0) this.#block = null;
    this.window.unread -= bytes;
    this.#owner.inboxReleased(bytes);
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

/** A waiting view must not keep a far larger piece of memory alive. */
function unpinned(chunk: Uint8Array): Uint8Array {
  const { length } = chunk;
  if (length * 4 >= chunk.buffer.byteLength) return chunk;
  copies.heard(length);
  return chunk.slice();
}

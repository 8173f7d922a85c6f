import { type Duplex, Readable, type Writable } from 'node:stream';
import type { Transport } from '../api.js';
import { describe } from '../core/bytes.js';
import { receivedMemory } from './received-memory.js';
import { isPlainSocket, readInPlace } from './zero-copy.js';

type Handlers = Parameters<Transport['start']>[0];

/** What sockets have beside a stream. */
interface SocketLike extends Writable {
  setNoDelay?(on: boolean): unknown;
  readonly localAddress?: string;
  readonly localPort?: number;
  readonly remoteAddress?: string;
  readonly remotePort?: number;
  readonly encrypted?: boolean;
}

/** Bytes queued in the Duplex above which writers wait: a ping must never wait behind megabytes. */
const highWaterBytes = 256 * 1024;
/** What Node makes for a read. */
const mostReadBytes = 64 * 1024;

/**
 * A transport from a Node Duplex: a socket of net or tls, whatever carries bytes in order; or from two streams that go one
 * way each, `{ readable, writable }`, such as a child's stdio: both are destroyed at its end. `head` are bytes that were
 * read from it already, as an HTTP upgrade leaves them; `authority` is what was dialled, `host:port`.
 */
export function fromDuplex(
  duplex: unknown,
  options: { head?: Uint8Array; authority?: string } = {},
): Transport {
  const [readable, writable] = halvesOf(duplex);
  if (readable.readableEncoding) {
    throw new TypeError('fromDuplex() was given a stream with an encoding, which reads text and not bytes');
  }
  return new DuplexTransport(readable, writable, options);
}

/** What is read and what is written: of a Duplex it is the same. */
function halvesOf(duplex: unknown): [Readable, Writable] {
  const { pipe, readable, writable } = (duplex ?? {}) as Partial<Record<string, unknown>>;
  if (typeof pipe === 'function') {
    if (readable !== undefined && writable !== undefined) return [duplex as Duplex, duplex as Duplex];
    throw new TypeError(
      'fromDuplex() was given a stream that goes one way: give it two of them, as in ' +
        'fromDuplex({ readable: child.stdout, writable: child.stdin })',
    );
  }
  if (
    typeof (readable as Partial<Readable> | undefined)?.pipe !== 'function' ||
    typeof (writable as Partial<Writable> | undefined)?.write !== 'function'
  ) {
    throw new TypeError(
      'fromDuplex() needs a Node Duplex, such as a socket, or two streams: { readable, writable }',
    );
  }
  return [readable as Readable, writable as Writable];
}

class DuplexTransport implements Transport {
  readonly local?: string;
  readonly remote?: string;
  readonly authority?: string;
  readonly secure?: boolean;
  readonly #readable: Readable;
  readonly #writable: Writable;
  /** Both; one, if it is a Duplex. */
  readonly #parts: ReadonlySet<Readable | Writable>;
  /** Those that are not closed. */
  readonly #open: Set<Readable | Writable>;
  readonly #isPlain: boolean;
  /** What is read: the stream, or what is left where its `end` has been told already. */
  #source: Readable;
  #head: Uint8Array | undefined;
  #handlers: Handlers | null = null;
  /** The first one: others follow from it. */
  #error: unknown = undefined;

  constructor(
    readable: Readable,
    writable: Writable,
    { head, authority }: { head?: Uint8Array; authority?: string },
  ) {
    this.#readable = readable;
    this.#writable = writable;
    this.#parts = new Set([readable, writable]);
    this.#open = new Set(this.#parts);
    this.#source = readable;
    this.#isPlain = isPlainSocket(writable);
    this.#head = head;
    const socket: SocketLike = writable;
    if (authority !== undefined) this.authority = authority;
    if (socket.encrypted === true) this.secure = true;
    const local = addressOf(socket.localAddress, socket.localPort);
    const remote = addressOf(socket.remoteAddress, socket.remotePort);
    if (local !== undefined) this.local = local;
    if (remote !== undefined) this.remote = remote;
    socket.setNoDelay?.(true);
    // From here on there is always somebody who hears an error.
    for (const part of this.#parts) {
      part.on('error', (error) => {
        this.#error ??= error;
        this.#leave();
      });
    }
  }

  start(handlers: Handlers): void {
    const readable = this.#readable;
    this.#handlers = handlers;
    const head = this.#head;
    this.#head = undefined;
    const hasHead = head !== undefined && head.length > 0;
    if (readable.readableEnded) this.#source = Readable.from(hasHead ? [head] : []);
    else if (hasHead) readable.unshift(head);
    const source = this.#source;
    source.on('end', () => handlers.onEnd());
    this.#writable.on('drain', () => handlers.onDrain());
    for (const part of this.#parts) part.on('close', () => this.#partClosed(part));
    const inPlace =
      source === readable && head === undefined && readInPlace(readable, (chunk) => handlers.onData(chunk));
    if (!inPlace) {
      const take = (chunk: unknown): void => {
        if (!ArrayBuffer.isView(chunk)) {
          source.off('data', take);
          this.destroy(new TypeError(`a Duplex of bytes gave ${describe(chunk)}`));
          return;
        }
        // The first part of memory that Node has read into.
        if (chunk.byteOffset === 0) receivedMemory.add(Math.min(chunk.buffer.byteLength, mostReadBytes));
        handlers.onData(plain(chunk));
        if (this.#error !== undefined) this.#leave();
      };
      source.on('data', take);
    }
    // A listener alone does not, where the owner has paused it.
    source.resume();
    for (const part of this.#parts) if (part.destroyed) setImmediate(() => this.#partClosed(part));
  }

  write(chunks: readonly Uint8Array[]): boolean {
    const writable = this.#writable;
    if (writable.destroyed || writable.errored || writable.writableEnded) return false;
    if (chunks.length === 1) writable.write(chunks[0]);
    else {
      writable.cork();
      for (const chunk of chunks) writable.write(chunk);
      writable.uncork();
    }
    // A socket often takes everything at once, and has room again although write() said false.
    // One that has failed takes nothing more, though it looks empty until it has told of it.
    return (
      !writable.errored && writable.writableLength < Math.max(highWaterBytes, writable.writableHighWaterMark)
    );
  }

  /** Only of sockets of the system: other Duplexes may hand on what they were given. */
  get isFlushed(): boolean | undefined {
    return this.#isPlain ? this.#writable.writableLength === 0 : undefined;
  }

  pause(): void {
    this.#source.pause();
  }

  resume(): void {
    this.#source.resume();
  }

  end(): void {
    this.#writable.end();
  }

  destroy(error?: unknown): void {
    const reason = error instanceof Error ? error : undefined;
    for (const part of this.#parts) part.destroy(reason);
  }

  /** After an error. Not every Duplex is destroyed by one (a TLSSocket by a damaged record), or tells of its close. */
  #leave(): void {
    // What came before it is still to be read.
    if (!this.#readable.destroyed && this.#source.readableLength > 0) return;
    this.destroy();
    process.nextTick(() => this.#closed());
  }

  #partClosed(part: Readable | Writable): void {
    this.#open.delete(part);
    if (this.#open.size === 0) this.#closed();
    // What can be written no more can still be read to its end; what has closed without its end has none to wait for.
    else if (part === this.#readable && !this.#readable.readableEnded) this.destroy();
  }

  #closed(): void {
    const handlers = this.#handlers;
    this.#handlers = null;
    handlers?.onClose(this.#error);
  }
}

function addressOf(host: string | undefined, port: number | undefined): string | undefined {
  if (host === undefined || port === undefined) return undefined;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The bytes without Node's subclass, whose methods differ and whose views are slower; of a DataView, or any other view, too. */
function plain({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

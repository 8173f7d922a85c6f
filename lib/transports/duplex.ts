import { type Duplex, Readable } from 'node:stream';
import type { Transport } from '../api.js';
import { describe } from '../core/bytes.js';
import { receivedMemory } from './received-memory.js';
import { isPlainSocket, readInPlace } from './zero-copy.js';

type Handlers = Parameters<Transport['start']>[0];

/** What sockets have beside a Duplex. */
interface SocketLike extends Duplex {
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
 * A transport from a Node Duplex: a socket of net or tls, a child's stdio, whatever carries bytes in order. `head` are
 * bytes that were read from it already, as an HTTP upgrade leaves them; `authority` is what was dialled, `host:port`.
 */
export function fromDuplex(
  duplex: unknown,
  options: { head?: Uint8Array; authority?: string } = {},
): Transport {
  if (typeof (duplex as Partial<Duplex> | null)?.pipe !== 'function') {
    throw new TypeError('fromDuplex() needs a Node Duplex: a socket, or Duplex.from({ readable, writable })');
  }
  const { readable, writable } = duplex as Partial<Duplex>;
  if (readable === undefined || writable === undefined) {
    throw new TypeError(
      'fromDuplex() was given a stream that goes one way: join two of them, as in ' +
        'Duplex.from({ readable: child.stdout, writable: child.stdin })',
    );
  }
  if ((duplex as Duplex).readableEncoding) {
    throw new TypeError('fromDuplex() was given a stream with an encoding, which reads text and not bytes');
  }
  return new DuplexTransport(duplex as SocketLike, options);
}

class DuplexTransport implements Transport {
  readonly local?: string;
  readonly remote?: string;
  readonly authority?: string;
  readonly secure?: boolean;
  readonly #duplex: SocketLike;
  readonly #isPlain: boolean;
  /** What is read: the Duplex, or what is left where its `end` has been told already. */
  #source: Readable;
  #head: Uint8Array | undefined;
  #handlers: Handlers | null = null;
  /** The first one: others follow from it. */
  #error: unknown = undefined;

  constructor(duplex: SocketLike, { head, authority }: { head?: Uint8Array; authority?: string }) {
    this.#duplex = duplex;
    this.#source = duplex;
    this.#isPlain = isPlainSocket(duplex);
    this.#head = head;
    if (authority !== undefined) this.authority = authority;
    if (duplex.encrypted === true) this.secure = true;
    const local = addressOf(duplex.localAddress, duplex.localPort);
    const remote = addressOf(duplex.remoteAddress, duplex.remotePort);
    if (local !== undefined) this.local = local;
    if (remote !== undefined) this.remote = remote;
    duplex.setNoDelay?.(true);
    // From here on there is always somebody who hears an error.
    duplex.on('error', (error) => {
      this.#error ??= error;
      this.#leave();
    });
  }

  start(handlers: Handlers): void {
    const duplex = this.#duplex;
    this.#handlers = handlers;
    const head = this.#head;
    this.#head = undefined;
    const hasHead = head !== undefined && head.length > 0;
    if (duplex.readableEnded) this.#source = Readable.from(hasHead ? [head] : []);
    else if (hasHead) duplex.unshift(head);
    const source = this.#source;
    source.on('end', () => handlers.onEnd());
    duplex.on('drain', () => handlers.onDrain());
    duplex.on('close', () => this.#closed());
    const inPlace =
      source === duplex && head === undefined && readInPlace(duplex, (chunk) => handlers.onData(chunk));
    if (!inPlace) {
      const take = (chunk: unknown): void => {
        if (!ArrayBuffer.isView(chunk)) {
          source.off('data', take);
          duplex.destroy(new TypeError(`a Duplex of bytes gave ${describe(chunk)}`));
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
    if (duplex.destroyed) setImmediate(() => this.#closed());
  }

  write(chunks: readonly Uint8Array[]): boolean {
    const duplex = this.#duplex;
    if (duplex.destroyed || duplex.errored || duplex.writableEnded) return false;
    if (chunks.length === 1) duplex.write(chunks[0]);
    else {
      duplex.cork();
      for (const chunk of chunks) duplex.write(chunk);
      duplex.uncork();
    }
    // A socket often takes everything at once, and has room again although write() said false.
    // One that has failed takes nothing more, though it looks empty until it has told of it.
    return !duplex.errored && duplex.writableLength < Math.max(highWaterBytes, duplex.writableHighWaterMark);
  }

  /** Only of sockets of the system: other Duplexes may hand on what they were given. */
  get isFlushed(): boolean | undefined {
    return this.#isPlain ? this.#duplex.writableLength === 0 : undefined;
  }

  pause(): void {
    this.#source.pause();
  }

  resume(): void {
    this.#source.resume();
  }

  end(): void {
    this.#duplex.end();
  }

  destroy(error?: unknown): void {
    this.#duplex.destroy(error instanceof Error ? error : undefined);
  }

  /** After an error. Not every Duplex is destroyed by one (a TLSSocket by a damaged record), or tells of its close. */
  #leave(): void {
    const duplex = this.#duplex;
    // What came before it is still to be read.
    if (!duplex.destroyed && this.#source.readableLength > 0) return;
    duplex.destroy();
    process.nextTick(() => this.#closed());
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

import type { Duplex } from 'node:stream';
import type { Transport } from '../api.js';
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
  #head: Uint8Array | undefined;
  #error: unknown = undefined;

  constructor(duplex: SocketLike, { head, authority }: { head?: Uint8Array; authority?: string }) {
    this.#duplex = duplex;
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
      this.#error = error;
    });
  }

  start(handlers: Handlers): void {
    const duplex = this.#duplex;
    duplex.on('end', () => handlers.onEnd());
    duplex.on('drain', () => handlers.onDrain());
    duplex.on('close', () => handlers.onClose(this.#error));
    const head = this.#head;
    this.#head = undefined;
    if (head !== undefined && head.byteLength > 0) {
      duplex.unshift(head);
    }
    const inPlace = head === undefined && readInPlace(duplex, (chunk) => handlers.onData(chunk));
    if (!inPlace) {
      duplex.on('data', (chunk: Buffer) => {
        // The first part of memory that Node has read into.
        if (chunk.byteOffset === 0) receivedMemory.add(Math.min(chunk.buffer.byteLength, mostReadBytes));
        handlers.onData(plain(chunk));
      });
    }
    // A listener alone does not, where the owner has paused it.
    duplex.resume();
    if (duplex.destroyed) setImmediate(() => handlers.onClose(this.#error));
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
    this.#duplex.pause();
  }

  resume(): void {
    this.#duplex.resume();
  }

  end(): void {
    this.#duplex.end();
  }

  destroy(error?: unknown): void {
    this.#duplex.destroy(error instanceof Error ? error : undefined);
  }
}

function addressOf(host: string | undefined, port: number | undefined): string | undefined {
  if (host === undefined || port === undefined) return undefined;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The bytes without Node's subclass: its methods differ, and its views are slower. */
function plain(chunk: Buffer): Uint8Array {
  return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

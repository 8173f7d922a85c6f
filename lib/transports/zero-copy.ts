import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { markAsUntransferable } from 'node:worker_threads';
import { receivedMemory } from './received-memory.js';

/** One read of the kernel goes to the next free part of a slab, so that a chunk is never copied and never reused. */
const firstSlabBytes = 64 * 1024;
/**
 * Each slab is twice the last one, up to this. A connection that is idle or slow costs little, and what is in use at two
 * collections of V8's young generation counts as old until a full one.
 */
const mostSlabBytes = 256 * 1024;
const readBytes = 64 * 1024;
/** Below this the rest of a slab is left: tiny reads cost more than the memory. */
const leastReadBytes = 16 * 1024;

type OnRead = (chunk: Uint8Array) => void;

/** The members of a socket by which Node's own `onread` option works. They are not public: looked for, never assumed. */
interface Internals {
  readonly buffer: symbol;
  readonly callback: symbol;
  readonly generator: symbol;
}

let internals: Internals | null | undefined;

/**
 * Gives the socket that was read last new memory to read into. It is due when an exception leaves a callback that Node runs
 * behind the delivery of a read, such as one of `process.nextTick()`, and the process has a handler and lives on: Node then
 * forgets which memory is next, and would read over what was delivered.
 */
let renewLast: (() => void) | null = null;
let watchesExceptions = false;

/** The monitor is told before the exception gets back to where the read was delivered, and changes nothing about it. */
function watchExceptions(): void {
  if (watchesExceptions) return;
  watchesExceptions = true;
  process.on('uncaughtExceptionMonitor', () => {
    const renew = renewLast;
    renewLast = null;
    renew?.();
  });
}

/** Finds the names under which a socket made with `onread` keeps it. */
function findInternals(): Internals | null {
  const callback = (): boolean => true;
  const generator = (): Uint8Array => new Uint8Array(0);
  try {
    const probe = new Socket({ onread: { buffer: generator, callback } } as never);
    const found: Partial<Record<keyof Internals, symbol>> = {};
    for (const symbol of Object.getOwnPropertySymbols(probe)) {
      const value = (probe as unknown as Record<symbol, unknown>)[symbol];
      if (value === callback) found.callback = symbol;
      else if (value === generator) found.generator = symbol;
      else if (value === true && symbol.description === 'kBuffer') found.buffer = symbol;
    }
    probe.destroy();
    const { buffer, callback: call, generator: generate } = found;
    return buffer && call && generate ? { buffer, callback: call, generator: generate } : null;
  } catch {
    return null;
  }
}

/** A socket of net and nothing beyond it, such as one of TLS. */
export function isPlainSocket(stream: Readable | Writable): boolean {
  return Object.getPrototypeOf(stream) === Socket.prototype;
}

/**
 * Makes a plain socket that nobody has read from yet deliver its bytes without a copy, as views of memory that is never
 * used again. False where this Node does not allow it: the caller then listens to `data` as usual.
 */
export function readInPlace(socket: Readable, onRead: OnRead): boolean {
  if (!isPlainSocket(socket) || socket.readableLength > 0) return false;
  internals ??= findInternals();
  const handle = (socket as { _handle?: { useUserBuffer?: (buffer: Uint8Array) => void } })._handle;
  if (internals === null || typeof handle?.useUserBuffer !== 'function') return false;

  let slab = allocate(firstSlabBytes);
  let used = 0;
  const next = (): Uint8Array => {
    if (slab.byteLength - used < leastReadBytes) {
      slab = allocate(Math.min(Math.max(firstSlabBytes, 2 * slab.byteLength), mostSlabBytes));
      used = 0;
    }
    return new Uint8Array(slab, used, Math.min(readBytes, slab.byteLength - used));
  };
  const first = next();
  const { buffer, callback, generator } = internals;
  const target = socket as unknown as Record<symbol, unknown>;
  target[buffer] = first;
  target[generator] = next;
  target[callback] = (bytes: number): boolean => {
    if (slab.byteLength === 0) {
      socket.destroy(new Error('what was read is lost: its memory was transferred. Transfer chunk.slice()'));
      return false;
    }
    const chunk = new Uint8Array(slab, used, bytes);
    used += bytes;
    renewLast = renew;
    onRead(chunk);
    return true;
  };
  const renew = (): void => {
    // Of a socket that is destroyed there is no more to read.
    if ((socket as { _handle?: unknown })._handle !== handle) return;
    const view = next();
    target[buffer] = view;
    handle.useUserBuffer?.(view);
  };
  // Not for longer than the socket: its memory would stay.
  socket.once('close', () => {
    if (renewLast === renew) renewLast = null;
  });
  watchExceptions();
  handle.useUserBuffer(first);
  return true;
}

function allocate(bytes: number): ArrayBuffer {
  receivedMemory.add(bytes);
  const { buffer } = Buffer.allocUnsafeSlow(bytes);
  // Many streams read from it. Node 20 copies it instead, later ones throw a DataCloneError.
  markAsUntransferable(buffer);
  return buffer;
}

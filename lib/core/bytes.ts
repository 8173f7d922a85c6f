import type { Chunk } from '../api.js';

export const utf8: TextEncoder = new TextEncoder();
export const noBytes: Uint8Array = new Uint8Array(0);

/** The bytes of a chunk. Anything that is not one is the caller's mistake. */
export function toBytes(chunk: Chunk): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (typeof chunk === 'string') return utf8.encode(chunk);
  // A Uint8Array of another realm (a test runner's, a frame's) is one too.
  if (isChunk(chunk)) {
    const { buffer, byteOffset, length } = chunk as Uint8Array;
    return new Uint8Array(buffer, byteOffset, length);
  }
  throw new TypeError(`a chunk is a Uint8Array or a string, not ${describe(chunk)}`);
}

export function isChunk(value: unknown): value is Chunk {
  return (
    typeof value === 'string' || (ArrayBuffer.isView(value) && (value as Uint8Array).BYTES_PER_ELEMENT === 1)
  );
}

/** What a value is, for people. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'object' ? (value.constructor?.name ?? 'an object') : typeof value;
}

/** Several chunks as one. */
export function join(chunks: readonly Uint8Array[]): Uint8Array {
  if (chunks.length === 1) return chunks[0] as Uint8Array;
  const result = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    result.set(chunk, at);
    at += chunk.length;
  }
  return result;
}

/** Whether `head` begins with `prefix`; undefined if it is as yet too short to tell. */
export function startsWith(head: Uint8Array, prefix: Uint8Array): boolean | undefined {
  const start = head.subarray(0, prefix.length);
  if (!start.every((byte, at) => byte === prefix[at])) return false;
  return start.length === prefix.length || undefined;
}

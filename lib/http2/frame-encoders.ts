/**
 * Frames of HTTP/2 to bytes (RFC 9113 §4 to §6). Each function writes into `out` at an offset and gives the offset
 * behind; there must be room (the sizes are beside each). Nothing is checked: the values are our own.
 */
import type { Setting } from './frame-handler.js';
import { FRAME_HEADER_BYTES, frameFlag, frameType, PREFACE } from './frames.js';

/** 9 bytes. The payload comes behind them, and DATA's may be in a buffer of its own. */
export function writeFrameHeader(
  out: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): number {
  out[at] = length >>> 16;
  out[at + 1] = length >>> 8;
  out[at + 2] = length;
  out[at + 3] = type;
  out[at + 4] = flags;
  return writeUint32(out, at + 5, streamId);
}

/** 24 bytes: what a client sends first (§3.4). */
export function writePreface(out: Uint8Array, at: number): number {
  for (let index = 0; index < PREFACE.length; index++) out[at + index] = PREFACE.charCodeAt(index);
  return at + PREFACE.length;
}

/** 9 bytes, and 6 for each setting. */
export function writeSettings(out: Uint8Array, at: number, settings: readonly Setting[]): number {
  let end = writeFrameHeader(out, at, settings.length * 6, frameType.SETTINGS, 0, 0);
  for (const [id, value] of settings) {
    out[end] = id >>> 8;
    out[end + 1] = id;
    end = writeUint32(out, end + 2, value);
  }
  return end;
}

/** 9 bytes. */
export function writeSettingsAck(out: Uint8Array, at: number): number {
  return writeFrameHeader(out, at, 0, frameType.SETTINGS, frameFlag.ACK, 0);
}

/** 17 bytes; the payload has 8. */
export function writePing(out: Uint8Array, at: number, payload: Uint8Array, ack: boolean): number {
  const end = writeFrameHeader(out, at, 8, frameType.PING, ack ? frameFlag.ACK : 0, 0);
  out.set(payload, end);
  return end + 8;
}

/** 17 bytes, and the debug text. */
export function writeGoAway(
  out: Uint8Array,
  at: number,
  lastStreamId: number,
  code: number,
  debug?: Uint8Array,
): number {
  let end = writeFrameHeader(out, at, 8 + (debug?.length ?? 0), frameType.GOAWAY, 0, 0);
  end = writeUint32(out, end, lastStreamId);
  end = writeUint32(out, end, code);
  if (debug === undefined) return end;
  out.set(debug, end);
  return end + debug.length;
}

/** 13 bytes. */
export function writeRstStream(out: Uint8Array, at: number, streamId: number, code: number): number {
  return writeUint32(out, writeFrameHeader(out, at, 4, frameType.RST_STREAM, 0, streamId), code);
}

/** 13 bytes; id 0 is the connection. */
export function writeWindowUpdate(out: Uint8Array, at: number, streamId: number, increment: number): number {
  return writeUint32(out, writeFrameHeader(out, at, 4, frameType.WINDOW_UPDATE, 0, streamId), increment);
}

/** What `writeHeaders` takes for a block. */
export function headersByteLength(blockBytes: number, maxFrameBytes: number): number {
  return blockBytes + FRAME_HEADER_BYTES * Math.max(1, Math.ceil(blockBytes / maxFrameBytes));
}

/** Below this, the call of `set` costs more than the loop. */
const LOOPED_BYTES = 64;

/** HEADERS, and as many CONTINUATION as the peer's MAX_FRAME_SIZE makes necessary; nothing may come between them. */
export function writeHeaders(
  out: Uint8Array,
  at: number,
  streamId: number,
  block: Uint8Array,
  endStream: boolean,
  maxFrameBytes: number,
): number {
  let end = at;
  let start = 0;
  do {
    const length = Math.min(block.length - start, maxFrameBytes);
    let flags = start + length === block.length ? frameFlag.END_HEADERS : 0;
    if (start === 0 && endStream) flags |= frameFlag.END_STREAM;
    const type = start === 0 ? frameType.HEADERS : frameType.CONTINUATION;
    end = writeFrameHeader(out, end, length, type, flags, streamId);
    if (length <= LOOPED_BYTES) {
      for (let index = 0; index < length; index++) out[end + index] = block[start + index] as number;
    } else out.set(block.subarray(start, start + length), end);
    end += length;
    start += length;
  } while (start < block.length);
  return end;
}

function writeUint32(out: Uint8Array, at: number, value: number): number {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
  return at + 4;
}

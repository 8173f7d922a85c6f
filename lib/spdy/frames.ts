/**
 * SPDY/3.1 on the wire: frame types, flags, status codes and fixed sizes. Every number is big-endian.
 *
 * ```text
 * control  |1| version 3 (15) | type (16) |      DATA  |0| stream id (31)           |
 *          | flags (8) | length (24)      |            | flags (8) | length (24)    |
 *          | content, `length` bytes      |            | bytes, `length` of them    |
 * ```
 *
 * Section numbers are those of "SPDY Protocol - Draft 3.1".
 */
import type { ResetCode } from '../api.js';

/** The only version there is: SPDY/3.1 says 3 on the wire (§2.2.1). */
export const SPDY_VERSION = 3;

/** The part that every frame has: two words. */
export const FRAME_HEADER_BYTES = 8;
/** `length` has 24 bits (§2.2.2). */
export const MAX_FRAME_LENGTH = 0xffffff;
/** Stream ids, and windows, have 31 bits (§2.3.2, §2.6.8). */
export const MAX_STREAM_ID = 0x7fffffff;
/** A window may never exceed this (§2.6.8). */
export const MAX_WINDOW_BYTES = 0x7fffffff;
/** What a stream and the connection may send before the first WINDOW_UPDATE (§2.6.8). */
export const INITIAL_WINDOW_BYTES: number = 64 * 1024;

// Control frame types (§2.6).

/** Opens a stream: id, associated id, priority, header block (§2.6.1). */
export const FRAME_SYN_STREAM = 1;
/** Accepts a stream: id, header block (§2.6.2). */
export const FRAME_SYN_REPLY = 2;
/** Ends both halves: id, status (§2.6.3). */
export const FRAME_RST_STREAM = 3;
/** Count, then as many entries of flags, id and value (§2.6.4). */
export const FRAME_SETTINGS = 4;
/** An id to echo: odd from the client, even from the server (§2.6.5). */
export const FRAME_PING = 6;
/** No new streams: the last id that was accepted, status (§2.6.6). */
export const FRAME_GOAWAY = 7;
/** More headers for an open stream: id, header block (§2.6.7). */
export const FRAME_HEADERS = 8;
/** Credit for a stream, or for the connection when the id is 0 (§2.6.8). */
export const FRAME_WINDOW_UPDATE = 9;

// Flags. The same bit means different things in different frames.

/** SYN_STREAM, SYN_REPLY, HEADERS, DATA: the sender has nothing more to send on this stream (§2.3.6). */
export const FLAG_FIN = 0x01;
/** SYN_STREAM: only the opener sends (§2.6.1). */
export const FLAG_UNIDIRECTIONAL = 0x02;
/** DATA: compressed, which went away with SPDY/2. Nobody may send it. */
export const FLAG_COMPRESSED = 0x02;
/** SETTINGS: forget what was stored before (§2.6.4). */
export const FLAG_CLEAR_SETTINGS = 0x01;

// RST_STREAM status codes (§2.6.3). 0 is not one: Go's spdystream ends the connection on it.

export const RST_PROTOCOL_ERROR = 1;
/** A frame came for a stream that is not there. */
export const RST_INVALID_STREAM = 2;
/** Nothing was processed: safe to try again. */
export const RST_REFUSED_STREAM = 3;
export const RST_UNSUPPORTED_VERSION = 4;
/** The stream is no longer wanted. */
export const RST_CANCEL = 5;
export const RST_INTERNAL_ERROR = 6;
export const RST_FLOW_CONTROL_ERROR = 7;
/** A second SYN_REPLY. */
export const RST_STREAM_IN_USE = 8;
/** DATA or SYN_REPLY for a half that is closed. */
export const RST_STREAM_ALREADY_CLOSED = 9;
/** More than this side wants to handle; the header block must have been inflated all the same. */
export const RST_FRAME_TOO_LARGE = 11;

// GOAWAY status codes (§2.6.6).

export const GOAWAY_OK = 0;
export const GOAWAY_PROTOCOL_ERROR = 1;
export const GOAWAY_INTERNAL_ERROR = 2;
/** Not in the table of §2.6.6, but §2.6.8 wants it when the connection's own window overflows. */
export const GOAWAY_FLOW_CONTROL_ERROR = 7;

// SETTINGS ids (§2.6.4): the two that a multiplexer acts on.

/** How many streams the receiver of the frame may have open. */
export const SETTINGS_MAX_CONCURRENT_STREAMS = 4;
/** The window of every stream, new and old; the connection's window stays. */
export const SETTINGS_INITIAL_WINDOW_SIZE = 7;

/** A setting of our own: the sender is of this library, and lets the connection have so many bytes on their way. */
export const SETTINGS_OF_OURS = 0xf5a1;

// Sizes of what precedes the content, or of the whole frame where the content is fixed.

/** SYN_STREAM up to its header block. */
export const SYN_STREAM_HEAD_BYTES = 18;
/** SYN_REPLY up to its header block. */
export const SYN_REPLY_HEAD_BYTES = 12;
/** HEADERS up to its header block. */
export const HEADERS_HEAD_BYTES = 12;
export const RST_STREAM_BYTES = 16;
export const PING_BYTES = 12;
export const GOAWAY_BYTES = 16;
export const WINDOW_UPDATE_BYTES = 16;

/** One entry of a SETTINGS frame (§2.6.4). */
export interface SpdySetting {
  /** 24 bits; unknown ids are ignored by whoever acts on them. */
  readonly id: number;
  /** 1: please store this; 2: this is what you stored. 0 in anything we send. */
  readonly flags: number;
  /** 32 bits, unsigned. */
  readonly value: number;
}

/**
 * What the parser found, in the order of the wire. A `block` is valid during the call only; a `chunk` is a view of
 * what was given to `parse`. None of the methods may call `parse`.
 */
export interface SpdyHandler {
  synStream(id: number, associatedTo: number, priority: number, flags: number, block: Uint8Array): void;
  synReply(id: number, flags: number, block: Uint8Array): void;
  headers(id: number, flags: number, block: Uint8Array): void;
  /** The head of a DATA frame; `length` bytes follow through `data`. */
  dataStart(id: number, length: number, flags: number): void;
  /** Some of a DATA frame: never empty, unless the frame is. `fin` comes with the last piece of a frame that has it. */
  data(id: number, chunk: Uint8Array, fin: boolean): void;
  rstStream(id: number, status: number): void;
  /** Each id at most once: §2.6.4 has only the first one count. */
  settings(entries: readonly SpdySetting[], flags: number): void;
  ping(id: number): void;
  goAway(lastGoodId: number, status: number): void;
  /** `delta` may be 0, which is not allowed, but is the stream's or the connection's error depending on `id`. */
  windowUpdate(id: number, delta: number): void;
  /** A control frame of a type that is not ours. Its content is skipped. */
  unknown(type: number, flags: number, length: number): void;
}

/** What a peer may make the parser hold. All of them end the connection. */
export interface SpdyParserLimits {
  /** Content of a control frame, which is held until it is complete; §2.2.1 asks for 8 KiB or more. */
  readonly maxFrameBytes: number;
  /** A header block as it is on the wire. */
  readonly maxHeaderBlockBytes: number;
  /** Entries of one SETTINGS frame. */
  readonly maxSettings: number;
}

/** The defaults of SPDY/3.1. */
export const spdyParserLimits: SpdyParserLimits = {
  maxFrameBytes: 64 * 1024,
  maxHeaderBlockBytes: 16 * 1024,
  maxSettings: 32,
};

const frameNames: ReadonlyMap<number, string> = new Map([
  [FRAME_SYN_STREAM, 'SYN_STREAM'],
  [FRAME_SYN_REPLY, 'SYN_REPLY'],
  [FRAME_RST_STREAM, 'RST_STREAM'],
  [FRAME_SETTINGS, 'SETTINGS'],
  [FRAME_PING, 'PING'],
  [FRAME_GOAWAY, 'GOAWAY'],
  [FRAME_HEADERS, 'HEADERS'],
  [FRAME_WINDOW_UPDATE, 'WINDOW_UPDATE'],
]);

/** The name of a control frame type, for traces and messages; `type 10` for one that is not ours. */
export function frameName(type: number): string {
  return frameNames.get(type) ?? `type ${type}`;
}

/** Words for statuses and back. `no-error` has no status of its own: cancelling is the polite way to leave. */
const statusOfWord: Readonly<Record<Exclude<ResetCode, number>, number>> = {
  'no-error': RST_CANCEL,
  cancel: RST_CANCEL,
  refused: RST_REFUSED_STREAM,
  'protocol-error': RST_PROTOCOL_ERROR,
  'internal-error': RST_INTERNAL_ERROR,
  'flow-control': RST_FLOW_CONTROL_ERROR,
  overflow: RST_INTERNAL_ERROR,
};

const wordOfStatus: ReadonlyMap<number, ResetCode> = new Map<number, ResetCode>([
  [RST_PROTOCOL_ERROR, 'protocol-error'],
  [RST_REFUSED_STREAM, 'refused'],
  [RST_CANCEL, 'cancel'],
  [RST_INTERNAL_ERROR, 'internal-error'],
  [RST_FLOW_CONTROL_ERROR, 'flow-control'],
]);

/** The RST_STREAM status for a reset. Numbers pass as they are, save 0, which is not allowed on the wire. */
export function resetStatus(code: ResetCode): number {
  if (typeof code === 'number') return code >>> 0 || RST_CANCEL;
  return statusOfWord[code];
}

/** What an RST_STREAM status says, in the words all protocols share; the number itself where there is no word. */
export function resetCode(status: number): ResetCode {
  return wordOfStatus.get(status) ?? status;
}

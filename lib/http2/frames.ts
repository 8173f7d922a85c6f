/** The numbers of HTTP/2 (RFC 9113), and the errors that carry them. */
import { StreamError, type StreamErrorCode } from '../core/errors.js';

/** Every frame begins with these: length (24 bits), type (8), flags (8), a reserved bit and the stream id (31). §4.1 */
export const FRAME_HEADER_BYTES = 9;

/** A client sends this before its first frame. §3.4 */
export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** What frames carry. Types that are not here are ignored (§4.1, §5.5). */
export const frameType = {
  /** Bytes of a stream. §6.1 */
  DATA: 0x0,
  /** Opens a stream, answers it, or ends it with trailers. §6.2 */
  HEADERS: 0x1,
  /** Deprecated advice about order; checked and otherwise ignored. §6.3 */
  PRIORITY: 0x2,
  /** Ends both halves of a stream as an error. §6.4 */
  RST_STREAM: 0x3,
  /** What the sender can take. §6.5 */
  SETTINGS: 0x4,
  /** A stream that a server opens with a request of its own making; we never enable it. §6.6 */
  PUSH_PROMISE: 0x5,
  /** Eight bytes to be sent back. §6.7 */
  PING: 0x6,
  /** No more streams; the highest id that was or will be processed. §6.8 */
  GOAWAY: 0x7,
  /** Credit for a stream, or for the connection on id 0. §6.9 */
  WINDOW_UPDATE: 0x8,
  /** The rest of a field block. §6.10 */
  CONTINUATION: 0x9,
} as const;

/** One bit each; their meaning depends on the type. Bits that a type does not define are ignored. */
export const frameFlag = {
  /** DATA, HEADERS: the sender's half of the stream is over. §6.1, §6.2 */
  END_STREAM: 0x1,
  /** SETTINGS, PING: an answer. §6.5, §6.7 */
  ACK: 0x1,
  /** HEADERS, CONTINUATION: the field block ends here. §6.2, §6.10 */
  END_HEADERS: 0x4,
  /** DATA, HEADERS: a pad length comes first, and that much padding last. §6.1, §6.2 */
  PADDED: 0x8,
  /** HEADERS: five bytes of priority come before the block. §6.2 */
  PRIORITY: 0x20,
} as const;

/** The parameters of SETTINGS, each 16 bits of id and 32 of value. Others are ignored. §6.5.2 */
export const settingId = {
  /** The HPACK table that the sender of the setting keeps for decoding. Default 4096. */
  HEADER_TABLE_SIZE: 0x1,
  /** 0 or 1; a server may only send 0. Default 1. */
  ENABLE_PUSH: 0x2,
  /** Streams that the sender lets its peer have open. Default unlimited. */
  MAX_CONCURRENT_STREAMS: 0x3,
  /** Credit of a new stream. Default 65,535, highest 2^31-1. */
  INITIAL_WINDOW_SIZE: 0x4,
  /** Largest payload the sender takes, 2^14 to 2^24-1. Default 2^14. */
  MAX_FRAME_SIZE: 0x5,
  /** Advice: unpacked size of a field block, 32 bytes added per field. Default unlimited. */
  MAX_HEADER_LIST_SIZE: 0x6,
  /** 0 or 1: extended CONNECT is understood (RFC 8441 §3). */
  ENABLE_CONNECT_PROTOCOL: 0x8,
  /** 0 or 1: the priorities of RFC 7540 are not used (RFC 9218 §2.1). */
  NO_RFC7540_PRIORITIES: 0x9,
} as const;

/** What RST_STREAM and GOAWAY say. Codes that are not here mean the same as INTERNAL_ERROR. §7 */
export const errorCode = {
  /** Not an error: a graceful end. */
  NO_ERROR: 0x0,
  /** A rule was broken for which there is no more exact code. */
  PROTOCOL_ERROR: 0x1,
  /** The sender's own fault. */
  INTERNAL_ERROR: 0x2,
  /** More was sent than there was credit for, or credit beyond 2^31-1. */
  FLOW_CONTROL_ERROR: 0x3,
  /** SETTINGS were not acknowledged in time. */
  SETTINGS_TIMEOUT: 0x4,
  /** A frame came after the sender's half had ended. */
  STREAM_CLOSED: 0x5,
  /** A frame's length does not fit its type or the limit. */
  FRAME_SIZE_ERROR: 0x6,
  /** Nothing was processed; it can be tried again. */
  REFUSED_STREAM: 0x7,
  /** The stream is no longer needed. */
  CANCEL: 0x8,
  /** The field compression is out of step; the connection cannot go on. */
  COMPRESSION_ERROR: 0x9,
  /** The connection behind a CONNECT broke. */
  CONNECT_ERROR: 0xa,
  /** The peer costs too much. */
  ENHANCE_YOUR_CALM: 0xb,
  /** The transport is not safe enough. */
  INADEQUATE_SECURITY: 0xc,
  /** HTTP/1.1 is required for this. */
  HTTP_1_1_REQUIRED: 0xd,
} as const;

/**
 * A parameter of our own, 0 or 1: the sender lets a server open streams, with even ids and HEADERS, as a client does with
 * odd ones. It holds once both ends have sent it; peers that do not know it ignore it (§6.5.2), and proxies do not pass
 * it on.
 */
export const SETTINGS_SERVER_OPENS = 0xf5a1;

/** Every window before SETTINGS and WINDOW_UPDATE (§6.9.2). */
export const START_WINDOW_BYTES = 65_535;

/** The HPACK table before any SETTINGS (§6.5.2). */
export const DEFAULT_TABLE_BYTES = 4096;

/** The payload that every endpoint must take, and the default limit (§4.2). */
export const MIN_MAX_FRAME_BYTES: number = 2 ** 14;

/** As far as MAX_FRAME_SIZE goes: what 24 bits can say (§4.2). */
export const MAX_MAX_FRAME_BYTES: number = 2 ** 24 - 1;

/** Windows and stream ids have 31 bits (§5.1.1, §6.9.1). */
export const MAX_31_BITS: number = 2 ** 31 - 1;

const frameNames = Object.keys(frameType);
const errorNames = Object.keys(errorCode);

/** A frame's type in words, for messages and traces. */
export function frameName(type: number): string {
  return frameNames[type] ?? `0x${type.toString(16)}`;
}

/** An error code in words, for messages and traces. */
export function errorName(code: number): string {
  return errorNames[code] ?? `0x${code.toString(16)}`;
}

/**
 * Makes the error for a rule that the peer broke. With a stream id it ends that stream, with RST_STREAM; without one it
 * ends the connection, with GOAWAY (RFC 9113 §5.4). `wireCode` is what those frames are to say.
 */
export function wireError(wireCode: number, message: string, streamId?: number): StreamError {
  return new StreamError(
    kindOf(wireCode),
    streamId === undefined ? message : `stream ${streamId}: ${message}`,
    {
      remote: true,
      wireCode,
      streamId,
    },
  );
}

function kindOf(wireCode: number): StreamErrorCode {
  if (wireCode === errorCode.FLOW_CONTROL_ERROR) return 'flow-control';
  return wireCode === errorCode.ENHANCE_YOUR_CALM ? 'limit' : 'protocol';
}

/** Reads 24 bits, most significant first (§4.1). */
export function uint24(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
}

/** Reads 32 bits. */
export function uint32(bytes: Uint8Array, at: number): number {
  return (((bytes[at] as number) << 24) | uint24(bytes, at + 1)) >>> 0;
}

/** Reads 31 bits behind a reserved one, which is ignored (§4.1, §6.8, §6.9). */
export function uint31(bytes: Uint8Array, at: number): number {
  return uint32(bytes, at) & MAX_31_BITS;
}

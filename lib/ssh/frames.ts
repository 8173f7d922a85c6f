/** Messages of the SSH connection protocol (RFC 4254 §9), and those of the transport that we send or read (RFC 4253 §12). */
export const MSG_DISCONNECT = 1;
export const MSG_IGNORE = 2;
export const MSG_UNIMPLEMENTED = 3;
export const MSG_DEBUG = 4;
export const MSG_EXT_INFO = 7;
export const MSG_KEXINIT = 20;
export const MSG_GLOBAL_REQUEST = 80;
export const MSG_REQUEST_SUCCESS = 81;
export const MSG_REQUEST_FAILURE = 82;
export const MSG_CHANNEL_OPEN = 90;
export const MSG_CHANNEL_OPEN_CONFIRMATION = 91;
export const MSG_CHANNEL_OPEN_FAILURE = 92;
export const MSG_CHANNEL_WINDOW_ADJUST = 93;
export const MSG_CHANNEL_DATA = 94;
export const MSG_CHANNEL_EXTENDED_DATA = 95;
export const MSG_CHANNEL_EOF = 96;
export const MSG_CHANNEL_CLOSE = 97;
export const MSG_CHANNEL_REQUEST = 98;
export const MSG_CHANNEL_SUCCESS = 99;
export const MSG_CHANNEL_FAILURE = 100;

const names: ReadonlyMap<number, string> = new Map([
  [MSG_DISCONNECT, 'DISCONNECT'],
  [MSG_UNIMPLEMENTED, 'UNIMPLEMENTED'],
  [MSG_GLOBAL_REQUEST, 'GLOBAL_REQUEST'],
  [MSG_REQUEST_SUCCESS, 'REQUEST_SUCCESS'],
  [MSG_REQUEST_FAILURE, 'REQUEST_FAILURE'],
  [MSG_CHANNEL_OPEN, 'CHANNEL_OPEN'],
  [MSG_CHANNEL_OPEN_CONFIRMATION, 'CHANNEL_OPEN_CONFIRMATION'],
  [MSG_CHANNEL_OPEN_FAILURE, 'CHANNEL_OPEN_FAILURE'],
  [MSG_CHANNEL_WINDOW_ADJUST, 'CHANNEL_WINDOW_ADJUST'],
  [MSG_CHANNEL_DATA, 'CHANNEL_DATA'],
  [MSG_CHANNEL_EXTENDED_DATA, 'CHANNEL_EXTENDED_DATA'],
  [MSG_CHANNEL_EOF, 'CHANNEL_EOF'],
  [MSG_CHANNEL_CLOSE, 'CHANNEL_CLOSE'],
  [MSG_CHANNEL_REQUEST, 'CHANNEL_REQUEST'],
  [MSG_CHANNEL_SUCCESS, 'CHANNEL_SUCCESS'],
  [MSG_CHANNEL_FAILURE, 'CHANNEL_FAILURE'],
]);

export function messageName(type: number): string {
  return names.get(type) ?? `UNKNOWN(${type})`;
}

/** Reasons of CHANNEL_OPEN_FAILURE (RFC 4254 §5.1); from `OPEN_PRIVATE_CODES` on they are our own reset codes. */
export const OPEN_PROHIBITED = 1;
export const OPEN_CONNECT_FAILED = 2;
export const OPEN_UNKNOWN_TYPE = 3;
export const OPEN_RESOURCE_SHORTAGE = 4;
export const OPEN_PRIVATE_CODES = 0xfe000000;

/** Reasons of DISCONNECT (RFC 4253 §11.1). */
export const DISCONNECT_PROTOCOL_ERROR = 2;
export const DISCONNECT_BY_APPLICATION = 11;
export const DISCONNECT_TOO_MANY_CONNECTIONS = 12;
export const DISCONNECT_NO_MORE_AUTH_METHODS = 14;

/** EXTENDED_DATA of this type is what a command writes to its standard error (RFC 4254 §5.2). */
export const EXTENDED_STDERR = 1;

/** Highest window that there can be (RFC 4254 §5.2). */
export const MAX_WINDOW_BYTES: number = 2 ** 32 - 1;
/** Every implementation takes packets with a payload of this length (RFC 4253 §6.1). */
export const MAX_DATA_BYTES: number = 32 * 1024;

/**
 * Our own kind of channel: a stream of bytes with headers, which either side opens. Its CHANNEL_OPEN goes on with
 *
 *     uint32     number of headers
 *     string     name, string value: each header
 *     boolean    end     \ the opener has ended its half, and its first data:
 *     string     data    / both or none, and none but for a peer that takes them
 *
 * The first data needs no window, and counts against the one that the CONFIRMATION grants. That goes on with the reply
 * headers, in the same form, to a peer that takes them there.
 */
export const TYPE_STREAM = 'stream@rxmux.dev';
/** First data may be as long as this. */
export const MAX_FIRST_BYTES = 2048;
/** The first one an opener gets has the reply headers, unless it has them; one before the end has trailers. */
export const REQUEST_HEADERS = 'headers@rxmux.dev';
/** Ends both halves, with the reason; CLOSE follows. Before the reply headers of a peer of ours it refuses, as an OPEN_FAILURE does. */
export const REQUEST_RESET = 'reset@rxmux.dev';
export const REQUEST_KEEPALIVE = 'keepalive@openssh.com';

/** With this the version string of a peer of ours begins: it sends headers with or behind each acceptance. */
export const SOFTWARE = 'rxmux';
/** `rxmux_3` and higher numbers take first data within the opening of a stream, and reply headers within its confirmation. */
export const SOFTWARE_VERSION = 3;

/** The rules of RFC 9113 §6 that need nothing but one frame, and the words for breaking them. */
import type { StreamError } from '../core/errors.js';
import {
  errorCode,
  frameName,
  frameType,
  MAX_31_BITS,
  MAX_MAX_FRAME_BYTES,
  MIN_MAX_FRAME_BYTES,
  settingId,
  wireError,
} from './frames.js';

/** The dependency and the weight that a HEADERS with the PRIORITY flag starts with (§6.2). */
export const PRIORITY_BYTES = 5;

/** An id and a value (§6.5.1). */
export const SETTING_BYTES = 6;

/** The payload of types that have only one (§6.3, §6.4, §6.7, §6.9). */
export const fixedLengths: ReadonlyMap<number, number> = new Map<number, number>([
  [frameType.PRIORITY, PRIORITY_BYTES],
  [frameType.RST_STREAM, 4],
  [frameType.PING, 8],
  [frameType.WINDOW_UPDATE, 4],
]);

/** These are about the connection, and have no stream (§6.5, §6.7, §6.8). */
export const connectionTypes: ReadonlySet<number> = new Set([
  frameType.SETTINGS,
  frameType.PING,
  frameType.GOAWAY,
]);

/** The error code for a value that the setting cannot have. */
export function wrongSetting(id: number, value: number, role: 'client' | 'server'): number | undefined {
  switch (id) {
    case settingId.ENABLE_PUSH:
      return value > 1 || (value === 1 && role === 'client') ? errorCode.PROTOCOL_ERROR : undefined;
    case settingId.INITIAL_WINDOW_SIZE:
      return value > MAX_31_BITS ? errorCode.FLOW_CONTROL_ERROR : undefined;
    case settingId.MAX_FRAME_SIZE:
      return value < MIN_MAX_FRAME_BYTES || value > MAX_MAX_FRAME_BYTES
        ? errorCode.PROTOCOL_ERROR
        : undefined;
    case settingId.ENABLE_CONNECT_PROTOCOL:
    case settingId.NO_RFC7540_PRIORITIES:
      return value > 1 ? errorCode.PROTOCOL_ERROR : undefined;
    default:
      return undefined;
  }
}

export function protocolError(what: string): StreamError {
  return wireError(errorCode.PROTOCOL_ERROR, `the peer sent ${what}`);
}

export function sizeError(type: number, length: number, wanted: string, streamId?: number): StreamError {
  const message = `the peer sent a ${frameName(type)} of ${length} bytes; ${wanted} was expected`;
  return wireError(errorCode.FRAME_SIZE_ERROR, message, streamId);
}

export function paddingError(type: number, padding: number): StreamError {
  return protocolError(`a ${frameName(type)} with ${padding} bytes of padding, which it has no room for`);
}

export function selfDependency(streamId: number): StreamError {
  return wireError(errorCode.PROTOCOL_ERROR, 'the peer made it depend on itself', streamId);
}

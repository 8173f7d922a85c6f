import type { ResetCode } from '../api.js';
import type { Reason } from '../core/wire.js';

/** "rxmux/1\n" (SPEC §1). */
export const preface: Uint8Array = Uint8Array.of(0x72, 0x78, 0x6d, 0x75, 0x78, 0x2f, 0x31, 0x0a);

/** Type and flags, length, stream id (SPEC §2). */
export const headerBytes = 8;

/** The half of the sender is over (SPEC §3.3). */
export const FLAG_END = 1;

// Frame types (SPEC §2).
export const FRAME_SETTINGS = 0;
export const FRAME_OPEN = 1;
export const FRAME_ACCEPT = 2;
export const FRAME_REFUSE = 3;
export const FRAME_DATA = 4;
export const FRAME_CREDIT = 5;
export const FRAME_TRAILERS = 6;
export const FRAME_STOP = 7;
export const FRAME_RESET = 8;
export const FRAME_PING = 9;
export const FRAME_PONG = 10;
export const FRAME_GOAWAY = 11;
/** Unknown types from here on must be understood, and are an error. */
export const firstCriticalType = 24;

/** By type. */
const frameNames: readonly string[] = [
  'SETTINGS',
  'OPEN',
  'ACCEPT',
  'REFUSE',
  'DATA',
  'CREDIT',
  'TRAILERS',
  'STOP',
  'RESET',
  'PING',
  'PONG',
  'GOAWAY',
];

/** What people call frames of this type. */
export function frameName(type: number): string {
  return frameNames[type] ?? `TYPE_${type}`;
}

// Settings (SPEC §4.1).
export const SETTING_ROLE = 1;
export const SETTING_INITIAL_WINDOW = 2;
export const SETTING_CONNECTION_WINDOW = 3;
export const SETTING_MAX_FRAME = 4;
export const SETTING_RESERVE = 6;

export const ROLE_CLIENT = 1;
export const ROLE_SERVER = 2;

/** What an end assumes before the other's SETTINGS has arrived. */
export const earlyWindow = 16_384;
export const earlyConnectionWindow = 65_536;
/** Every receiver takes frames of this length. */
export const leastMaxFrame = 65_536;
export const mostMaxFrame: number = 2 ** 24 - 1;

/** What one end says of itself. */
export interface Settings {
  readonly role: 'client' | 'server';
  readonly initialWindow: number;
  readonly connectionWindow: number;
  readonly maxFrame: number;
  /** The part of the connection's window that is for streams with little on their way. */
  readonly reserve?: number | undefined;
}

/** Codes of the wire (SPEC §6), by their words. */
export const codes: Readonly<Record<string, number>> = {
  'no-error': 0,
  'protocol-error': 1,
  'internal-error': 2,
  'flow-control': 3,
  refused: 4,
  cancel: 5,
  overflow: 6,
  limit: 7,
  timeout: 8,
  calm: 9,
};

/** The words that the public contract has; further codes are given as numbers. */
const words = Object.keys(codes).slice(0, 7) as ResetCode[];

export function toWire(code: Reason): number {
  return typeof code === 'number' ? code >>> 0 : (codes[code] as number);
}

export function fromWire(code: number): ResetCode {
  return words[code] ?? code;
}

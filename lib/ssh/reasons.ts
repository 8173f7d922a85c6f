import type { ResetCode } from '../api.js';
import { StreamError } from '../core/errors.js';
import type { Reason } from '../core/wire.js';
import {
  DISCONNECT_BY_APPLICATION,
  DISCONNECT_PROTOCOL_ERROR,
  OPEN_CONNECT_FAILED,
  OPEN_PRIVATE_CODES,
  OPEN_PROHIBITED,
  OPEN_RESOURCE_SHORTAGE,
  OPEN_UNKNOWN_TYPE,
} from './frames.js';

/** The numbers of `reset@rxmux.dev`, by the words of the contract; further ones are an application's own. */
const codes: Readonly<Record<string, number>> = {
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

const words: readonly ResetCode[] = [
  'no-error',
  'protocol-error',
  'internal-error',
  'flow-control',
  'refused',
  'cancel',
  'overflow',
];

export function toWire(code: Reason): number {
  return typeof code === 'number' ? code >>> 0 : (codes[code] as number);
}

export function fromWire(code: number): ResetCode {
  return words[code] ?? code;
}

/** Codes that have room beside the reasons which the protocol has itself. */
const mostPrivate = 0xffffffff - OPEN_PRIVATE_CODES;

/**
 * The reason of an OPEN_FAILURE. `shortage` if the connection refuses, and not the application: it is worth trying
 * elsewhere. For the standard channels an application's refusal is a prohibition, as sshd has it.
 */
export function openReason(code: Reason, isStream: boolean, shortage: boolean): number {
  if (code === 'refused') return shortage || isStream ? OPEN_RESOURCE_SHORTAGE : OPEN_PROHIBITED;
  if (!isStream) return OPEN_CONNECT_FAILED;
  const number = toWire(code);
  return OPEN_PRIVATE_CODES + (number <= mostPrivate ? number : (codes.cancel as number));
}

/** What an OPEN_FAILURE means: the code, and whether the peer has certainly done nothing. */
export function fromOpenReason(reason: number): { readonly code: ResetCode; readonly retryable: boolean } {
  switch (reason) {
    case OPEN_RESOURCE_SHORTAGE:
      return { code: 'refused', retryable: true };
    case OPEN_PROHIBITED:
    case OPEN_UNKNOWN_TYPE:
      return { code: 'refused', retryable: false };
    case OPEN_CONNECT_FAILED:
      return { code: 'internal-error', retryable: false };
  }
  return {
    code: reason >= OPEN_PRIVATE_CODES ? fromWire(reason - OPEN_PRIVATE_CODES) : reason,
    retryable: false,
  };
}

/** With what number a connection ends (RFC 4253 §11.1). */
export function disconnectReason(error: StreamError | null): number {
  if (error === null || error.code === 'closed') return DISCONNECT_BY_APPLICATION;
  return DISCONNECT_PROTOCOL_ERROR;
}

/** The peer broke the rules of the connection. */
export function violation(message: string, reset: ResetCode = 'protocol-error'): StreamError {
  const code = reset === 'flow-control' ? 'flow-control' : 'protocol';
  return new StreamError(code, message, { remote: true, reset });
}

/** Why streams and connections end, in the words of the engine and in the numbers of RFC 9113 §7. */
import type { ResetCode } from '../api.js';
import type { StreamError } from '../core/errors.js';
import type { Reason } from '../core/wire.js';
import { errorCode } from './frames.js';

const numbers: Readonly<Record<Exclude<Reason, number>, number>> = {
  'no-error': errorCode.NO_ERROR,
  'protocol-error': errorCode.PROTOCOL_ERROR,
  'internal-error': errorCode.INTERNAL_ERROR,
  'flow-control': errorCode.FLOW_CONTROL_ERROR,
  refused: errorCode.REFUSED_STREAM,
  cancel: errorCode.CANCEL,
  overflow: errorCode.ENHANCE_YOUR_CALM,
  limit: errorCode.ENHANCE_YOUR_CALM,
  calm: errorCode.ENHANCE_YOUR_CALM,
  timeout: errorCode.CANCEL,
};

const words: ReadonlyMap<number, ResetCode> = new Map<number, ResetCode>([
  [errorCode.NO_ERROR, 'no-error'],
  [errorCode.PROTOCOL_ERROR, 'protocol-error'],
  [errorCode.INTERNAL_ERROR, 'internal-error'],
  [errorCode.FLOW_CONTROL_ERROR, 'flow-control'],
  [errorCode.REFUSED_STREAM, 'refused'],
  [errorCode.CANCEL, 'cancel'],
  [errorCode.ENHANCE_YOUR_CALM, 'overflow'],
]);

/** The number for a reason; one that is a number already goes out as it is. */
export function toWire(reason: Reason): number {
  return typeof reason === 'number' ? reason : numbers[reason];
}

/** The word for a number, or the number where there is none. */
export function fromWire(code: number): ResetCode {
  return words.get(code) ?? code;
}

/** What GOAWAY is to say of an error. */
export function goAwayCode(error: StreamError): number {
  if (error.wireCode !== undefined) return error.wireCode;
  if (error.code === 'limit') return errorCode.ENHANCE_YOUR_CALM;
  if (error.code === 'timeout') return errorCode.CANCEL;
  return toWire(error.reset ?? 'protocol-error');
}

/** The `:status` that says the same as a reset. */
export function statusOf(code: Reason): string {
  if (code === 'refused' || code === 'cancel' || code === 'overflow') return '503';
  return code === 'protocol-error' ? '400' : '500';
}

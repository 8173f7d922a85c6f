import type { ResetCode } from '../api.js';
import { StreamError, type StreamErrorCode } from './errors.js';

const words: readonly ResetCode[] = [
  'no-error',
  'cancel',
  'refused',
  'protocol-error',
  'internal-error',
  'flow-control',
  'overflow',
];

/** A code that no protocol could send is the caller's mistake. */
export function checkCode(code: ResetCode): void {
  if (words.includes(code) || (code as number) >>> 0 === code) return;
  throw new TypeError(`"${code}" is no reset code: use one of ${words.join(', ')}, or a number of 32 bits`);
}

/** What the error of one stream is to another, where it is not a reset. */
const byCode: Partial<Record<StreamErrorCode, ResetCode>> = {
  refused: 'refused',
  stopped: 'cancel',
  overflow: 'overflow',
  'flow-control': 'flow-control',
};

/** The code with which an error of one stream goes on to another. */
export function codeOf(error: unknown, otherwise: ResetCode): ResetCode {
  return (StreamError.is(error) ? (error.reset ?? byCode[error.code]) : undefined) ?? otherwise;
}

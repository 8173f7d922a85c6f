import type { ResetCode } from '../api.js';
import { StreamError } from './errors.js';

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
  if (words.includes(code)) return;
  if (typeof code === 'number' && Number.isInteger(code) && code >= 0 && code <= 0xffffffff) return;
  throw new TypeError(`"${code}" is no reset code: use one of ${words.join(', ')}, or a number of 32 bits`);
}

/** The code with which an error of one stream goes on to another. */
export function codeOf(error: unknown, otherwise: ResetCode): ResetCode {
  if (!StreamError.is(error)) return otherwise;
  if (error.reset !== undefined) return error.reset;
  switch (error.code) {
    case 'refused':
      return 'refused';
    case 'stopped':
      return 'cancel';
    case 'overflow':
      return 'overflow';
    case 'flow-control':
      return 'flow-control';
    default:
      return otherwise;
  }
}

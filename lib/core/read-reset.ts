import type { ResetCode } from '../api.js';
import type { CoreStream } from './stream.js';
import type { Reason } from './wire.js';

/**
 * The code of a reset or a refusal, for protocols in which one with 'refused' before the answer says that nothing was
 * read: of a stream whose answer is promised, that is true only while nothing was. `wordOf` knows the numbers.
 */
export function resetCodeOf(
  stream: CoreStream | undefined,
  code: Reason,
  wordOf: (code: number) => ResetCode,
): Reason {
  const word = typeof code === 'number' ? wordOf(code) : code;
  if (word !== 'refused' || stream?.answer !== 'promised') return code;
  const { bytesIn, hasReader, isHeld, window, toldEnd } = stream.inbox;
  // Whoever reads has what there is, of which the last piece may not be released yet.
  return toldEnd || (bytesIn > 0 && (hasReader || isHeld || bytesIn > window.unread)) ? 'cancel' : code;
}

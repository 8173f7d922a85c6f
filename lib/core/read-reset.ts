import type { CoreStream } from './stream.js';
import type { Reason } from './wire.js';

/**
 * The code of a reset, for protocols in which one with 'refused' before the answer says that nothing was read: of a stream
 * whose answer is promised, that is true only while nothing was.
 */
export function resetCodeOf(stream: CoreStream | undefined, code: Reason): Reason {
  if (code !== 'refused' || stream?.answer !== 'promised') return code;
  const { bytesIn, hasReader, isHeld, window } = stream.inbox;
  // Whoever reads has what there is, of which the last piece may not be released yet.
  return bytesIn > 0 && (hasReader || isHeld || bytesIn > window.unread) ? 'cancel' : code;
}

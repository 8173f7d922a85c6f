import type { CoreStream } from './stream.js';
import type { Reason } from './wire.js';

/**
 * What goes on the wire for a reset or a refusal, in protocols in which `refused` before the answer says that nothing was
 * read: of a stream whose answer is promised, that is true only while nothing was.
 */
export function resetCodeOf(
  stream: CoreStream | null | undefined,
  code: Reason,
  toWire: (code: Reason) => number,
): number {
  const given = toWire(code);
  if (given !== toWire('refused') || stream?.answer !== 'promised') return given;
  const { bytesIn, hasReader, isHeld, window, toldEnd } = stream.inbox;
  // Whoever reads has what there is, of which the last piece may not be released yet.
  return toldEnd || (bytesIn > 0 && (hasReader || isHeld || bytesIn > window.unread))
    ? toWire('cancel')
    : given;
}

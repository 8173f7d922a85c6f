import type { Stream } from '../api.js';
import { StreamError } from './errors.js';
import type { CoreStream } from './stream.js';
import type { Reason } from './wire.js';

/**
 * The error of another stream tells of one that waited for it, while that has no answer, whether something of it may have
 * been processed. Else `refused` would deny that, and so would a number that is `refused` in another protocol.
 */
export function heed(
  stream: Pick<Stream, 'origin'> & Partial<Pick<CoreStream, 'answer'>>,
  error: unknown,
): void {
  const { origin, answer } = stream;
  if (origin === 'remote' && (answer === 'none' || answer === 'promised') && StreamError.is(error))
    // A proxy's, where it is retryable: what it has read was processed by nobody.
    stream.answer = error.retryable ? 'none' : 'tried';
}

/**
 * What goes on the wire for a reset or a refusal, in protocols in which `refused` before the answer says that nothing was
 * read: of a stream whose answer is promised, that is true only while nothing was, and of one that was tried never.
 */
export function resetCodeOf(
  stream: CoreStream | null | undefined,
  code: Reason,
  toWire: (code: Reason) => number,
): number {
  const given = toWire(code);
  const answer = given === toWire('refused') && stream?.answer;
  return answer === 'tried' || (answer === 'promised' && wasRead(stream as CoreStream))
    ? toWire('cancel')
    : given;
}

/** Whoever reads has what there is, of which the last piece may not be released yet. */
function wasRead({ inbox }: CoreStream): boolean {
  const { bytesIn, hasReader, isHeld, window, toldEnd } = inbox;
  return toldEnd || (bytesIn > 0 && (hasReader || isHeld || bytesIn > window.unread));
}

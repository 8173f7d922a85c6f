import type { Stream } from '../api.js';
import { StreamError } from '../core/errors.js';
import { handled } from '../core/promises.js';

/**
 * Two streams back to back: bytes, half-closes with their trailers, resets and backpressure, both ways. Resolves once both
 * are closed; if one fails, the other is reset with the same code, and the first failure is what this rejects with. A reader
 * at one end that stops early ends that direction only, and so does a half that had ended before. Reply headers are `a.accept(b.reply)`, beside this.
 */
export function join(a: Stream, b: Stream): Promise<void> {
  return handled(joined(a, b));
}

async function joined(a: Stream, b: Stream): Promise<void> {
  const failures: unknown[] = [];
  const stops = new Set<unknown>();
  const carry = async (from: Stream, to: Stream): Promise<void> => {
    try {
      await to.send(from.data$, { end: false });
      await to.end(await from.trailers);
    } catch (error) {
      // Its reader wants no more: `from` has been stopped by this, and the other direction goes on. Where there is no STOP, a
      // reset behind the end says it; one before the end fails the other direction.
      if (takesNoMore(error) && from.state !== 'reset') {
        stops.add(error);
        return;
      }
      failures.push(error);
      to.error(error);
      from.error(error);
    }
  };
  await Promise.all([carry(a, b), carry(b, a)]);
  if (failures.length > 0) throw failures[0];
  const over = (error: unknown): void => {
    if (!stops.has(error)) throw error;
  };
  await Promise.all([a.closed.catch(over), b.closed.catch(over)]);
}

function takesNoMore(error: unknown): boolean {
  if (!StreamError.is(error)) return false;
  return error.code === 'ended' || (error.remote && (error.code === 'stopped' || error.code === 'reset'));
}

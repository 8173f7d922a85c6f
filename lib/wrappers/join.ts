import type { Stream } from '../api.js';
import { StreamError } from '../core/errors.js';

/**
 * Two streams back to back: bytes, half-closes with their trailers, resets and backpressure, both ways. Resolves once both
 * are closed; if one fails, the other is reset with the same code, and the first failure is what this rejects with. A reader
 * at one end that stops early ends that direction only. Reply headers are `a.accept(b.reply)`, beside this.
 */
export async function join(a: Stream, b: Stream): Promise<void> {
  const failures: unknown[] = [];
  const carry = async (from: Stream, to: Stream): Promise<void> => {
    try {
      await to.send(from.data$, { end: false });
      await to.end(await from.trailers);
    } catch (error) {
      // Its reader wants no more: `from` has been stopped by this, and the other direction goes on.
      if (StreamError.is(error) && error.code === 'stopped' && to.state !== 'reset') return;
      failures.push(error);
      to.error(error);
      from.error(error);
    }
  };
  await Promise.all([carry(a, b), carry(b, a)]);
  if (failures.length > 0) throw failures[0];
  await Promise.all([a.closed, b.closed]);
}

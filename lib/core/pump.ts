import type { Chunk } from '../api.js';
import { onAbort } from './abort.js';
import { join, toBytes } from './bytes.js';
import type { Outbox, RoomWaiter } from './outbox.js';
import { Deferred, handled, isThenable } from './promises.js';
import type { Pull, Pulled } from './pulled.js';

/**
 * Moves a pulled source into a sending half while there is room, to its end. A source that answers at once is pulled
 * within the turn in which there is room again, so that several chunks go out in one write.
 *
 *     room ──▶ pull ──▶ take ──▶ room …        waiting for room, or for the source, costs nothing
 *                └──▶ done: resolved           failed or aborted meanwhile: the source is closed, rejected
 */
export class Pump implements RoomWaiter {
  /** With room for another chunk like the last one, a source of even chunks is never more than the window ahead. */
  bytes = 0;
  readonly #outbox: Outbox;
  readonly #source: Pulled;
  readonly #ended: () => void;
  readonly #result: Deferred<void> = new Deferred();
  readonly #forget: () => void;
  /** In the source's own code, or waiting for its answer. */
  #pulling = false;
  /** In the source's own code, where it cannot be closed. */
  #inside = false;
  #over = false;
  #stopped = false;
  #reason: unknown = undefined;

  /** `ended` is called at once when the last byte has been taken. */
  constructor(outbox: Outbox, source: Pulled, signal: AbortSignal | undefined, ended: () => void) {
    this.#outbox = outbox;
    this.#source = source;
    this.#ended = ended;
    outbox.onFail.add(this.reject);
    this.#forget = onAbort(signal, this.reject);
    this.resolve();
  }

  /** Resolves once the last byte is taken; rejects with what the source, the stream or the signal failed with. */
  get finished(): Promise<void> {
    return this.#result.promise;
  }

  /** There is room, or may be. */
  resolve(): void {
    while (!this.#over && !this.#pulling && !this.#outbox.waitsForRoom(this)) this.#pull();
  }

  #pull(): void {
    let next: Pull | PromiseLike<Pull>;
    this.#pulling = true;
    this.#inside = true;
    try {
      next = this.#source.next();
    } catch (error) {
      this.#inside = false;
      this.#settle(this.#stopped ? this.#reason : error);
      return;
    }
    this.#inside = false;
    if (this.#stopped) this.#abandon(this.#reason);
    else if (isThenable(next)) {
      next.then(
        (result) => {
          this.#take(result);
          this.resolve();
        },
        (error: unknown) => this.#settle(error),
      );
    } else this.#take(next);
  }

  /** A source that answers with nothing at all has given what is no chunk. */
  #take(pull: Pull | undefined): void {
    this.#pulling = false;
    if (this.#over) return;
    const { done, value } = pull ?? {};
    if (done) {
      this.#settle();
      return;
    }
    const refusal = this.#outbox.refusal;
    if (refusal !== undefined) {
      this.#abandon(refusal);
      return;
    }
    try {
      const bytes = Array.isArray(value) ? join(value.map(toBytes)) : toBytes(value as Chunk);
      this.bytes = bytes.length;
      this.#outbox.take(bytes);
    } catch (error) {
      this.#abandon(error);
    }
  }

  /** The stream has failed, or the signal was aborted: no more is wanted of the source. */
  readonly reject = (reason: unknown): void => {
    if (this.#over || this.#stopped) return;
    this.#stopped = true;
    this.#reason = reason;
    if (!this.#inside) this.#abandon(reason);
  };

  /** The source has more to give, and nobody takes it. */
  #abandon(reason: unknown): void {
    if (this.#over) return;
    this.#settle(reason);
    // A source that fails to close has nothing more to say to us: the first error counts.
    void handled((async () => this.#source.close(reason))());
  }

  #settle(...failure: [] | [unknown]): void {
    if (this.#over) return;
    this.#over = true;
    this.#outbox.onFail.delete(this.reject);
    this.#forget();
    if (failure.length === 0) {
      this.#ended();
      this.#result.resolve();
    } else this.#result.reject(failure[0]);
  }
}

import type { Transport } from '../api.js';
import type { Clock } from './clock.js';
import { StreamError } from './errors.js';
import type { LimitValues } from './limits.js';
import type { Wire } from './wire.js';

/** Frames between two looks at the clock. */
const framesPerLook = 8;

/** Why reading is paused: several reasons may hold at once. */
const pausedForTurn = 1;
export const pausedForAnswers = 2;
export const pausedForBudget = 4;

/**
 * The receiving side of a connection: hands chunks to the protocol, within a budget of frames and time per turn of the
 * event loop, so that one busy peer does not make the others wait. The rest waits, with the transport paused.
 */
export class Receiver {
  readonly #transport: Transport;
  readonly #wire: Wire;
  readonly #limits: LimitValues;
  readonly #clock: Clock;
  readonly #failed: (error: unknown) => void;
  /** Chunks that arrived while reading was paused; transports may be late to stop. */
  readonly #waiting: Uint8Array[] = [];
  #paused = 0;
  #framesLeft: number;
  #msLeft: number;
  #running = false;
  #over = false;
  /** The peer's end came while chunks were waiting. */
  #onEmpty: (() => void) | null = null;

  constructor(
    transport: Transport,
    wire: Wire,
    limits: LimitValues,
    clock: Clock,
    failed: (error: unknown) => void,
  ) {
    this.#transport = transport;
    this.#wire = wire;
    this.#limits = limits;
    this.#clock = clock;
    this.#failed = failed;
    this.#framesLeft = limits.maxFramesPerTurn;
    this.#msLeft = limits.maxTurnMs;
  }

  receive(chunk: Uint8Array): void {
    if (this.#over || chunk.length === 0) return;
    if (this.#waiting.length > 0 || this.#paused !== 0 || this.#running) this.#waiting.push(chunk);
    else this.#run(chunk);
  }

  /** Calls `task` once all that arrived has been read. */
  whenEmpty(task: () => void): void {
    if (this.#waiting.length === 0) task();
    else this.#onEmpty = task;
  }

  pause(reason: number): void {
    if (this.#paused === 0) this.#transport.pause();
    this.#paused |= reason;
  }

  resume(reason: number): void {
    if ((this.#paused & reason) === 0) return;
    this.#paused &= ~reason;
    if (this.#paused !== 0 || this.#running) return;
    while (this.#waiting.length > 0 && this.#paused === 0 && !this.#over) {
      this.#run(this.#waiting.shift() as Uint8Array);
    }
    // Once over, too, so that the end of the transport is seen.
    if (this.#paused !== 0) return;
    this.#transport.resume();
    const task = this.#onEmpty;
    this.#onEmpty = null;
    task?.();
  }

  stop(): void {
    this.#over = true;
    this.#waiting.length = 0;
    this.#onEmpty = null;
    if (this.#paused !== 0) this.#transport.resume();
    this.#paused = 0;
  }

  #run(chunk: Uint8Array): void {
    this.#running = true;
    const wire = this.#wire;
    let at = 0;
    let lookedAt = this.#clock.now();
    try {
      while (at < chunk.length && this.#paused === 0 && !this.#over) {
        at = wire.receive(chunk, at, Math.min(framesPerLook, this.#framesLeft));
        this.#framesLeft -= wire.framesDone;
        if (this.#framesLeft > 0 && wire.framesDone >= framesPerLook) {
          const now = this.#clock.now();
          this.#msLeft -= now - lookedAt;
          lookedAt = now;
        }
        if (this.#framesLeft <= 0 || this.#msLeft <= 0) this.#nextTurn();
      }
      if (chunk.length < Math.max(at, 1)) {
        throw new StreamError(
          'closed',
          'a reader has transferred memory with bytes in it that were not read yet',
        );
      }
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#running = false;
    }
    if (at < chunk.length && !this.#over) this.#waiting.unshift(at === 0 ? chunk : chunk.subarray(at));
  }

  #nextTurn(): void {
    this.pause(pausedForTurn);
    this.#clock.soon(() => {
      this.#framesLeft = this.#limits.maxFramesPerTurn;
      this.#msLeft = this.#limits.maxTurnMs;
      this.resume(pausedForTurn);
    });
  }
}

import { Observable } from 'rxjs';
import type { Provider } from '../api.js';
import { type Clock, longestTimerMs, systemClock } from '../core/clock.js';
import { StreamError } from '../core/errors.js';
import { checkLeast } from '../core/option.js';

export interface RedialOptions {
  /** How many to keep. Default 1. */
  connections?: number;
  /** The first pause after a failure; each further one is twice as long. Default 100 ms. */
  minDelayMs?: number;
  /** The longest pause. Default 30 s. */
  maxDelayMs?: number;
  /** A connection that lived for so long has a first pause again when it is lost. Default 10 s. */
  stableMs?: number;
  /** Told of each failed attempt and each lost connection, and of the pause before the next attempt. */
  onFailure?: (error: unknown, nextInMs: number) => void;
  clock?: Clock;
  /** From 0 up to 1, as `Math.random`, which is the default: half of each pause is left to chance. */
  random?: () => number;
}

/**
 * Keeps connections dialled, for `span()`: each time one comes or goes, the set of those that take streams. One that is
 * going away is out of the set, and replaced, as soon as it says so; its streams finish. After a failure there is a pause,
 * growing exponentially, half of it random, so that a thousand clients do not come back in the same moment. It keeps the
 * process alive unless a `clock` of one's own measures it.
 *
 * `dial` is called on subscribing; its signal is aborted if the connection is not wanted any more before it is there.
 * Unsubscribing closes the connections gracefully. Each subscriber has its own.
 */
export function redial(
  dial: (signal: AbortSignal) => Promise<Provider>,
  options: RedialOptions = {},
): Observable<readonly Provider[]> {
  const { connections, minDelayMs, maxDelayMs, stableMs } = options;
  checkLeast('connections', connections, 1);
  for (const [name, value] of Object.entries({ minDelayMs, maxDelayMs, stableMs }))
    checkLeast(name, value, 0);
  return new Observable((subscriber) => {
    const live: (Provider | null)[] = Array.from({ length: options.connections ?? 1 }, () => null);
    const tell = (): void => subscriber.next(live.filter((provider) => provider !== null));
    const lines = live.map((_, index) => {
      return new Line(dial, options, (provider) => {
        live[index] = provider;
        tell();
      });
    });
    for (const line of lines) line.dial();
    return () => {
      for (const line of lines) line.stop();
    };
  });
}

/** Unlike a wait of the clock keeps the process alive: an agent may have nothing else that does. */
function pause(ms: number, task: () => void): () => void {
  const timer = setTimeout(task, ms);
  return () => clearTimeout(timer);
}

/** One connection after the other. */
class Line {
  readonly #dial: (signal: AbortSignal) => Promise<Provider>;
  readonly #options: RedialOptions;
  readonly #clock: Clock;
  /** Told of a connection that takes streams, and with null that there is none. */
  readonly #changed: (provider: Provider | null) => void;
  /** Of the attempt that is being made. */
  #dialling: AbortController | null = null;
  #stopped = false;
  /** Those that have not closed yet. */
  readonly #open: Set<Provider> = new Set();
  #failures = 0;
  #cancel: () => void = () => {};

  constructor(
    dial: (signal: AbortSignal) => Promise<Provider>,
    options: RedialOptions,
    changed: (provider: Provider | null) => void,
  ) {
    this.#dial = dial;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#changed = changed;
  }

  dial(): void {
    const dialling = new AbortController();
    this.#dialling = dialling;
    // A dial that throws at once has failed like any other.
    new Promise<Provider>((resolve) => resolve(this.#dial(dialling.signal))).then(
      (provider) => this.#reached(provider),
      (error: unknown) => this.#failed(error),
    );
  }

  stop(): void {
    this.#stopped = true;
    this.#dialling?.abort(new Error('no connection is wanted any more'));
    this.#cancel();
    for (const provider of this.#open) provider.close().catch(() => {});
  }

  #reached(provider: Provider): void {
    // The signal may be the connection's own from here on, which is closed and not aborted.
    this.#dialling = null;
    if (this.#stopped) {
      provider.close().catch(() => {});
      return;
    }
    const since = this.#clock.now();
    let isOut = false;
    const out = (error: unknown = new StreamError('closed', 'the peer closed the connection')): void => {
      if (isOut) return;
      isOut = true;
      if (this.#stopped) return;
      const { stableMs = 10_000 } = this.#options;
      if (this.#clock.now() - since >= stableMs) this.#failures = 0;
      this.#changed(null);
      this.#failed(error);
    };
    this.#open.add(provider);
    const closed = (error?: unknown): void => {
      this.#open.delete(provider);
      goodbyes.unsubscribe();
      out(error);
    };
    const goodbyes = provider.events$.subscribe({
      next: (event) => {
        if (event.type === 'goaway') out();
      },
      error: () => {},
    });
    provider.closed.then(() => closed(), closed);
    this.#changed(provider);
  }

  #failed(error: unknown): void {
    if (this.#stopped) return;
    const { minDelayMs = 100, maxDelayMs = 30_000, random = Math.random, clock, onFailure } = this.#options;
    // No more doublings than 1 ms has to what a timer can wait: 0 times Infinity would be NaN.
    const growth = 2 ** Math.min(31, this.#failures++);
    const longest = Math.min(longestTimerMs, maxDelayMs, minDelayMs * growth);
    const pauseMs = longest / 2 + (longest / 2) * random();
    const again = (): void => this.dial();
    this.#cancel = clock === undefined ? pause(pauseMs, again) : clock.after(pauseMs, again);
    // Last: what it throws is not caught, and does not end the dialling.
    onFailure?.(error, pauseMs);
  }
}

/** Waiting in specs: for conditions, never for a length of time that happens to be enough. */

import type { Observable, Subscription } from 'rxjs';
import { StreamError } from 'rxmux';

/** Longest that a condition may take to come true. Under Jest's own five seconds, so that our message wins. */
const deadlineMs = 4000;

/** One turn of the event loop: timers and input have had their chance. */
export function turn(): Promise<void> {
  return pause(0);
}

/** A short rest, for asserting that something does *not* happen. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves once `condition` is true; fails with `what` after the deadline. */
export async function until(
  condition: () => boolean,
  what: string,
  limitMs: number = deadlineMs,
): Promise<void> {
  const started = performance.now();
  while (!condition()) {
    if (performance.now() - started > limitMs) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await pause(1);
  }
}

/** Waits until a figure stands still, and returns it: how far something went before it was held up. */
export async function steady(read: () => number): Promise<number> {
  const started = performance.now();
  let value = read();
  for (let still = 0; still < 5; still++) {
    await pause(4);
    if (read() !== value) {
      if (performance.now() - started > deadlineMs)
        throw new Error(`still moving after ${deadlineMs} ms, at ${value}`);
      value = read();
      still = -1;
    }
  }
  return value;
}

/** The value of `promise`, or an error after `limitMs`. */
export async function within<T>(promise: PromiseLike<T>, limitMs: number, what: () => string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not settled within ${limitMs} ms: ${what()}`)), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What `action` failed with, thrown at once or by its promise; an error if it did not fail. */
export async function failure(action: () => unknown): Promise<unknown> {
  try {
    await action();
  } catch (error) {
    return error;
  }
  throw new Error('this should have failed, and did not');
}

/** As `failure`, and it was a `StreamError`. */
export async function streamFailure(action: () => unknown): Promise<StreamError> {
  const error = await failure(action);
  if (!StreamError.is(error)) throw new Error(`not a StreamError: ${String(error)}`, { cause: error });
  return error;
}

/** Whether a promise has settled yet, and how. */
export interface Fate {
  state: 'pending' | 'resolved' | 'rejected';
  error: unknown;
}

/** Follows a promise without waiting for it. */
export function fate(promise: PromiseLike<unknown>): Fate {
  const told: Fate = { state: 'pending', error: undefined };
  promise.then(
    () => {
      told.state = 'resolved';
    },
    (error: unknown) => {
      told.state = 'rejected';
      told.error = error;
    },
  );
  return told;
}

/** Gives each value to `next`. How it ends is left to others: at the latest, the clean-up of the case ends it. */
export function each<T>(source: Observable<T>, next: (value: T) => void = () => {}): Subscription {
  return source.subscribe({ next, error: () => {} });
}

/** Everything that an observable has said so far. */
export interface Watched<T> {
  readonly values: T[];
  end: 'complete' | 'error' | null;
  error: unknown;
  readonly subscription: Subscription;
}

/** Subscribes and writes down what comes. */
export function watch<T>(source: Observable<T>): Watched<T> {
  const values: T[] = [];
  const told: { end: Watched<T>['end']; error: unknown } = { end: null, error: undefined };
  const subscription = source.subscribe({
    next: (value) => values.push(value),
    error: (error: unknown) => {
      told.end = 'error';
      told.error = error;
    },
    complete: () => {
      told.end = 'complete';
    },
  });
  return Object.assign(told, { values, subscription });
}

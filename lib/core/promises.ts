import { onAbort } from './abort.js';

/** A promise with its two functions beside it. */
export class Deferred<T> {
  declare resolve: (value: T) => void;
  declare reject: (error: unknown) => void;
  readonly promise: Promise<T> = new Promise((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

/** The same for what may have happened already, or have failed. */
export function deferredSince<T>(happened: boolean, value: T, failure: unknown): Deferred<T> {
  const result = new Deferred<T>();
  if (happened) result.resolve(value);
  else if (failure !== undefined) reject(result, failure);
  return result;
}

/** Rejects, and marks as handled only now: most promises are never rejected, and the mark is a promise of its own. */
export function reject<T>(one: Deferred<T>, error: unknown): void {
  one.reject(error);
  void handled(one.promise);
}

const ignore = (): void => {};

/** Marks a promise that we hand out as handled: whoever ignores it is not punished by an unhandled rejection. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(ignore);
  return promise;
}

export function isThenable<T>(value: T | PromiseLike<T> | undefined): value is PromiseLike<T> {
  return typeof (value as PromiseLike<T> | undefined)?.then === 'function';
}

export function rejected<T = never>(error: unknown): Promise<T> {
  return handled(Promise.reject(error));
}

/** One resolved promise for everybody who need not wait. */
export const done: Promise<void> = Promise.resolve();

/** Calls `task` at the end of this turn. Node's `queueMicrotask` does the same, with an async resource for each call. */
export function microtask(task: () => void): void {
  void done.then(task);
}

/** `promise`, or the signal's reason if that comes first; then `task` is called. Leaves no listener behind. */
export function abortable<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  task: () => void = ignore,
): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const forget = onAbort(signal, (reason) => {
      task();
      reject(reason);
    });
    void promise.then(resolve, reject).then(forget);
  });
}

import {
  from,
  Observable,
  type ObservableInput,
  type ObservedValueOf,
  type OperatorFunction,
  type Subscriber,
} from 'rxjs';
import { hold, type Release } from './hold.js';

/**
 * `mergeMap(project, concurrent)` that holds its source while every slot is taken: the operator to put at the first
 * asynchronous step. `concurrent` defaults to 1, which keeps the order.
 *
 * A source that cannot be held (a timer, a plain Subject) is queued without a bound, as `mergeMap` would.
 */
export function pullMap<T, O extends ObservableInput<unknown>>(
  project: (value: T, index: number) => O,
  options: { concurrent?: number } = {},
): OperatorFunction<T, ObservedValueOf<O>> {
  const concurrent = options.concurrent ?? 1;
  if (!(concurrent >= 1)) throw new RangeError(`pullMap needs at least 1 slot, not ${concurrent}`);
  return (source) =>
    new Observable((out: Subscriber<ObservedValueOf<O>>) => {
      const waiting: T[] = [];
      const held: Release[] = [];
      let active = 0;
      let index = 0;
      let sourceDone = false;

      const letGo = (): void => {
        for (const release of held.splice(0)) release();
      };
      const start = (value: T): void => {
        active++;
        let inner: Observable<ObservedValueOf<O>>;
        try {
          inner = from(project(value, index++)) as Observable<ObservedValueOf<O>>;
        } catch (error) {
          out.error(error);
          return;
        }
        const subscription = inner.subscribe({
          next: (result) => out.next(result),
          error: (error: unknown) => out.error(error),
          complete: () => {
            active--;
            out.remove(subscription);
            advance();
          },
        });
        if (!subscription.closed) out.add(subscription);
      };
      /** Fills free slots; the sources may go on once one is left over. */
      const advance = (): void => {
        while (active < concurrent && waiting.length > 0 && !out.closed) start(waiting.shift() as T);
        if (active < concurrent) letGo();
        if (sourceDone && active === 0 && waiting.length === 0) out.complete();
      };

      out.add(letGo);
      out.add(
        source.subscribe({
          next: (value) => {
            if (active < concurrent) start(value);
            else waiting.push(value);
            if (active >= concurrent && !out.closed) held.push(hold());
          },
          error: (error: unknown) => out.error(error),
          complete: () => {
            sourceDone = true;
            advance();
          },
        }),
      );
    });
}

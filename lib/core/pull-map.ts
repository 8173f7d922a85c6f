import {
  from,
  Observable,
  type ObservableInput,
  type ObservedValueOf,
  type OperatorFunction,
  Subscriber,
} from 'rxjs';
import { Fifo } from './fifo.js';
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
      const waiting: Fifo<T> = new Fifo();
      const held: Release[] = [];
      let active = 0;
      let index = 0;
      let sourceDone = false;
      let advancing = false;

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
        subscribe(inner, {
          next: (result) => out.next(result),
          complete: () => {
            active--;
            advance();
          },
        });
      };
      /** Fills free slots; the sources may go on once one is left over. What ends at once is not to begin it again. */
      const advance = (): void => {
        if (advancing) return;
        advancing = true;
        while (active < concurrent && waiting.size > 0 && !out.closed) start(waiting.shift() as T);
        advancing = false;
        if (active < concurrent) letGo();
        if (sourceDone && active === 0 && waiting.size === 0) out.complete();
      };
      /** The subscriber is there before anything comes, which may be at once: whoever has enough ends it through `out`. */
      const subscribe = <V>(from: Observable<V>, to: { next(value: V): void; complete(): void }): void => {
        const subscriber = new Subscriber<V>({ ...to, error: (error: unknown) => out.error(error) });
        out.add(subscriber);
        from.subscribe(subscriber);
      };

      out.add(letGo);
      subscribe(source, {
        next: (value) => {
          if (active < concurrent) start(value);
          else waiting.push(value);
          if (active >= concurrent && !out.closed) held.push(hold());
        },
        complete: () => {
          sourceDone = true;
          advance();
        },
      });
    });
}

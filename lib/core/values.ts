import { EMPTY, Observable, type Observer, type Subscriber, Subscription, throwError } from 'rxjs';

/** Whom values go to. */
export type Reader<T> = Observer<T> & { readonly closed: boolean };

/** What has values for one reader. */
export interface Readable<T> {
  /** Lets it read, or tells it why not. */
  attach(reader: Reader<T>): void;
  /** A reader is over; the one that reads has left if it is that one. */
  unsubscribe(): void;
}

/**
 * What a queue of values is subscribed to by. Whoever subscribes with functions, as most do, is read for without rxjs's
 * own subscriber: that one keeps a list of what is to be undone, and the list alone takes as much as half a stream.
 */
export class Values<T> extends Observable<T> {
  readonly #queue: Readable<T>;

  constructor(queue: Readable<T>) {
    super();
    this.#queue = queue;
  }

  override subscribe(
    observer?: Partial<Observer<T>> | ((value: T) => void) | null,
    error?: ((error: unknown) => void) | null,
    complete?: (() => void) | null,
  ): Subscription {
    const queue = this.#queue;
    const subscriber = observer as Partial<Subscriber<T>> | null;
    // An operator's subscriber has its list already.
    if (subscriber?.add && subscriber.unsubscribe) {
      queue.attach(subscriber as Subscriber<T>);
      subscriber.add(queue);
      return subscriber as Subscriber<T>;
    }
    const functions =
      observer && typeof observer === 'object' ? observer : { next: observer, error, complete };
    const reader = new FunctionReader(queue, functions as Partial<Observer<T>>);
    queue.attach(reader);
    return reader;
  }
}

/** Calls an application's functions. What they throw is reported as rxjs does it, and stops nobody. */
class FunctionReader<T> extends Subscription implements Reader<T> {
  readonly #queue: Readable<T>;
  readonly #functions: Partial<Observer<T>>;

  constructor(queue: Readable<T>, functions: Partial<Observer<T>>) {
    super();
    this.#queue = queue;
    this.#functions = functions;
  }

  next(value: T): void {
    try {
      this.#functions.next?.(value);
    } catch (error) {
      report(error);
    }
  }

  error(reason: unknown): void {
    report(reason, this.#functions);
    this.unsubscribe();
  }

  complete(): void {
    EMPTY.subscribe(this.#functions);
    this.unsubscribe();
  }

  override unsubscribe(): void {
    try {
      super.unsubscribe();
    } finally {
      this.#queue.unsubscribe();
    }
  }
}

/** Rxjs knows what to do about an error that nobody handles. */
function report(error: unknown, functions?: Partial<Observer<never>>): void {
  throwError(() => error).subscribe(functions);
}

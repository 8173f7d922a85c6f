import { EMPTY, Observable, type Observer, type Subscriber, Subscription, throwError } from 'rxjs';

/** What has values for one reader. */
export interface Readable<T> {
  /** Lets it read, or tells it why not. */
  attach(reader: Observer<T>): void;
  /** A reader is over; it has left if it is the one that reads. */
  leave(reader: Observer<T>): void;
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
      const reader = subscriber as Subscriber<T>;
      queue.attach(reader);
      reader.add(() => queue.leave(reader));
      return reader;
    }
    const functions =
      observer && typeof observer === 'object' ? observer : { next: observer, error, complete };
    const reader = new FunctionReader(queue, functions as Partial<Observer<T>>);
    queue.attach(reader);
    return reader;
  }
}

/** Calls an application's functions. */
class FunctionReader<T> extends Subscription implements Observer<T> {
  readonly #queue: Readable<T>;
  readonly #functions: Partial<Observer<T>>;

  constructor(queue: Readable<T>, functions: Partial<Observer<T>>) {
    super();
    this.#queue = queue;
    this.#functions = functions;
  }

  next(value: T): void {
    this.#functions.next?.(value);
  }

  error(reason: unknown): void {
    throwError(() => reason).subscribe(this.#functions);
    this.unsubscribe();
  }

  complete(): void {
    EMPTY.subscribe(this.#functions);
    this.unsubscribe();
  }

  /** Nothing comes any more before what else is to be undone, which may release or end something. */
  override unsubscribe(): void {
    this.#queue.leave(this);
    super.unsubscribe();
  }
}

/** Rxjs knows what to do about an error that nobody handles. */
export function report(error: unknown): void {
  throwError(() => error).subscribe();
}

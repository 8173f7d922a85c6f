import type { Observable, Observer } from 'rxjs';
import { onAbort } from './abort.js';
import { StreamError } from './errors.js';
import { Fifo } from './fifo.js';
import { type Delivery, enter, leave, type Release } from './hold.js';
import { microtask, rejected } from './promises.js';
import { type Readable, report, Values } from './values.js';

/** Queues whose reader came in this turn: one microtask for all of them. */
let starting: { start(): void }[] = [];

function startSoon(queue: { start(): void }): void {
  if (starting.push(queue) === 1) microtask(startReaders);
}

/** Delivers to those who came in a turn that is over. What they answer goes out with what else was said in it. */
export function startReaders(): void {
  if (starting.length === 0) return;
  const queues = starting;
  starting = [];
  for (const one of queues) one.start();
}

interface Waiter<T> {
  resolve(value: T | null): void;
  reject(error: unknown): void;
  /** Takes the listener off its signal. */
  forget(): void;
}

/**
 * Values that wait for one reader, who takes them at its own pace: by subscribing to `values$` (and holding), or one
 * by one with `read()`. The receiving half of a stream, a provider's backlog and a listener's are such queues.
 *
 *     push ──▶ queue ──▶ reader.next ──▶ held ──▶ released
 *                  end: complete, after the last release          fail: error, at once
 */
export abstract class PacedQueue<T> extends Fifo<T> implements Delivery, Readable<T> {
  #reader: Observer<T> | null = null;
  #waiter: Waiter<T> | null = null;
  /** The value being delivered, or held. */
  #current: T | undefined = undefined;
  #weight = 0;
  #holds = 0;
  #delivering = false;
  /** A loop is already delivering. */
  #busy = false;
  /** The reader subscribed in this turn: nothing is delivered yet. */
  #starting = false;
  /** Somebody has heard of the end. */
  toldEnd = false;
  #ended = false;
  #failed = false;
  #error: unknown = undefined;

  /** The reader has let go of a value, and may have changed it: `weight` is what it was before. */
  protected abstract released(value: T, weight: number): void;
  /** The reader unsubscribed before the end. */
  protected abstract abandoned(): void;
  /** A reader came. */
  protected abstract attached(): void;
  /** The word for the queue in messages. */
  protected abstract readonly what: string;
  /** The stream it belongs to, if any. */
  protected abstract readonly streamId: number | undefined;

  /** One subscriber at a time. Delivery starts on the microtask after subscribing, never inside it. */
  get values$(): Observable<T> {
    // Made anew each time: most are subscribed to once, and an idle stream need not carry it.
    return new Values(this);
  }

  /** Whether somebody is reading, and is not holding. */
  get hasIdleReader(): boolean {
    return (this.#reader !== null && this.#holds === 0) || this.#waiter !== null;
  }

  get hasReader(): boolean {
    return this.#reader !== null || this.#waiter !== null;
  }

  get isHeld(): boolean {
    return this.#holds > 0;
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  get hasFailed(): boolean {
    return this.#failed;
  }

  override push(value: T): void {
    if (this.#ended || this.#failed) return;
    const idle = this.#holds === 0 && this.size === 0 && !this.#busy && !this.#starting;
    if (idle && this.#reader !== null) {
      this.#busy = true;
      this.#deliver(value);
      this.#busy = false;
      if (this.#ended || this.size > 0) this.#drain();
    } else if (idle && this.#waiter !== null) this.#answer(value);
    else this.enqueue(value);
  }

  /** No more values. Those waiting are still delivered. */
  end(): void {
    if (this.#ended || this.#failed) return;
    this.#ended = true;
    this.#drain();
  }

  /** Drops what waits, and errors at once. */
  fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#error = error;
    this.clear();
    this.#dismiss((reader) => reader?.error(error));
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.forget();
    waiter?.reject(error);
  }

  hold(): Release {
    const reader = this.#reader;
    // A reader that has left holds nothing, or nothing any more.
    let live = reader !== null;
    if (live) this.#holds++;
    return () => {
      if (!live || (this.#reader !== reader && !this.#failed)) return;
      live = false;
      if (--this.#holds === 0 && !this.#delivering) {
        this.#letGo();
        this.#drain();
      }
    };
  }

  /** The next value, or null at the end. Taking it releases it. */
  read(signal?: AbortSignal): Promise<T | null> {
    if (this.#failed) return rejected(this.#error);
    if (this.hasReader) return rejected(this.#locked());
    if (signal?.aborted) return rejected(signal.reason);
    if (this.size > 0 && this.#holds === 0) {
      this.attached();
      const value = this.shift() as T;
      const weight = this.weigh(value);
      if (this.#failed) return rejected(this.#error);
      this.released(value, weight);
      return Promise.resolve(value);
    }
    if (this.#ended && this.#holds === 0) {
      this.toldEnd = true;
      return Promise.resolve(null);
    }
    const promise = new Promise<T | null>((resolve, reject) => {
      const forget = onAbort(signal, (reason) => {
        this.#waiter = null;
        forget();
        reject(reason);
      });
      this.#waiter = { resolve, reject, forget };
    });
    this.attached();
    return promise;
  }

  protected enqueue(value: T): void {
    super.push(value);
  }

  protected weigh(_value: T): number {
    return 1;
  }

  attach(reader: Observer<T>): void {
    if (this.#failed) reader.error(this.#error);
    else if (this.hasReader) reader.error(this.#locked());
    else if (this.#ended && this.size === 0 && this.#holds === 0) {
      this.toldEnd = true;
      reader.complete();
    } else {
      this.#reader = reader;
      // Everyone who subscribes in this turn, through share() for instance, then sees every value.
      this.#starting = true;
      startSoon(this);
      this.attached();
    }
  }

  leave(reader: Observer<T>): void {
    if (this.#reader !== reader) return;
    this.#reader = null;
    const held = this.#holds > 0;
    this.#holds = 0;
    this.abandoned();
    if (held && !this.#delivering) this.#letGo();
  }

  /** The turn in which the reader came is over. */
  start(): void {
    this.#starting = false;
    this.#drain();
  }

  #locked(): StreamError {
    const message = `${this.what} has a reader already: use share() to give it several`;
    return new StreamError('locked', message, { streamId: this.streamId });
  }

  #deliver(value: T): void {
    const outer = enter(this);
    this.#delivering = true;
    this.#current = value;
    this.#weight = this.weigh(value);
    try {
      this.#reader?.next(value);
    } catch (error) {
      report(error);
    } finally {
      this.#delivering = false;
      leave(outer);
      if (this.#holds === 0) this.#letGo();
    }
  }

  /** Takes the reader off and tells it how it ends. What it throws, or what is undone then, stops nobody else. */
  #dismiss(tell: (reader: Observer<T> | null) => void): void {
    const reader = this.#reader;
    this.#reader = null;
    try {
      tell(reader);
    } catch (error) {
      report(error);
    }
  }

  #letGo(): void {
    const value = this.#current as T;
    this.#current = undefined;
    this.released(value, this.#weight);
  }

  #answer(value: T | null): void {
    const weight = value === null ? 0 : this.weigh(value);
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.forget();
    if (value !== null) this.released(value, weight);
    waiter?.resolve(value);
  }

  #drain(): void {
    if (this.#busy || this.#starting) return;
    this.#busy = true;
    while (this.#reader !== null && !this.#starting && this.#holds === 0 && this.size > 0) {
      this.#deliver(this.shift() as T);
    }
    this.#busy = false;
    if (this.#holds > 0 || this.#starting) return;
    if (this.#waiter !== null && this.size > 0) this.#answer(this.shift() as T);
    if (!this.#ended || this.size > 0) return;
    if (this.hasReader) this.toldEnd = true;
    if (this.#waiter !== null) this.#answer(null);
    this.#dismiss((reader) => reader?.complete());
  }
}

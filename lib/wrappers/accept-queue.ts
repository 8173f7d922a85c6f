import type { Subscription } from 'rxjs';
import type { Provider, Stream } from '../api.js';
import { innermost } from '../core/beneath.js';
import { hold, type Release } from '../core/hold.js';
import { PacedQueue } from '../core/paced-queue.js';
import { isThenable } from '../core/promises.js';
import { heed } from '../core/read-reset.js';
import { codeOf } from '../core/reset-code.js';

/** Decides on a stream that a peer opened: the one to give out in its place, or null if it is refused. */
export type Admit = (stream: Stream, source: Provider) => Stream | null | Promise<Stream | null>;

/** Decisions in the making, above which the source is held: a slow one does not stand in the way of the others. */
const mostDeciding = 64;

/**
 * Streams on their way from the `accept$` of one provider or several to one reader. It takes them only while there is a
 * reader who is not holding, so that what waits does so in the backlogs of the providers, where it is bounded.
 */
export class AcceptQueue extends PacedQueue<Stream> {
  protected readonly what: string = 'accept$';
  protected readonly streamId: undefined = undefined;
  readonly #admit: Admit;
  readonly #ended: (source: Provider, error?: unknown) => void;
  readonly #sources: Map<Provider, Subscription | null> = new Map();
  readonly #holds: Map<Stream, Release> = new Map();
  #deciding = 0;
  #isTaking = false;
  #isLast = false;

  /** `ended` is told of a source that gives no more, with the error if there was one. */
  constructor(admit: Admit, ended: (source: Provider, error?: unknown) => void) {
    super();
    this.#admit = admit;
    this.#ended = ended;
  }

  add(source: Provider): void {
    this.#sources.set(source, null);
    if (this.#isTaking) this.#subscribe(source);
  }

  drop(source: Provider): void {
    this.#sources.get(source)?.unsubscribe();
    this.#sources.delete(source);
  }

  /** A reader that gives up before a stream has come takes none any more. */
  override read(signal?: AbortSignal): Promise<Stream | null> {
    const reading = super.read(signal);
    reading.catch(() => {
      if (!this.hasReader) this.abandoned();
    });
    return reading;
  }

  /** No more streams come, once those in the making are decided. */
  finish(): void {
    this.#isLast = true;
    if (this.#deciding === 0) this.end();
  }

  protected override attached(): void {
    this.#isTaking = true;
    for (const source of [...this.#sources.keys()]) this.#subscribe(source);
  }

  protected override abandoned(): void {
    this.#isTaking = false;
    for (const [source, subscription] of this.#sources) {
      subscription?.unsubscribe();
      this.#sources.set(source, null);
    }
  }

  protected override released(stream: Stream): void {
    this.#holds.get(stream)?.();
    this.#holds.delete(stream);
    if (!this.hasReader) this.abandoned();
  }

  #subscribe(source: Provider): void {
    if (this.#sources.get(source) !== null) return;
    const subscription = source.accept$.subscribe({
      next: (stream) => this.#take(stream, source),
      error: (error: unknown) => this.#over(source, error),
      complete: () => this.#over(source),
    });
    if (this.#sources.get(source) === null) this.#sources.set(source, subscription);
  }

  #over(source: Provider, error?: unknown): void {
    this.#sources.delete(source);
    this.#ended(source, error);
  }

  #take(stream: Stream, source: Provider): void {
    const release = hold();
    let admitted: ReturnType<Admit>;
    try {
      admitted = this.#admit(stream, source);
    } catch (error) {
      refuse(stream, error);
      release();
      return;
    }
    if (!isThenable(admitted)) {
      this.#give(admitted, release);
      return;
    }
    // What is decided and waits is behind a reader who is holding: the rest stays where it is bounded.
    if (++this.#deciding < mostDeciding && this.size === 0) release();
    admitted.then(
      (decided) => this.#decided(decided, release),
      (error: unknown) => {
        refuse(stream, error);
        this.#decided(null, release);
      },
    );
  }

  #decided(stream: Stream | null, release: Release): void {
    this.#deciding--;
    this.#give(stream, release);
    if (this.#isLast && this.#deciding === 0) this.end();
  }

  #give(stream: Stream | null, release: Release): void {
    if (stream === null || stream.state === 'reset') release();
    else {
      this.#holds.set(stream, release);
      this.push(stream);
      if (this.size > 0) stream.closed.catch(() => this.#withdraw(stream));
    }
  }

  /** One that is over before its turn has come is given to nobody. */
  #withdraw(stream: Stream): void {
    if (this.remove(stream)) this.released(stream);
  }
}

/** A decision that fails is a refusal, and no more: the peer cannot end our connection by it. */
function refuse(stream: Stream, error: unknown): void {
  const code = codeOf(error, 'internal-error');
  heed(innermost(stream), error);
  try {
    stream.reject(code);
  } catch {
    stream.reset(code, error);
  }
}

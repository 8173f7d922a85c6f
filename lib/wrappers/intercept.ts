import { Observable, type Subscriber } from 'rxjs';
import type {
  HeadersInit,
  NewStreamOptions,
  Provider,
  ProviderEvent,
  ProviderOperator,
  Stream,
  StreamHeaders,
} from '../api.js';
import { innermost } from '../core/beneath.js';
import { toHeaders } from '../core/headers.js';
import { handled, isThenable } from '../core/promises.js';
import type { CoreStream } from '../core/stream.js';
import { isLocalOver, isOver } from '../core/stream-state.js';
import { AcceptQueue } from './accept-queue.js';
import { ForwardingProvider } from './forwarding-provider.js';
import { StreamsView } from './streams-view.js';

export interface InterceptHooks {
  /**
   * Called for each stream that is opened here. `next` opens one, with these headers or others, and the options of the
   * caller; what this returns is what the caller gets.
   */
  newStream?(headers: StreamHeaders, next: (headers: HeadersInit) => Stream): Stream;
  /**
   * Called for each stream that the peer opened, when it is about to be given out: return it, another in its place, or
   * null, which refuses it unless the hook has answered it itself, or uses it where it was answered before: has read,
   * stopped before the peer's end, sent or ended, or has locked `readable` or `writable`. What operators beneath send
   * meanwhile counts, too; what begins later does not, as the first read of `toDuplex()`.
   * While a promise is pending further streams are decided on; one that rejects refuses the stream.
   */
  accept?(stream: Stream): Stream | Promise<Stream | null> | null;
}

/**
 * The base of wrappers: replaces, decorates or vetoes streams in either direction. `streams` and `events$` of the result
 * speak of the streams that its user has. Events of a stream that `accept` is yet to decide on wait for that; a dashboard
 * that is to show those too belongs in front.
 */
export function intercept(hooks: InterceptHooks): ProviderOperator {
  return (provider) => new InterceptedProvider(provider, hooks, true);
}

/** `replaces`: whether the hooks give out other streams than those of the provider. */
export class InterceptedProvider extends ForwardingProvider {
  readonly #hooks: InterceptHooks;
  readonly #replaces: boolean;
  readonly #queue: AcceptQueue | null;
  readonly #shown: WeakMap<Stream, Stream> = new WeakMap();
  /** Remote streams which `accept` has decided on, or was never asked about. */
  readonly #decided: WeakSet<Stream> = new WeakSet();
  readonly #observers: Set<EventRelay> = new Set();
  /** Calls of `newStream` that are in their hook. */
  #opening = 0;

  constructor(inner: Provider, hooks: InterceptHooks, replaces: boolean) {
    super(inner);
    this.#hooks = hooks;
    this.#replaces = replaces;
    this.#queue = null;
    if (hooks.accept === undefined) return;
    const queue = new AcceptQueue(
      (stream) => this.#admit(stream),
      (_source, error) => (error === undefined ? queue.finish() : queue.fail(error)),
    );
    queue.add(inner);
    this.#queue = queue;
    for (const stream of inner.streams.values()) {
      if (answerOf(stream) !== 'none') this.#decided.add(stream);
    }
  }

  override get streams(): ReadonlyMap<number, Stream> {
    const { streams } = this.inner;
    return this.#replaces ? new StreamsView(streams, (stream) => this.shown(stream)) : streams;
  }

  override get events$(): Observable<ProviderEvent> {
    if (!this.#replaces) return this.inner.events$;
    return new Observable((subscriber) => {
      const relay = new EventRelay(this, subscriber);
      this.#observers.add(relay);
      subscriber.add(() => this.#observers.delete(relay));
      subscriber.add(this.inner.events$.subscribe(relay));
    });
  }

  override newStream(init?: HeadersInit, options?: NewStreamOptions): Stream {
    const hook = this.#hooks.newStream;
    if (hook === undefined) return this.inner.newStream(init, options);
    const opened: Stream[] = [];
    const open = (headers: HeadersInit): Stream => {
      const stream = this.inner.newStream(headers, options);
      opened.push(stream);
      return stream;
    };
    this.#opening++;
    try {
      const result = hook.call(this.#hooks, toHeaders(init), open);
      const last = opened.at(-1);
      if (last !== undefined && result !== last) this.#shown.set(last, result);
      return result;
    } catch (error) {
      for (const stream of opened) stream.reset('internal-error', error);
      throw error;
    } finally {
      this.#opening--;
      for (const stream of opened) this.#tell(stream);
    }
  }

  override get accept$(): Observable<Stream> {
    return this.#queue === null ? this.inner.accept$ : this.#queue.values$;
  }

  override accept(options?: { signal?: AbortSignal }): Promise<Stream | null> {
    return this.#queue === null ? this.inner.accept(options) : handled(this.#queue.read(options?.signal));
  }

  /** What stands in the place of a stream of the inner provider. */
  shown(stream: Stream): Stream {
    return this.#shown.get(stream) ?? stream;
  }

  /** Whether it is known what will stand in its place. */
  isSettled(stream: Stream): boolean {
    if (stream.origin === 'local') return this.#opening === 0 || this.#shown.has(stream);
    return this.#queue === null || this.#decided.has(stream);
  }

  #admit(stream: Stream): Stream | null | Promise<Stream | null> {
    const before = answerOf(stream) === 'none' ? null : useOf(stream);
    const admitted = this.#hooks.accept?.(stream) ?? null;
    if (!isThenable(admitted)) return this.#decide(stream, admitted, before);
    return admitted.then(
      (late) => this.#decide(stream, late, before),
      (error: unknown) => {
        this.#decide(stream, stream, before);
        throw error;
      },
    );
  }

  #decide(stream: Stream, admitted: Stream | null, before: Use | null): Stream | null {
    if (admitted === null) veto(stream, before);
    else if (admitted !== stream) this.#shown.set(stream, admitted);
    this.#decided.add(stream);
    this.#tell(stream);
    return admitted;
  }

  #tell(stream: Stream): void {
    for (const observer of this.#observers) observer.settled(stream);
  }
}

/** Where a stream is none of ours, its state has to do, which does not tell of an answer once the peer has ended. */
export function answerOf(stream: Stream): CoreStream['answer'] {
  const { state, answer = state === 'opening' ? 'none' : 'ready' } = innermost(stream) as Stream &
    Partial<CoreStream>;
  return answer;
}

/** What the acceptor of a stream has done with it since it was answered. */
interface Use {
  /** Somebody is: what is read later is theirs. */
  readonly isReading: boolean;
  /** Changes with what is read, with a reader, with an end that one was told, and with a stop. */
  readonly received: number;
  /** Changes with what is sent, with sources, and with the end. */
  readonly sent: number;
}

function useOf(stream: Stream): Use {
  const { state, stats, inbox, outbox } = innermost(stream) as Stream & Partial<CoreStream>;
  const isReading = inbox?.hasReader === true;
  const hasReader = isReading || inbox?.toldEnd === true;
  const ends = isLocalOver(state) || outbox?.wantsEnd === true;
  return {
    isReading,
    // What comes after a stop is dropped, and was read by nobody.
    received: inbox?.isStopped === true ? -1 : stats.bytesIn - stats.queuedIn + Number(hasReader),
    sent: stats.bytesOut + stats.queuedOut + Number(ends) + (outbox?.onFail.size ?? 0),
  };
}

function isUsedSince(stream: Stream, before: Use): boolean {
  const { received, sent } = useOf(stream);
  if (sent !== before.sent || stream.writable.locked) return true;
  return !before.isReading && (received !== before.received || stream.readable.locked);
}

/** Refuses a stream that its hook did not want, and did not take to itself; resets it where it was accepted before. */
function veto(stream: Stream, before: Use | null): void {
  if (isOver(stream.state)) return;
  const isTaken = before === null ? answerOf(stream) !== 'none' : isUsedSince(stream, before);
  if (!isTaken) turnAway(stream);
}

/** Refuses a stream, or resets it where it is too late for that, since it was accepted beneath. */
export function turnAway(stream: Stream, headers?: HeadersInit): void {
  const answer = answerOf(stream);
  if (answer === 'none' || answer === 'promised') stream.reject('refused', headers);
  else stream.reset('refused');
}

/** The events of the inner provider on their way to one observer of the wrapper. */
class EventRelay {
  readonly #provider: InterceptedProvider;
  readonly #subscriber: Subscriber<ProviderEvent>;
  /** Of streams that are not settled. */
  readonly #waiting: Map<Stream, ProviderEvent[]> = new Map();

  constructor(provider: InterceptedProvider, subscriber: Subscriber<ProviderEvent>) {
    this.#provider = provider;
    this.#subscriber = subscriber;
  }

  next(event: ProviderEvent): void {
    if (!('stream' in event)) {
      this.#subscriber.next(event);
      return;
    }
    const { stream, type } = event;
    const before = this.#waiting.get(stream);
    if (before === undefined && this.#provider.isSettled(stream)) this.#pass(event);
    else {
      if (before === undefined) this.#waiting.set(stream, [event]);
      else before.push(event);
      // Nobody will decide on a stream that is over before it was given out.
      if (stream.origin === 'remote' && (type === 'reset' || type === 'close')) this.settled(stream);
    }
  }

  error(error: unknown): void {
    this.#subscriber.error(error);
  }

  complete(): void {
    for (const stream of [...this.#waiting.keys()]) this.settled(stream);
    this.#subscriber.complete();
  }

  settled(stream: Stream): void {
    const events = this.#waiting.get(stream);
    this.#waiting.delete(stream);
    if (events !== undefined) for (const event of events) this.#pass(event);
  }

  #pass(event: ProviderEvent): void {
    if (!('stream' in event)) return;
    const stream = this.#provider.shown(event.stream);
    this.#subscriber.next(stream === event.stream ? event : { ...event, stream });
  }
}

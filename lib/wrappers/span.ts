import { type Observable, Observable as Rx, type Subscriber } from 'rxjs';
import type {
  FrameEvent,
  HeadersInit,
  NewStreamOptions,
  Provider,
  ProviderEvent,
  ProviderFeatures,
  ProviderInfo,
  ProviderOperator,
  Stream,
  StreamHeaders,
} from '../api.js';
import { systemClock } from '../core/clock.js';
import { StreamError } from '../core/errors.js';
import { toHeaders } from '../core/headers.js';
import { checkLeast } from '../core/option.js';
import { abortable, Deferred, handled, reject, rejected } from '../core/promises.js';
import { AcceptQueue } from './accept-queue.js';
import { FailedStream } from './failed-stream.js';
import { Member, type SpanMember } from './span-member.js';
import { type Picker, pickerOf } from './span-pick.js';
import { SpanStream } from './span-stream.js';
import { SpanStreams } from './span-streams.js';

export interface SpanOptions {
  /** Which connection a new stream goes to. Default `round-robin`. */
  pick?: 'round-robin' | 'least-streams' | 'primary' | Picker;
  /** How often a stream that was refused before any byte was processed is tried elsewhere. Default 2. */
  retries?: number;
}

/** A provider over several connections. */
export interface Span extends Provider {
  /** The connections, in the order they came, and what each has done. */
  readonly members: readonly SpanMember[];
}

/**
 * The `merge` of providers: one provider over several connections, which may come and go. New streams go to live ones
 * only. A stream that is refused as unprocessed is opened again on another connection, while what was sent of it is still
 * kept (64 KiB); beyond that it fails with `retryable: false`. Streams of a dead connection fail, the others go on. A
 * connection that leaves the set gets no new streams, and those it has may finish.
 *
 * `close()` and `abort()` are those of every member. A span is closed when its last member is and no further can come: with
 * the error of that member, or of the observable if that failed while there was none.
 */
export function span(
  providers: readonly Provider[] | Observable<readonly Provider[]>,
  options: SpanOptions = {},
): Span {
  return new SpanProvider(providers, options);
}

type Pass<T> = (value: T, member: Member, subscriber: Subscriber<T>) => void;

const noFeatures: ProviderFeatures = {
  headers: false,
  replyHeaders: false,
  trailers: false,
  flowControl: false,
  halfStop: false,
  ping: false,
  goAway: false,
};

class SpanProvider implements Span {
  readonly streams: ReadonlyMap<number, Stream>;
  readonly #pick: Picker;
  readonly #retries: number;
  /** Those that are not gone, in the order they came. */
  readonly #members: Map<Provider, Member> = new Map();
  readonly #queue: AcceptQueue;
  readonly #closed: Deferred<void> = new Deferred();
  /** What stands in the span for a stream that was opened on a member. */
  readonly #shown: WeakMap<Stream, SpanStream> = new WeakMap();
  /** Observers of events or frames, each told of further members. */
  readonly #observers: Set<{ add(member: Member): void; complete(): void }> = new Set();
  /** What the members had in common when there was one last. */
  #info: ProviderInfo = { protocol: 'span', role: 'client', features: noFeatures };
  #count = 0;
  /** No further members come. */
  #isComplete = false;
  #isOver = false;
  #stopListening: () => void = () => {};
  /** While a member opens a stream: what is to be told once there is one of ours for it. */
  #openings: Map<Stream, () => void> | null = null;

  constructor(providers: readonly Provider[] | Observable<readonly Provider[]>, options: SpanOptions) {
    this.#pick = pickerOf(options.pick ?? 'round-robin');
    checkLeast('retries', options.retries, 0);
    this.#retries = options.retries ?? 2;
    this.streams = new SpanStreams(
      () => this.#members.values(),
      (stream, member) => this.#show(stream, member),
    );
    this.#queue = new AcceptQueue(
      (stream, source) => this.#admit(stream, source),
      () => {},
    );
    if (Array.isArray(providers)) {
      this.#change(providers);
      this.#complete();
    } else {
      const subscription = (providers as Observable<readonly Provider[]>).subscribe({
        next: (set) => this.#change(set),
        error: (error: unknown) => this.#complete(error),
        complete: () => this.#complete(),
      });
      this.#stopListening = () => subscription.unsubscribe();
    }
  }

  // ------------------------------------------------------------------ members

  get members(): readonly SpanMember[] {
    return [...this.#members.values()];
  }

  #change(set: readonly Provider[]): void {
    if (this.#isComplete) return;
    for (const [provider, member] of this.#members)
      member.state = set.includes(provider) ? 'live' : 'draining';
    for (const provider of set) if (!this.#members.has(provider)) this.#add(provider);
  }

  #add(provider: Provider): void {
    const member = new Member(provider, this.#count++);
    this.#members.set(provider, member);
    this.#queue.add(provider);
    for (const observer of [...this.#observers]) observer.add(member);
    provider.closed.then(
      () => this.#gone(member),
      (error: unknown) => this.#gone(member, error),
    );
  }

  #gone(member: Member, error?: unknown): void {
    member.state = 'gone';
    // Known until now, so that what its members have in common outlives the last of them.
    this.#info = this.info;
    this.#members.delete(member.provider);
    this.#queue.drop(member.provider);
    this.#settleIfOver(error);
  }

  #complete(error?: unknown): void {
    this.#isComplete = true;
    this.#stopListening();
    this.#settleIfOver(error);
  }

  /** Over is a span whose last member is: with its error, if it failed. */
  #settleIfOver(error?: unknown): void {
    if (!this.#isComplete || this.#members.size > 0 || this.#isOver) return;
    this.#isOver = true;
    if (error === undefined) this.#queue.finish();
    else this.#queue.fail(error);
    for (const observer of [...this.#observers]) observer.complete();
    if (error === undefined) this.#closed.resolve();
    else reject(this.#closed, error);
  }

  // ------------------------------------------------------------------ streams

  newStream(init?: HeadersInit, options: NewStreamOptions = {}): Stream {
    const headers = toHeaders(init);
    const tried = new Set<Member>();
    let failed: Stream | null = null;
    const open = (): { stream: Stream; member: Member } | null => {
      for (;;) {
        const member = this.#choose(headers, tried);
        if (member === null) return null;
        tried.add(member);
        const stream = member.provider.newStream(headers, options);
        // Reset at once, and not by the caller: this connection takes none, for good or for now.
        if (stream.state !== 'reset' || options.signal?.aborted) return { stream, member };
        failed = stream;
        stream.closed.catch((error: unknown) => member.hasRefused(error));
      }
    };
    const outer = this.#openings;
    const openings = new Map<Stream, () => void>();
    this.#openings = openings;
    let first: ReturnType<typeof open>;
    try {
      first = open();
    } finally {
      this.#openings = outer;
    }
    if (first === null) return failed ?? this.#none(headers, options);
    const { stream } = first;
    let { member } = first;
    let retries = this.#retries;
    const reopen = (): Stream | null => {
      if (retries-- <= 0 || options.signal?.aborted) return null;
      const next = this.#unseen(open);
      if (next === null) return null;
      member.retried++;
      member = next.member;
      this.#opened(next.stream, member, result);
      return next.stream;
    };
    const result = new SpanStream(member.idOf(stream.id), stream, reopen);
    this.#opened(stream, member, result);
    openings.get(stream)?.();
    return result;
  }

  /** Opens without telling anybody: for its user it is the same stream. */
  #unseen<T>(open: () => T | null): T | null {
    const outer = this.#openings;
    this.#openings = new Map();
    try {
      return open();
    } catch {
      // A picker that throws has picked none.
      return null;
    } finally {
      this.#openings = outer;
    }
  }

  #opened(stream: Stream, member: Member, result: SpanStream): void {
    this.#shown.set(stream, result);
    member.opened++;
    member.count(stream, (error) => !result.isReplaced(stream, error));
  }

  #choose(headers: StreamHeaders, tried: ReadonlySet<Member>): Member | null {
    const live: Provider[] = [];
    for (const [provider, member] of this.#members) {
      if (member.state === 'live' && !member.isGoingAway && !tried.has(member)) live.push(provider);
    }
    if (live.length === 0) return null;
    const member = this.#members.get(this.#pick(live, headers));
    if (member === undefined)
      throw new TypeError('pick() has to return one of the providers that it is given');
    return member;
  }

  #none(headers: StreamHeaders, options: NewStreamOptions): Stream {
    const error = new StreamError('closed', 'no connection is live, so that no stream can be opened', {
      retryable: true,
    });
    return new FailedStream(error, headers, options.label ?? `${this.info.protocol}#0`, Date.now());
  }

  #show(stream: Stream, member: Member): Stream {
    return this.#shown.get(stream) ?? member.renumbered(stream);
  }

  get accept$(): Observable<Stream> {
    return this.#queue.values$;
  }

  accept(options?: { signal?: AbortSignal }): Promise<Stream | null> {
    return handled(this.#queue.read(options?.signal));
  }

  #admit(stream: Stream, source: Provider): Stream {
    const member = this.#members.get(source);
    if (member === undefined) return stream;
    member.accepted++;
    member.count(stream);
    return member.renumbered(stream);
  }

  // ------------------------------------------------------------------ looking

  get info(): ProviderInfo {
    const infos = [...this.#members.keys()].map(({ info }) => info);
    const [first] = infos;
    if (first === undefined) return this.#info;
    if (infos.length === 1) return first;
    const { role } = first;
    const protocol = infos.every((info) => info.protocol === first.protocol) ? first.protocol : 'span';
    const features: Record<string, boolean> = {};
    for (const name of Object.keys(first.features) as (keyof ProviderFeatures)[]) {
      features[name] = infos.every((info) => info.features[name]);
    }
    return { protocol, role, features: features as unknown as ProviderFeatures };
  }

  get events$(): Observable<ProviderEvent> {
    return this.#merged(
      ({ provider }) => provider.events$,
      (event, member, subscriber) => this.#passEvent(event, member, subscriber),
      (member, subscriber) => this.#tellStreams(member, subscriber),
    );
  }

  get frames$(): Observable<FrameEvent> {
    return this.#merged(
      ({ provider }) => provider.frames$,
      (frame, member, subscriber) => {
        const { streamId } = frame;
        const isOwn = member.number === 0 || streamId === 0;
        subscriber.next(isOwn ? frame : { ...frame, streamId: member.idOf(streamId) });
      },
    );
  }

  /** `joined` is for those that were there when a member came. */
  #merged<T>(
    of: (member: Member) => Observable<T>,
    pass: Pass<T>,
    joined: (member: Member, subscriber: Subscriber<T>) => void = () => {},
  ): Observable<T> {
    return new Rx((subscriber) => {
      if (this.#isOver) {
        subscriber.complete();
        return undefined;
      }
      const look = (member: Member): void => {
        const next = (value: T): void => pass(value, member, subscriber);
        subscriber.add(of(member).subscribe({ next, error: () => {} }));
      };
      const observer = {
        add: (member: Member): void => {
          look(member);
          joined(member, subscriber);
        },
        complete: () => subscriber.complete(),
      };
      for (const member of this.#members.values()) look(member);
      this.#observers.add(observer);
      return () => this.#observers.delete(observer);
    });
  }

  /** Streams that a connection brings along are new to whoever looks at the span; `stats` say when they were opened. */
  #tellStreams(member: Member, subscriber: Subscriber<ProviderEvent>): void {
    const at = systemClock.now();
    for (const stream of member.provider.streams.values()) {
      const type = stream.origin === 'local' ? 'open' : 'accept';
      subscriber.next({ type, at, stream: this.#show(stream, member) });
    }
  }

  #passEvent(event: ProviderEvent, member: Member, subscriber: Subscriber<ProviderEvent>): void {
    if (!('stream' in event)) {
      subscriber.next(event);
      return;
    }
    const { stream } = event;
    const shown = this.#shown.get(stream);
    if (shown === undefined && stream.origin === 'local' && this.#openings !== null) {
      const before = this.#openings.get(stream);
      this.#openings.set(stream, () => {
        before?.();
        this.#passEvent(event, member, subscriber);
      });
      return;
    }
    if (shown === undefined) {
      const known = member.renumbered(stream);
      subscriber.next(known === stream ? event : { ...event, stream: known });
      return;
    }
    // Of a half that is sent again only the end that leaves both over is news.
    if (event.type === 'end' && stream.state !== 'closed' && shown.hasEndedBefore(stream)) return;
    const told = { ...event, stream: shown };
    if (event.type !== 'reset' || shown.isSettled) subscriber.next(told);
    else {
      // Whether it is over for its user is known with the reason only.
      stream.closed.catch((error: unknown) => {
        if (!shown.isReplaced(stream, error)) subscriber.next(told);
      });
    }
  }

  // ------------------------------------------------------------------ ending

  ping(options?: { signal?: AbortSignal }): Promise<number> {
    for (const { state, provider } of this.#members.values()) {
      if (state === 'live') return provider.ping(options);
    }
    return rejected(new StreamError('closed', 'no connection is live, so that there is none to ping'));
  }

  close({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const providers = [...this.#members.keys()];
    // First of all: whoever supplies connections is not to replace those that are closed now.
    this.#complete();
    const closing = providers.map((provider) => provider.close());
    // One that fails on the way does not end the wait for the others.
    const all = Promise.allSettled([...closing, this.closed]).then((ends) => {
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
    });
    return handled(abortable(all, signal, () => this.abort(signal?.reason)));
  }

  abort(reason?: unknown): void {
    const providers = [...this.#members.keys()];
    this.#complete();
    for (const provider of providers) provider.abort(reason);
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  pipe(...operators: ProviderOperator[]): Provider {
    return operators.reduce<Provider>((provider, operator) => operator(provider), this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close().catch(() => {});
  }
}

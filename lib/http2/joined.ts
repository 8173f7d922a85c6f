/** One provider out of the two connections of a reverse session. */
import { Observable, Subscription } from 'rxjs';
import type { Stream } from '../api.js';
import { Backlog } from '../core/backlog.js';
import type { Session } from '../core/session.js';
import type { CoreStream } from '../core/stream.js';

/** The stream tables of several sessions, as one. Live: a view, not a copy. */
export class JoinedStreams implements ReadonlyMap<number, Stream> {
  readonly #sessions: () => readonly Session[];
  readonly #hides: (stream: Stream) => boolean;

  constructor(sessions: () => readonly Session[], hides: (stream: Stream) => boolean) {
    this.#sessions = sessions;
    this.#hides = hides;
  }

  get size(): number {
    let size = 0;
    for (const _ of this.keys()) size++;
    return size;
  }

  get(id: number): Stream | undefined {
    for (const { streams } of this.#sessions()) {
      const stream = streams.get(id);
      if (stream !== undefined && !this.#hides(stream)) return stream;
    }
    return undefined;
  }

  has(id: number): boolean {
    return this.get(id) !== undefined;
  }

  *entries(): MapIterator<[number, Stream]> {
    for (const { streams } of this.#sessions()) {
      for (const [id, stream] of streams) if (!this.#hides(stream)) yield [id, stream];
    }
  }

  *keys(): MapIterator<number> {
    for (const [id] of this.entries()) yield id;
  }

  *values(): MapIterator<Stream> {
    for (const [, stream] of this.entries()) yield stream;
  }

  [Symbol.iterator](): MapIterator<[number, Stream]> {
    return this.entries();
  }

  forEach(task: (stream: Stream, id: number, map: ReadonlyMap<number, Stream>) => void): void {
    for (const [id, stream] of this.entries()) task(stream, id, this);
  }
}

/** What the sessions of a provider tell, to whoever observes the provider: also of sessions that begin later. */
export class JoinedEvents<E> {
  readonly values$: Observable<E>;
  readonly #followers: Set<(session: Session) => void> = new Set();

  constructor(
    sessions: () => readonly [Session, ...Session[]],
    from: (session: Session) => Observable<E>,
    passes: (event: E) => boolean,
  ) {
    this.values$ = new Observable((subscriber) => {
      const all = new Subscription();
      const next = (event: E): void => {
        if (passes(event)) subscriber.next(event);
      };
      const follow = (session: Session): void => all.add(from(session).subscribe({ next }));
      const [outer, ...others] = sessions();
      for (const other of others) follow(other);
      this.#followers.add(follow);
      all.add(() => this.#followers.delete(follow));
      all.add(from(outer).subscribe({ next, complete: () => subscriber.complete() }));
      return all;
    });
  }

  /** A session has begun. */
  join(session: Session): void {
    for (const follow of this.#followers) follow(session);
  }
}

/** The backlog of a session whose streams are accepted where those of another are. */
export class Annex extends Backlog<CoreStream> {
  readonly #target: Backlog<CoreStream>;
  readonly #own: () => Iterable<CoreStream>;

  constructor(target: Backlog<CoreStream>, own: () => Iterable<CoreStream>) {
    super('accept$');
    this.#target = target;
    this.#own = own;
  }

  override get size(): number {
    return this.#target.size;
  }

  override get hasReader(): boolean {
    return this.#target.hasReader;
  }

  override push(stream: CoreStream): void {
    this.#target.push(stream);
  }

  override remove(stream: CoreStream): boolean {
    return this.#target.remove(stream);
  }

  /** What waits for its acceptor goes with its connection; the others stay. */
  override fail(): void {
    for (const stream of this.#own()) this.#target.remove(stream);
  }

  override end(): void {}
}

import type { Provider, Stream } from '../api.js';
import { StreamError } from '../core/errors.js';
import { ForwardingStream } from './forwarding-stream.js';

/** One connection of a span, and what it has done for it. */
export interface SpanMember {
  readonly provider: Provider;
  /** `draining`: it was taken out of the set, and its streams may finish. */
  readonly state: 'live' | 'draining' | 'gone';
  /** Open now. */
  readonly streams: number;
  readonly opened: number;
  readonly accepted: number;
  /** Refused as unprocessed, and then opened elsewhere. */
  readonly retried: number;
  /** Ended by an error, for good. */
  readonly failed: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/**
 * Ids are unique within a connection only: in a span the upper half of an id is the number of the member. The first
 * member's streams keep theirs.
 */
const idsPerMember = 2 ** 32;

export class Member implements SpanMember {
  readonly provider: Provider;
  readonly number: number;
  state: SpanMember['state'] = 'live';
  /** It takes no new streams any more: the peer, or its own `close()`, has said so. */
  isGoingAway = false;
  opened = 0;
  accepted = 0;
  retried = 0;
  failed = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  readonly #counted: Set<Stream> = new Set();
  readonly #renumbered: WeakMap<Stream, Stream> = new WeakMap();

  constructor(provider: Provider, number: number) {
    this.provider = provider;
    this.number = number;
  }

  get streams(): number {
    return this.provider.streams.size;
  }

  get bytesIn(): number {
    let sum = this.#bytesIn;
    for (const stream of this.#counted) sum += stream.stats.bytesIn;
    return sum;
  }

  get bytesOut(): number {
    let sum = this.#bytesOut;
    for (const stream of this.#counted) sum += stream.stats.bytesOut;
    return sum;
  }

  /** The id in the span of a stream of this member. */
  idOf(id: number): number {
    return this.number * idsPerMember + id;
  }

  /** A stream that the span did not open, under its id there: the peer did, or somebody else here. */
  renumbered(stream: Stream): Stream {
    if (this.number === 0) return stream;
    let shown = this.#renumbered.get(stream);
    if (shown === undefined) {
      shown = new RenumberedStream(stream, this.idOf(stream.id));
      this.#renumbered.set(stream, shown);
    }
    return shown;
  }

  /** Why it opened no stream. One that is full has room again later; one that is closing has not. */
  hasRefused(error: unknown): void {
    if (StreamError.is(error) && error.code === 'closed') this.isGoingAway = true;
  }

  /** Follows a stream to its end. */
  count(stream: Stream, isFailure: (error: unknown) => boolean = () => true): void {
    if (this.#counted.has(stream)) return;
    this.#counted.add(stream);
    const over = (): void => {
      this.#counted.delete(stream);
      const { bytesIn, bytesOut } = stream.stats;
      this.#bytesIn += bytesIn;
      this.#bytesOut += bytesOut;
    };
    stream.closed.then(over, (error: unknown) => {
      over();
      if (isFailure(error)) this.failed++;
    });
  }
}

class RenumberedStream extends ForwardingStream {
  readonly #id: number;

  constructor(inner: Stream, id: number) {
    super(inner);
    this.#id = id;
  }

  override get id(): number {
    return this.#id;
  }
}

import type { Provider, ResetCode, Stream } from '../../lib/api.js';
import type { Random } from '../support/random.js';
import { Direction } from './model-bytes.js';
import { StreamEnd } from './model-end.js';
import type { Plan } from './model-plan.js';
import type { Simulator } from './model-simulator.js';

/** 0 is the client, 1 the server. */
export type Side = 0 | 1;

export function otherSide(side: Side): Side {
  return side === 0 ? 1 : 0;
}

/** How long a closing end waits for another that has said nothing (lib/core/ending.ts). */
const strangerMs = 200;

/** What the program itself gives as a reason: whoever waits may get it back. */
export class Deliberate extends Error {}

/** One stream as both ends see it. */
export interface StreamPair {
  readonly id: number;
  readonly opener: Side;
  readonly headers: readonly (readonly [string, string])[];
  readonly ends: [StreamEnd | null, StreamEnd | null];
  /** By the side of the sender. */
  readonly directions: readonly [Direction, Direction];
  /** Resets that each side's application asked for, or whose source failed. */
  readonly resets: readonly [Set<ResetCode | 'any'>, Set<ResetCode | 'any'>];
  /** The reader of this direction has left. */
  readonly stopped: [boolean, boolean];
  /** The acceptor's application refused it. */
  rejected: boolean;
  /** Streams that get its bytes, or give it theirs: what befalls them befalls it. */
  readonly joined: Set<StreamPair>;
}

/** An error that the code under test gave to somebody, to be judged at the end of the run. */
export interface Complaint {
  readonly what: string;
  readonly error: unknown;
  readonly end: StreamEnd | null;
}

/** Two providers, and what the program has done with them so far. */
export class World {
  readonly sim: Simulator;
  readonly plan: Plan;
  readonly providers: readonly [Provider, Provider];
  readonly pairs: Map<number, StreamPair> = new Map();
  readonly ends: StreamEnd[] = [];
  readonly complaints: Complaint[] = [];
  /** Promises that have not settled. */
  readonly pending: Map<Promise<unknown>, string> = new Map();
  /** Holds to be released, and promises to be kept, when the program is over. */
  readonly owed: Set<() => void> = new Set();
  /** That side closes: no more streams. */
  readonly closing: [boolean, boolean] = [false, false];
  /** The connection as a whole was ended by force. */
  dead: 'abort' | 'cut' | 'silent' | null = null;
  /** The program is over: everybody is to come to an end. */
  isFinishing = false;
  /** Does something from inside a callback, now and then. */
  impulse: () => void = () => {};

  constructor(sim: Simulator, plan: Plan, providers: readonly [Provider, Provider]) {
    this.sim = sim;
    this.plan = plan;
    this.providers = providers;
  }

  get random(): Random {
    return this.sim.random;
  }

  opened(side: Side, stream: Stream, headers: readonly (readonly [string, string])[]): StreamEnd {
    const pair: StreamPair = {
      id: stream.id,
      opener: side,
      headers,
      ends: [null, null],
      directions: [new Direction(2 * stream.id), new Direction(2 * stream.id + 1)],
      resets: [new Set(), new Set()],
      stopped: [false, false],
      rejected: false,
      joined: new Set(),
    };
    if (stream.id !== 0) this.pairs.set(stream.id, pair);
    return this.#add(side, stream, pair);
  }

  /** A stream came out of `accept$`. */
  arrived(side: Side, stream: Stream): StreamEnd | null {
    const pair = this.pairs.get(stream.id);
    const problem = arrivalProblem(pair, side, stream);
    if (problem !== null || pair === undefined) {
      this.sim.fail(`stream ${stream.id}: ${problem}`);
      return null;
    }
    return this.#add(side, stream, pair);
  }

  /** Expects a promise to settle before the run is over; what it rejects with is judged then. */
  watch<T>(what: string, promise: Promise<T>, end: StreamEnd | null = null): Promise<T> {
    this.pending.set(promise, what);
    promise.then(
      () => this.pending.delete(promise),
      (error: unknown) => {
        this.pending.delete(promise);
        this.sim.say(`${what}: ${error}`);
        this.complaints.push({ what, error, end });
      },
    );
    return promise;
  }

  /** That side closes. If the other has not said a word yet, it is soon not waited for, and may see a cut. */
  closes(side: Side): void {
    this.closing[side] = true;
    const provider = this.providers[side] as Provider & { readonly isEstablished: boolean };
    if (provider.isEstablished) return;
    let isClosed = false;
    const closed = (): void => {
      isClosed = true;
    };
    provider.closed.then(closed, closed);
    this.sim.after(strangerMs - 1, () => {
      if (!isClosed) this.dead ??= 'cut';
    });
  }

  /** Calls `task` in a while, or when the program is over, whichever comes first. */
  later(task: () => void, mostMs: number): void {
    const run = (): void => {
      if (this.owed.delete(run)) task();
    };
    this.owed.add(run);
    this.sim.after(this.random.next() * mostMs, run);
  }

  #add(side: Side, stream: Stream, pair: StreamPair): StreamEnd {
    const end = new StreamEnd(this, side, stream, pair);
    pair.ends[side] = end;
    this.ends.push(end);
    this.sim.say(`${end.name} ${pair.opener === side ? 'opened' : 'arrived'} (${stream.state})`);
    return end;
  }
}

function arrivalProblem(pair: StreamPair | undefined, side: Side, stream: Stream): string | null {
  if (pair === undefined) return 'nobody has opened it';
  if (pair.opener === side) return 'it came back to its opener';
  if (pair.ends[side] !== null) return 'it was accepted twice';
  if (stream.origin !== 'remote') return 'it does not know that the peer opened it';
  if (JSON.stringify([...stream.headers]) !== JSON.stringify(pair.headers)) return 'its headers are others';
  return null;
}

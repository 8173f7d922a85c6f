import type { Provider, ProviderOperator, Stream, StreamHeaders } from '../api.js';
import { type Clock, longestTimerMs, systemClock } from '../core/clock.js';
import { StreamError } from '../core/errors.js';
import { checkLeast } from '../core/option.js';
import { FailedStream } from './failed-stream.js';
import { InterceptedProvider, turnAway } from './intercept.js';
import { LimitedStream, type Meter, type Wait, type Waiting } from './limited-stream.js';
import { checkRate, Pace } from './pace.js';
import { countWaits, isWaiting } from './waits.js';

/** What comes in and what goes out are counted apart. */
export interface ByteLimits {
  /** In all. A stream that exceeds its own is reset; a connection is aborted. Default: none. */
  bytes?: number;
  /** Bytes in a second, for which readers, sources and writers wait. Default: none. */
  rate?: number;
}

export interface LimitOptions {
  /** Streams that are open at once, whoever opened them. One more fails, or is refused, as retryable. */
  streams?: number;
  /** For each stream, each way. */
  perStream?: ByteLimits;
  /** For all streams of the connection together, each way. */
  perConnection?: ByteLimits;
  /** Resets a stream on which no byte has moved for so long, waits for a rate aside. Default, 0 and Infinity: never. */
  idleMs?: number;
  clock?: Clock;
}

/**
 * Caps on streams, bytes, rate and idle time for an application of one's own, beside the `limits` that a protocol has for
 * the peer's mistakes. What is not limited costs nothing.
 */
export function limit(options: LimitOptions): ProviderOperator {
  const { streams, idleMs, perStream, perConnection } = options;
  for (const [name, value] of Object.entries({ streams, idleMs })) checkLeast(name, value, 0);
  for (const limits of [perStream, perConnection]) {
    checkLeast('bytes', limits?.bytes, 0);
    checkRate(limits?.rate);
  }
  return (provider) => {
    const limiter = new Limiter(provider, options);
    const hooks = {
      newStream: (headers: StreamHeaders, next: (headers: StreamHeaders) => Stream) =>
        limiter.isFull ? limiter.refused(headers) : limiter.admitted(next(headers)),
      accept: (stream: Stream) => {
        if (!limiter.isFull) return limiter.admitted(stream);
        turnAway(stream);
        return null;
      },
    };
    return new InterceptedProvider(provider, hooks, limiter.replaces);
  };
}

/** What an idle stream had moved when it was last looked at, and since when nothing changed. */
interface Idle {
  moved: number;
  since: number;
}

/** No idle stream is noticed later than its time and this part of it. */
const ticksPerIdleTime = 8;

class Limiter implements Waiting {
  /** Streams are decorated, since their bytes count. */
  readonly replaces: boolean;
  readonly #provider: Provider;
  readonly #options: LimitOptions;
  readonly #clock: Clock;
  /** 0: streams may be idle. */
  readonly #idleMs: number;
  readonly #connection: { in: Meter | null; out: Meter | null };
  readonly #open: Map<Stream, Idle> = new Map();
  /** What waits for its time. */
  readonly #waits: Set<Wait> = new Set();
  #cancelTick: (() => void) | null = null;
  #isOver = false;

  constructor(provider: Provider, options: LimitOptions) {
    const { perConnection = {}, perStream = {} } = options;
    this.#provider = provider;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const { idleMs = 0 } = options;
    this.#idleMs = Number.isFinite(idleMs) ? idleMs : 0;
    this.replaces = [perConnection, perStream].some(
      ({ bytes, rate }) => bytes !== undefined || rate !== undefined,
    );
    const abort = (error: StreamError): void => this.#provider.abort(error);
    const meter = (direction: string): Meter | null =>
      meterOf(perConnection, this.#clock, () => `the connection: ${direction}`, abort);
    this.#connection = { in: meter('received'), out: meter('sent') };
    const over = (): void => this.#finish();
    provider.closed.then(over, over);
  }

  get isFull(): boolean {
    const { streams = Number.POSITIVE_INFINITY } = this.#options;
    if (this.#open.size < streams) return false;
    // Of one that has just ended its promise speaks a little later.
    let open = 0;
    for (const { state } of this.#open.keys()) if (state !== 'closed' && state !== 'reset') open++;
    return open >= streams;
  }

  refused(headers: StreamHeaders): Stream {
    const message = `no more than ${this.#options.streams} streams may be open at once`;
    const { protocol } = this.#provider.info;
    const error = new StreamError('limit', message, { retryable: true, reset: 'refused' });
    return new FailedStream(error, headers, `${protocol}#0`, this.#clock.now());
  }

  /** Counts a stream, and gives what its user gets. */
  admitted(stream: Stream): Stream {
    const { streams } = this.#options;
    if (streams !== undefined || this.#idleMs > 0) this.#watch(stream);
    if (!this.replaces) return stream;
    const meters = { in: this.#meter(stream, 'in'), out: this.#meter(stream, 'out') };
    return new LimitedStream(stream, meters, this);
  }

  wait(stream: Stream, ms: number, task: () => void): Wait | null {
    if (this.#isOver) {
      task();
      return null;
    }
    const end = (): void => {
      cancel();
      if (!this.#waits.delete(wait)) return;
      countWaits(stream, -1);
      task();
    };
    const cancel = this.#clock.after(Math.min(longestTimerMs, ms), end);
    const wait = { end };
    this.#waits.add(wait);
    countWaits(stream, 1);
    return wait;
  }

  #meter(stream: Stream, direction: 'in' | 'out'): Meter {
    const verb = direction === 'in' ? 'received' : 'sent';
    const reset = (error: StreamError): void => stream.reset('overflow', error);
    const { perStream = {} } = this.#options;
    const own = meterOf(perStream, this.#clock, () => `stream ${stream.id}: ${verb}`, reset);
    const shared = this.#connection[direction];
    if (own === null || shared === null)
      return own ?? shared ?? { charge: () => 0, credit: () => {}, failure: null };
    return {
      get failure() {
        return own.failure ?? shared.failure;
      },
      charge: (bytes) => {
        const ms = own.charge(bytes);
        if (ms < 0) return ms;
        const sharedMs = shared.charge(bytes);
        return sharedMs < 0 ? sharedMs : Math.max(ms, sharedMs);
      },
      credit: (bytes) => shared.credit(bytes),
    };
  }

  #watch(stream: Stream): void {
    this.#open.set(stream, { moved: -1, since: this.#clock.now() });
    const over = (): void => {
      this.#open.delete(stream);
      if (this.#open.size > 0) return;
      this.#cancelTick?.();
      this.#cancelTick = null;
    };
    stream.closed.then(over, over);
    if (this.#cancelTick === null) this.#scheduleTick();
  }

  #scheduleTick(): void {
    const idleMs = this.#idleMs;
    if (idleMs === 0 || this.#isOver) return;
    const ms = Math.min(longestTimerMs, Math.max(1, idleMs / ticksPerIdleTime));
    this.#cancelTick = this.#clock.after(ms, () => {
      this.#cancelTick = null;
      this.#resetIdle(idleMs);
      if (this.#open.size > 0) this.#scheduleTick();
    });
  }

  #resetIdle(idleMs: number): void {
    const now = this.#clock.now();
    for (const [stream, idle] of [...this.#open]) {
      const { bytesIn, bytesOut } = stream.stats;
      const moved = bytesIn + bytesOut;
      if (moved !== idle.moved || isWaiting(stream)) Object.assign(idle, { moved, since: now });
      else if (now - idle.since >= idleMs) {
        const message = `stream ${stream.id}: no byte has moved for ${idleMs} ms`;
        stream.reset('cancel', new StreamError('timeout', message, { streamId: stream.id }));
      }
    }
  }

  #finish(): void {
    this.#isOver = true;
    this.#cancelTick?.();
    for (const wait of [...this.#waits]) wait.end();
  }
}

/** Null where nothing is limited. `exceeded` is called once. */
function meterOf(
  { bytes: most = Number.POSITIVE_INFINITY, rate }: ByteLimits,
  clock: Clock,
  what: () => string,
  exceeded: (error: StreamError) => void,
): Meter | null {
  if (most === Number.POSITIVE_INFINITY && rate === undefined) return null;
  const pace = rate === undefined ? null : new Pace(rate, clock.now());
  let total = 0;
  let failure: StreamError | null = null;
  return {
    get failure() {
      return failure;
    },
    charge: (bytes) => {
      if (failure !== null) return -1;
      total += bytes;
      if (total <= most) return pace === null ? 0 : pace.take(bytes, clock.now());
      failure = new StreamError('limit', `${what()} more than ${most} bytes`);
      exceeded(failure);
      return -1;
    },
    credit: (bytes) => {
      total -= bytes;
      pace?.giveBack(bytes);
    },
  };
}

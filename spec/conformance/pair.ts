/** The fixture of every case: a connected pair of providers, seen as an opener and an acceptor. */
import type { HeadersInit, Limits, Provider, ProviderFeatures, Stream } from 'rxmux';
import { fate, pause, until, within } from './wait.js';

/** Two providers on one connection. */
export interface Pair {
  readonly client: Provider;
  readonly server: Provider;
  /** Called after the providers have been closed: for a listener or a proxy of your own. */
  close?(): Promise<void> | void;
  /** Kills the transport under both, without any goodbye. Where it is absent, `abort()` stands in for it. */
  cut?(): void;
  /** As `cut()`, for a reason that the transport tells both ends, as it would ECONNRESET. Its case needs this. */
  fail?(error: Error): void;
}

/** What a case asks of its pair. A provider that ignores the limits fails those cases that need small ones. */
export interface OpenOptions {
  readonly limits?: { readonly client?: Partial<Limits>; readonly server?: Partial<Limits> };
}

/** Gives a fresh, connected pair. */
export type Open = (options?: OpenOptions) => Promise<Pair>;

/** What the kit cannot learn from `provider.info.features`. */
export interface ConformanceOptions {
  /** The wire lets data travel before the acceptor has answered. Default true. */
  readonly earlyData?: boolean;
  /** Without flow control, what the transport itself may hold. Default 1 MiB. */
  readonly transportBytes?: number;
  /** Trailers of the opener arrive, where there are trailers. False: they are dropped, and the end comes. Default true. */
  readonly openerTrailers?: boolean;
  /** The more urgent of streams that wait together goes first. False: in any order. Default true. */
  readonly urgency?: boolean;
}

/** What a case is given. */
export interface Ends {
  readonly opener: Provider;
  readonly acceptor: Provider;
  readonly features: ProviderFeatures;
  readonly earlyData: boolean;
  readonly openerTrailers: boolean;
  readonly urgency: boolean;
  /** What a sender may be ahead of its peer's reader, given the peer's window. */
  ahead(windowBytes: number): number;
  cut(): void;
  /** Undefined where the pair has none. */
  readonly fail: ((error: Error) => void) | undefined;
}

/** What a case needs to be set up. */
export interface Setup {
  readonly opener?: Partial<Limits>;
  readonly acceptor?: Partial<Limits>;
  /** False: do not wait for the first exchange, in which the sides tell each other their windows. */
  readonly settle?: boolean;
}

export type Body = (ends: Ends) => Promise<void>;

/** Registers one case. */
export interface Check {
  (title: string, body: Body): void;
  (title: string, setup: Setup, body: Body): void;
}

/** A window so small that a few writes shut it, and that does not grow. */
export const smallWindow = 16_384;
export const small: Partial<Limits> = { windowBytes: smallWindow, maxWindowBytes: smallWindow };

/** Without flow control reading pauses here: LIMITS' `receiveBudgetBytes`. */
const receiveBudget = 1 << 20;

/** The `check` of one direction of opening; `register` says what to do with a case, if that is not `test`. */
export function checker(
  open: Open,
  opens: 'client' | 'server',
  options: ConformanceOptions,
  register: (title: string) => (title: string, run: () => Promise<void>) => void = () => test,
): Check {
  return (title: string, ...rest: [Body] | [Setup, Body]) => {
    const setup: Setup = rest.length === 1 ? {} : rest[0];
    const body = rest.length === 1 ? rest[0] : rest[1];
    register(title)(title, () => withPair(open, opens, options, setup, body));
  };
}

async function withPair(
  open: Open,
  opens: 'client' | 'server',
  { earlyData = true, transportBytes = 1 << 20, openerTrailers = true, urgency = true }: ConformanceOptions,
  setup: Setup,
  body: Body,
): Promise<void> {
  const { opener: openerLimits = {}, acceptor: acceptorLimits = {} } = setup;
  const pair = await open({
    limits:
      opens === 'client'
        ? { client: openerLimits, server: acceptorLimits }
        : { client: acceptorLimits, server: openerLimits },
  });
  const { client, server } = pair;
  const [opener, acceptor] = opens === 'client' ? [client, server] : [server, client];
  const { features } = opener.info;
  const ends: Ends = {
    opener,
    acceptor,
    features,
    earlyData,
    openerTrailers,
    urgency,
    ahead: (windowBytes) => (features.flowControl ? windowBytes : receiveBudget + transportBytes),
    cut: () => (pair.cut === undefined ? opener.abort(new Error('cut')) : pair.cut()),
    fail: pair.fail?.bind(pair),
  };
  let failed = true;
  try {
    if (setup.settle !== false && features.ping)
      await within(Promise.all([client.ping(), server.ping()]), 4000, () => 'ping');
    await within(
      body(ends),
      4500,
      () => `the case; opener: ${describeStreams(opener)}; acceptor: ${describeStreams(acceptor)}`,
    );
    failed = false;
  } finally {
    await finish(pair, failed);
  }
}

/** Gracefully if nothing is open, else at once. A case that has failed already is not failed again. */
async function finish(pair: Pair, failed: boolean): Promise<void> {
  const both = [pair.client, pair.server];
  try {
    if (both.every((provider) => provider.streams.size === 0)) {
      const closing = both.map((provider) => fate(provider.close()));
      await until(() => closing.every(({ state }) => state !== 'pending'), 'close() of an idle pair', 1000);
    }
    for (const provider of both) provider.abort(new Error('the case is over'));
    const closed = both.map((provider) => fate(provider.closed));
    await until(() => closed.every(({ state }) => state !== 'pending'), 'closed settles after abort()', 1000);
    await until(
      () => both.every((provider) => provider.streams.size === 0),
      'no stream is left in a table after abort()',
      1000,
    );
  } catch (error) {
    if (!failed) throw error;
  } finally {
    await pair.close?.();
    await pause(0);
  }
}

/** For the message of a case that hangs. */
function describeStreams(provider: Provider): string {
  const streams = [...provider.streams.values()].map(({ label, state }) => `${label} ${state}`);
  return streams.join(', ') || 'no streams';
}

/** The next stream that the peer opened. */
export async function next(provider: Provider): Promise<Stream> {
  const stream = await provider.accept();
  if (stream === null) throw new Error('the provider was closed where a stream was expected');
  return stream;
}

/** A stream that is open at both ends: `a` at the opener, `b` at the acceptor. */
export async function link(
  { opener, acceptor }: Pick<Ends, 'opener' | 'acceptor'>,
  headers?: HeadersInit,
): Promise<{ a: Stream; b: Stream }> {
  const a = opener.newStream(headers);
  const b = await next(acceptor);
  b.accept();
  await a.reply;
  return { a, b };
}

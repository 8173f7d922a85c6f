/** Every wrapper in a form that goes through all of its code, and leaves to a connection all that the kit asks of it. */
import {
  debug,
  ForwardingStream,
  handle,
  intercept,
  limit,
  type Protocol,
  type Provider,
  type ProviderOperator,
  span,
  tapProvider,
  trace,
} from 'rxmux';
import type { ConformanceOptions, Open } from 'rxmux/conformance';
import { conformance } from 'rxmux/conformance';
import { framer } from 'rxmux/framer';
import { http2 } from 'rxmux/http2';
import { trackPair } from '../support/leaks.js';
import { pairsOver } from '../support/pairs.js';

const ignore = (): void => {};

type Name = 'intercept' | 'intercept later' | 'tapProvider' | 'debug' | 'handle' | 'limit' | 'trace' | 'span';

const wrappers: Record<Name, ProviderOperator> = {
  intercept: intercept({
    newStream: (headers, next) => new ForwardingStream(next(headers)),
    accept: (stream) => new ForwardingStream(stream),
  }),
  'intercept later': intercept({ accept: async (stream) => new ForwardingStream(stream) }),
  tapProvider: tapProvider(ignore),
  debug: debug({ frames: true, log: ignore }),
  // An answer of its own would be in the way of the cases that answer: those have their own spec.
  handle: handle(async () => undefined),
  limit: limit({
    streams: 10_000,
    perStream: { bytes: 1e12, rate: 1e10 },
    perConnection: { bytes: 1e12, rate: 1e10 },
    idleMs: 60_000,
  }),
  trace: trace(ignore, { frames: true, statsMs: 5 }),
  span: (provider: Provider) => span([provider]),
};

/** A further protocol is one line here; `options` are what its own matrix gives the kit. */
const protocols: Record<string, { protocol: Protocol; options?: ConformanceOptions }> = {
  framer: { protocol: framer },
  http2: { protocol: http2, options: { openerTrailers: false } },
};

/**
 * `RXMUX_PAIRS`: the protocols on which each wrapper is put around every wrapper, as in `framer,http2`. It takes minutes
 * for each; elsewhere a wrapper is put around the next one of the list only.
 */
const everyPairOn = (process.env.RXMUX_PAIRS ?? '').split(',');

/** The kit on this wrapper alone, and on it around others, itself included: all files together are every pair. */
export function stackedOn(outer: Name): void {
  const last = wrappers[outer];
  const names = Object.keys(wrappers) as Name[];
  const next = names[(names.indexOf(outer) + 1) % names.length] as Name;
  for (const [name, { protocol, options }] of Object.entries(protocols)) {
    const { memory } = pairsOver(protocol);
    conformance(`${outer} on ${name}`, wrapped(memory, [last]), options);
    for (const inner of everyPairOn.includes(name) ? names : [next]) {
      conformance(`${outer} on ${inner} on ${name}`, wrapped(memory, [wrappers[inner], last]), options);
    }
  }
}

/** The same pairs of providers, wrapped at both ends. */
function wrapped(open: Open, operators: readonly ProviderOperator[]): Open {
  return async (options) => {
    const pair = await open(options);
    const [client, server] = trackPair([pair.client.pipe(...operators), pair.server.pipe(...operators)]);
    return { ...pair, client, server };
  };
}

import type { Provider } from '../../lib/api.js';

type HasStreams = Pick<Provider, 'streams'>;

/** Put on the global object by the Jest environment (environment.mjs), which reads it after each test. */
interface TrackList {
  readonly inTest: boolean;
  readonly providers: { provider: HasStreams; name: string; stack: string; inTest: boolean }[];
}

const key = Symbol.for('rxmux.spec.tracked');

/**
 * Has the Jest environment check that this provider's stream table is empty when the test is over (within a second).
 * A provider tracked in a `beforeAll` is checked after every test of the file. Returns the provider.
 */
export function trackProvider<P extends HasStreams>(provider: P, name: string = 'a provider'): P {
  const list = (globalThis as unknown as Record<symbol, TrackList | undefined>)[key];
  const stack = (new Error().stack ?? '').split('\n').slice(2).join('\n');
  list?.providers.push({ provider, name, stack, inTest: list.inTest });
  return provider;
}

/** `trackProvider` for the two ends of a connection. */
export function trackPair<P extends readonly [HasStreams, HasStreams]>(pair: P): P {
  trackProvider(pair[0], 'the first provider');
  trackProvider(pair[1], 'the second provider');
  return pair;
}

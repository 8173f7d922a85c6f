/** What specs of wrappers begin with: two providers on one connection in this process. */
import { type Limits, memoryPair, type Protocol, type Provider, type Stream } from 'rxmux';
import { framer } from 'rxmux/framer';
import { trackProvider } from '../support/leaks.js';

export interface Two {
  readonly client: Provider;
  readonly server: Provider;
  /** Kills the transport under both. */
  cut(): void;
}

export function two(limits: Partial<Limits> = {}, protocol: Protocol = framer): Two {
  const [near, far] = memoryPair();
  const client = trackProvider(protocol(near, { role: 'client', limits }));
  const server = trackProvider(protocol(far, { role: 'server', limits }));
  return {
    client,
    server,
    cut: () => {
      near.destroy(new Error('the connection is lost'));
      far.destroy(new Error('the connection is lost'));
    },
  };
}

/** The next stream that the peer opened. */
export async function next(provider: Provider): Promise<Stream> {
  const stream = await provider.accept();
  if (stream === null) throw new Error('the provider is closed');
  return stream;
}

export async function textOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
  return text;
}

/** Sends back what comes, on every stream. */
export function echo(provider: Provider): void {
  provider.accept$.subscribe({ next: (stream) => void stream.send(stream.data$), error: () => {} });
}

/** Ends both, and waits until they are closed. */
export async function finish(...providers: readonly Provider[]): Promise<void> {
  for (const provider of providers) provider.abort(new Error('the test is over'));
  await Promise.allSettled(providers.map(({ closed }) => closed));
}

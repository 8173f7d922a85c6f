/** Streams that wait for the peer to let them be opened wait in their order, whatever is to be sent on them. */
import { memoryPair, type Protocol, type Provider, type Stream } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { spdy } from 'rxmux/spdy';
import { trackPair } from '../support/leaks.js';

const open: Provider[] = [];
afterEach(() => {
  for (const provider of open.splice(0)) provider.abort();
});

const MiB = 1024 * 1024;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function* pieces(bytes: number): Generator<Uint8Array> {
  for (let left = bytes; left > 0; left -= 64 * 1024) yield new Uint8Array(64 * 1024);
}

describe.each<[string, Protocol]>([
  ['http2', http2],
  ['spdy', spdy],
])('over %s', (_name, protocol) => {
  it.each(['client', 'server'] as const)('those of the %s, while others get credit', async (role) => {
    const [near, far] = memoryPair();
    const limits = { maxStreams: 2 };
    const ends = {
      client: protocol(near, { role: 'client', limits }),
      server: protocol(far, { role: 'server', limits }),
    };
    trackPair([ends.client, ends.server]);
    open.push(ends.client, ends.server);
    const opener = ends[role];
    const acceptor = ends[role === 'client' ? 'server' : 'client'];
    const accepted: Stream[] = [];
    let most = 0;
    acceptor.accept$.subscribe({
      next: (stream) => {
        accepted.push(stream);
        most = Math.max(most, acceptor.streams.size);
        // Read to its end, so that the connection gets credit again and again.
        stream.data$.subscribe({ complete: () => void stream.end(), error: () => {} });
      },
      error: () => {},
    });
    await opener.ping();
    const streams = Array.from({ length: 8 }, () => opener.newStream());
    const sent = streams.map((stream) => stream.send(pieces(MiB)));
    await Promise.all(sent);
    await Promise.all(streams.map(({ closed }) => closed));
    for (let count = 0; count < 4; count++) await turn();
    const ids = accepted.map(({ id }) => id);
    expect(ids).toEqual(streams.map(({ id }) => id));
    expect(most).toBeLessThanOrEqual(2);
  });
});

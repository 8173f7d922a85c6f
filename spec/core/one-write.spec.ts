import { from } from 'rxjs';
import type { Protocol, Provider, Stream, Transport } from 'rxmux';
import { memoryPair } from 'rxmux';
import { framer } from 'rxmux/framer';
import { http2 } from 'rxmux/http2';
import { spdy } from 'rxmux/spdy';
import { collect } from '../conformance/bytes.js';
import { trackPair } from '../support/leaks.js';

/** Counts the writes of a transport. */
function counted(transport: Transport): { transport: Transport; writes: () => number } {
  let writes = 0;
  const { write } = transport;
  transport.write = (pieces) => {
    writes++;
    return write.call(transport, pieces);
  };
  return { transport, writes: () => writes };
}

async function pair(
  protocol: Protocol,
): Promise<{ client: Provider; server: Provider; writes: () => number }> {
  const [near, far] = memoryPair();
  const { transport, writes } = counted(far);
  const client = protocol(near, { role: 'client' });
  const server = protocol(transport, { role: 'server' });
  trackPair([client, server]);
  await client.ping();
  return { client, server, writes };
}

/** A stream with `sent` on it and its end, answered by `answer`: what the answer was, and how many writes it took. */
async function answered(
  protocol: Protocol,
  sent: Uint8Array,
  answer: (stream: Stream) => void,
): Promise<[Uint8Array, number]> {
  const { client, server, writes } = await pair(protocol);
  server.accept$.subscribe(answer);
  const before = writes();
  const stream = client.newStream();
  void stream.write(sent);
  void stream.end();
  const got = await collect(stream);
  const count = writes() - before;
  await client.close();
  return [got, count];
}

describe.each([
  ['framer', framer],
  ['spdy', spdy],
  ['http2', http2],
])('what answers a stream at once goes out in one write, over %s', (_name, protocol) => {
  const word = new Uint8Array(1000).fill(7);

  it.each<[string, (stream: Stream) => unknown]>([
    ['an echo', (stream) => stream.send(stream.data$)],
    ['bytes', (stream) => stream.send(word)],
    ['an iterable', (stream) => stream.send([word.subarray(1), word.subarray(0, 1)])],
    ['an observable', (stream) => stream.send(from([word.subarray(1), word.subarray(0, 1)]))],
  ])('sent as %s: acceptance, data and end', async (_what, answer) => {
    const [got, writes] = await answered(protocol, word, (stream) => void answer(stream));
    expect(got).toEqual(word);
    expect(writes).toBe(1);
  });
});

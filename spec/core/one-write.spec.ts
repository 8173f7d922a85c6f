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

async function echoByLoop(stream: Stream): Promise<void> {
  for await (const chunk of stream) await stream.write(chunk);
  await stream.end();
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
    ['what a loop reads, word by word', echoByLoop],
    ['what a loop of the platform reads', (stream) => stream.readable.pipeTo(stream.writable)],
  ])('sent as %s: acceptance, data and end', async (_what, answer) => {
    const [got, writes] = await answered(protocol, word, (stream) => void answer(stream));
    expect(got).toEqual(word);
    expect(writes).toBe(1);
  });
});

describe('a turn that goes on from promise to promise', () => {
  it('keeps nothing that was written before a reset', async () => {
    const { client, server } = await pair(framer);
    const arrived = server.accept();
    const stream = client.newStream();
    await stream.write('x');
    stream.reset('cancel');
    const far = (await arrived) as Stream;
    await expect(far.closed).rejects.toMatchObject({ code: 'reset', reset: 'cancel', remote: true });
    await client.close();
  });

  it('shows a reader what was written before the reset', async () => {
    const { client, server, writes } = await pair(framer);
    const arrived = client.accept();
    const stream = server.newStream();
    await stream.write('begun');
    const far = (await arrived) as Stream;
    const seen: string[] = [];
    far.data$.subscribe({
      next: (bytes) => seen.push(new TextDecoder().decode(bytes)),
      error: ({ code }) => seen.push(code),
    });
    await client.ping();
    const before = writes();
    await stream.write('half of i');
    stream.reset('internal-error');
    await expect(far.closed).rejects.toMatchObject({ code: 'reset' });
    expect(seen).toEqual(['begun', 'half of i', 'reset']);
    expect(writes() - before).toBe(2);
    await client.close();
  });

  it('keeps nothing that was written before the connection is aborted', async () => {
    const { client, server } = await pair(framer);
    const arrived = server.accept();
    const stream = client.newStream();
    await stream.write('x');
    client.abort();
    const far = (await arrived) as Stream;
    await expect(far.closed).rejects.toMatchObject({ code: 'closed' });
    await expect(client.closed).rejects.toThrow('aborted by us');
    await expect(server.closed).rejects.toThrow();
  });

  it('sends what it has after a few of them, and after a batch', async () => {
    const { client, server, writes } = await pair(framer);
    const arrived = client.accept();
    const stream = server.newStream();
    await stream.write('x');
    // A loop that leaves no room for anything but promises.
    const before = writes();
    for (const begin = performance.now(); performance.now() - begin < 20; ) await stream.write('y');
    const soon = writes() - before;
    expect(soon).toBeGreaterThan(2);
    const far = (await arrived) as Stream;
    expect((await far.read())?.byteLength).toBeGreaterThan(0);
    const chunk = new Uint8Array(16 * 1024);
    const start = writes();
    for (let count = 0; count < 12; count++) await stream.write(chunk);
    expect(writes() - start).toBeGreaterThan(0);
    stream.reset();
    await client.close();
  });
});

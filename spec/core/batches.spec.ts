/** What an application does in one turn goes out in one write, however many promises are in between. */
import { memoryPair, type Provider, type Stream, type Transport } from 'rxmux';
import { framer } from 'rxmux/framer';

/** Counts the writes of a transport. */
function counting(transport: Transport): { transport: Transport; writes: number } {
  const counted = { transport, writes: 0 };
  counted.transport = Object.create(transport, {
    start: { value: (handlers: Parameters<Transport['start']>[0]) => transport.start(handlers) },
    write: {
      value: (chunks: readonly Uint8Array[]) => {
        counted.writes++;
        return transport.write(chunks);
      },
    },
    pause: { value: () => transport.pause() },
    resume: { value: () => transport.resume() },
    end: { value: () => transport.end() },
    destroy: { value: (error?: unknown) => transport.destroy(error) },
  });
  return counted;
}

let client: Provider;
let server: Provider;
let ours: ReturnType<typeof counting>;
let theirs: ReturnType<typeof counting>;

beforeEach(async () => {
  const [a, b] = memoryPair();
  ours = counting(a);
  theirs = counting(b);
  client = framer(ours.transport);
  server = framer(theirs.transport, { role: 'server' });
  await Promise.all([client.ping(), server.ping()]);
  ours.writes = 0;
  theirs.writes = 0;
});

afterEach(() => Promise.all([client.close(), server.close()]));

const answers: Readonly<Record<string, (stream: Stream) => Promise<unknown>>> = {
  'send(data$)': (stream) => stream.send(stream.data$),
  'send(stream)': (stream) => stream.send(stream),
  'for await': async (stream) => {
    for await (const chunk of stream) await stream.write(chunk);
    await stream.end();
  },
};

it.each(Object.entries(answers))('an answer by %s is one write', async (_way, answer) => {
  server.accept$.subscribe((stream) => void answer(stream));
  const stream = client.newStream();
  await stream.write('question');
  await stream.end();
  let back = 0;
  for await (const chunk of stream) back += chunk.byteLength;
  await stream.closed;
  expect([back, ours.writes, theirs.writes]).toEqual([8, 1, 1]);
});

it('many small writes, each awaited, are few of the transport', async () => {
  server.accept$.subscribe((stream) => stream.data$.subscribe({ complete: () => void stream.end() }));
  const stream = client.newStream();
  for (let count = 0; count < 1000; count++) await stream.write(new Uint8Array(50));
  await stream.end();
  expect(await stream.read()).toBeNull();
  expect(ours.writes).toBeLessThanOrEqual(2);
  await stream.closed;
});

/** An acceptor, or an opener, that reads no more while the other still has something to say, on every protocol. */
import { framer, join, memoryPair, type Protocol, type Provider, type Stream } from 'rxmux';
import { toDuplex } from 'rxmux/node';
import { trackPair } from '../support/leaks.js';
import { protocols } from '../support/protocols.js';

const open: Provider[] = [];
afterEach(() => {
  for (const provider of open.splice(0)) provider.abort();
});

function pair(protocol: Protocol): [Provider, Provider] {
  const [near, far] = memoryPair();
  const ends: [Provider, Provider] = [protocol(near, { role: 'client' }), protocol(far, { role: 'server' })];
  trackPair(ends);
  open.push(...ends);
  return ends;
}

const ignore = (): void => {};
const answerBytes = 100_000;

/** Wants no more of the request, and answers. */
function answerEarly(stream: Stream): void {
  stream.accept();
  stream.stop();
  stream.send(new Uint8Array(answerBytes)).catch(ignore);
}

/** Not faster than the answer's end, or than the reset behind it, arrives. */
async function readSlowly(stream: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.byteLength;
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
  return bytes;
}

describe.each(Object.entries(protocols))('over %s', (_name, make) => {
  it('the whole of an early answer comes through join(), to whom is still writing', async () => {
    const [outside, proxyIn] = pair(framer);
    const [proxyOut, backend] = pair(make());
    backend.accept$.subscribe({ next: answerEarly, error: ignore });
    const joined = proxyIn.accept().then((a) => {
      const b = proxyOut.newStream((a as Stream).headers);
      (a as Stream).accept(b.reply);
      return join(a as Stream, b);
    });
    const stream = outside.newStream();
    const writing = stream.write('begun').catch(ignore);
    expect(await readSlowly(stream)).toBe(answerBytes);
    await writing;
    stream.end().catch(ignore);
    await joined;
  });

  it('the whole of an early answer comes through toDuplex(), to whom is still writing', async () => {
    const [client, server] = pair(make());
    server.accept$.subscribe({ next: answerEarly, error: ignore });
    const duplex = toDuplex(client.newStream());
    duplex.on('error', ignore);
    duplex.write('begun');
    expect(await readSlowly(duplex)).toBe(answerBytes);
  });

  it('hundreds of streams that are left early cost nobody the connection', async () => {
    const [client, server] = pair(make());
    server.accept$.subscribe({
      next: (stream) => {
        stream.write('first').catch(ignore);
        setImmediate(() => stream.send('last').catch(ignore));
      },
      error: ignore,
    });
    for (let count = 0; count < 300; count++) {
      await using stream = client.newStream();
      await stream.send('question');
      expect(await stream.read()).not.toBeNull();
    }
    await client.ping();
    expect(client.streams.size).toBe(0);
  });
});

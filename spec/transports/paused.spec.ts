import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';
import { connect, framer, fromDuplex } from 'rxmux/node';
import { selfSigned } from '../../demos/transfer/tls.js';
import { trackProvider } from '../support/leaks.js';
import { listenTo } from '../support/listen-to.js';

type Take = (socket: Socket) => Promise<{ head?: Uint8Array }>;

/** What owners of sockets do while they look up whose it is; gives the head, if they have read any. */
const owners: Record<string, Take> = {
  'with nothing read yet': async (socket) => {
    socket.pause();
    return {};
  },
  'until it had bytes': async (socket) => {
    socket.pause();
    while (socket.readableLength === 0) {
      socket.read(0);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return {};
  },
  'after its first bytes': async (socket) => {
    const [head] = (await once(socket, 'data')) as [Uint8Array];
    socket.pause();
    return { head };
  },
};

const identity = selfSigned('localhost');

describe.each(['tcp', 'tls'] as const)('a socket of %s that its owner has paused', (kind) => {
  test.each(
    Object.keys(owners).flatMap((how) =>
      [true, false].map((pauseOnConnect) => [how, pauseOnConnect] as const),
    ),
  )('%s is taken, with all its bytes; pauseOnConnect: %s', async (how, pauseOnConnect) => {
    const owner = owners[how] as Take;
    const settings = { ...identity, pauseOnConnect };
    const server: Server = kind === 'tcp' ? createServer(settings) : createTlsServer(settings);
    server.on(kind === 'tcp' ? 'connection' : 'secureConnection', async (socket: Socket) => {
      const options = await owner(
        pauseOnConnect && how === 'after its first bytes' ? socket.resume() : socket,
      );
      const provider = trackProvider(framer(fromDuplex(socket, options), { role: 'server' }));
      provider.accept$.subscribe({ next: (stream) => void stream.send(stream.data$), error: () => {} });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = trackProvider(
      await connect(`${kind}://127.0.0.1:${port}`, framer, {
        tls: { ca: identity.cert, servername: 'localhost' },
      }),
    );
    const stream = client.newStream();
    void stream.send(new Uint8Array(100_000));
    let bytes = 0;
    for await (const chunk of stream) bytes += chunk.byteLength;
    expect(bytes).toBe(100_000);
    await client.close();
    server.close();
    await once(server, 'close');
  });
});

test.each([
  ['with a head', Uint8Array.of(1, 2, 3), [[1, 2, 3], 'end']],
  ['without one', undefined, ['end']],
])(
  'a Duplex whose end was read before it is taken ends, and is written to; %s',
  async (_what, head, expected) => {
    const written: Uint8Array[] = [];
    const duplex = new Duplex({
      read() {
        this.push(null);
      },
      write: (chunk, _encoding, done) => done(void written.push(chunk)),
    });
    duplex.resume();
    await once(duplex, 'end');
    const transport = fromDuplex(duplex, head === undefined ? {} : { head });
    const told = listenTo(transport);
    transport.pause();
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toEqual([]);
    transport.resume();
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toEqual(expected);
    expect(transport.write([Uint8Array.of(4)])).toBe(true);
    expect(written.map((chunk) => [...chunk])).toEqual([[4]]);
    transport.end();
    await once(duplex, 'close');
    expect(told).toEqual([...expected, 'close']);
  },
);

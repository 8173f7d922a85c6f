import { once } from 'node:events';
import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net';
import { Duplex, type DuplexOptions } from 'node:stream';
import { connect, framer, fromDuplex, listen } from 'rxmux/node';
import { selfSigned } from '../../demos/transfer/tls.js';
import { trackProvider } from '../support/leaks.js';
import { listenTo } from '../support/listen-to.js';

const first = new Error('the first thing that went wrong');

function plainDuplex(options: DuplexOptions): Duplex {
  return new Duplex({ ...options, read() {}, write: (_chunk, _encoding, done) => done() });
}

async function turns(count = 3): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe('a Duplex that tells of an error', () => {
  const kinds: Record<string, DuplexOptions> = {
    'and is destroyed': {},
    'and stays': { autoDestroy: false },
    'and is destroyed without a word': { emitClose: false },
    'and stays, without a word at its end': { autoDestroy: false, emitClose: false },
  };

  describe.each(Object.entries(kinds))('%s', (_kind, options) => {
    it('is closed with the first one, once, and gone', async () => {
      const duplex = plainDuplex(options);
      const told = listenTo(fromDuplex(duplex));
      duplex.push(Uint8Array.of(1, 2));
      await turns();
      duplex.emit('error', first);
      duplex.emit('error', new Error('what follows from it'));
      if (options.autoDestroy !== false) duplex.destroy();
      await turns();
      expect(told).toEqual([[1, 2], first]);
      expect(duplex.destroyed).toBe(true);
    });

    it('is closed if that was before it was taken over', async () => {
      const duplex = plainDuplex(options);
      const transport = fromDuplex(duplex);
      duplex.destroy(first);
      await turns();
      const told = listenTo(transport);
      await turns();
      expect(told).toEqual([first]);
    });
  });

  it('and stays gives what it had before while it was paused', async () => {
    const duplex = plainDuplex({ autoDestroy: false });
    const transport = fromDuplex(duplex);
    const told = listenTo(transport);
    await turns();
    transport.pause();
    duplex.push(Uint8Array.of(1));
    duplex.push(Uint8Array.of(2));
    duplex.emit('error', first);
    await turns();
    expect(told).toEqual([]);
    transport.resume();
    await turns();
    expect(told.flat()).toEqual([1, 2, first]);
    expect(duplex.destroyed).toBe(true);
  });
});

test('a record of TLS that was damaged on its way ends the connection at once, at both ends', async () => {
  const identity = selfSigned('localhost');
  const server = await listen('tls://127.0.0.1:0', framer, { tls: identity });
  const lost: Promise<unknown>[] = [];
  server.accept$.subscribe((provider) => {
    lost.push(trackProvider(provider).closed.catch((error: unknown) => error));
    provider.accept$.subscribe({ next: (stream) => stream.accept(), error: () => {} });
  });
  const sockets: Socket[] = [];
  let isDamaging = false;
  const between = createServer((near) => {
    const far = dial(Number(server.address.split(':').pop()), '127.0.0.1');
    sockets.push(near, far);
    far.pipe(near);
    near.on('data', (bytes) => {
      if (isDamaging) bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
      far.write(bytes);
    });
    near.on('close', () => far.destroy()).on('error', () => {});
    far.on('close', () => near.destroy()).on('error', () => {});
  });
  between.listen(0, '127.0.0.1');
  await once(between, 'listening');
  const { port } = between.address() as AddressInfo;
  const client = trackProvider(
    await connect(`tls://127.0.0.1:${port}`, framer, { tls: { ca: identity.cert, servername: 'localhost' } }),
  );
  lost.push(client.closed.catch((error: unknown) => error));
  const stream = client.newStream();
  await stream.write('well');
  await stream.reply;
  isDamaging = true;
  stream.write('broken').catch(() => {});
  const [, atServer] = await Promise.all(lost.toReversed());
  expect(String(((atServer as Error).cause as Error).message)).toMatch(/bad record mac|decryption failed/i);
  for (const socket of sockets) socket.destroy();
  between.close();
  await server.close();
});

describe('a Duplex in object mode', () => {
  const given = (...values: unknown[]): unknown[] => {
    const duplex = plainDuplex({ objectMode: true });
    for (const value of values) duplex.push(value);
    return listenTo(fromDuplex(duplex));
  };

  it('may give its bytes as any view', async () => {
    const { buffer } = Uint8Array.of(1, 2, 3, 4, 5, 6);
    const told = given(new DataView(buffer, 1, 2), new Uint16Array(buffer, 2, 2));
    await turns();
    expect(told).toEqual([
      [2, 3],
      [3, 4, 5, 6],
    ]);
  });

  it.each([
    ['text', 'string'],
    [new ArrayBuffer(4), 'ArrayBuffer'],
    [7, 'number'],
  ])('that gives %p is closed with an error', async (value, name) => {
    const told = given(Uint8Array.of(1), value, Uint8Array.of(2));
    await turns();
    expect(told).toEqual([[1], new TypeError(`a Duplex of bytes gave ${name}`)]);
  });
});

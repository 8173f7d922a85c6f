import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { type AddressInfo, connect as connectNet, createServer, type Socket } from 'node:net';
import { type Duplex, PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tls from 'node:tls';
import type { Chunk, Provider, Stream } from 'rxmux';
import { framer, memoryPair, toDuplex } from 'rxmux/node';
import { selfSigned } from '../../demos/transfer/tls.js';
import { ForwardingStream } from '../../lib/wrappers/forwarding-stream.js';
import { trackPair } from '../support/leaks.js';

/** Two connected providers; what the server accepts goes to `serve`. */
async function withPair(
  serve: (stream: Stream) => void,
  body: (client: Provider, server: Provider) => Promise<void>,
): Promise<void> {
  const [near, far] = memoryPair();
  const client = framer(near, { role: 'client' });
  const server = framer(far, { role: 'server' });
  trackPair([client, server]);
  server.accept$.subscribe({ next: serve, error: () => {} });
  try {
    await body(client, server);
  } finally {
    client.abort();
    server.abort();
  }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function read(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

describe('toDuplex()', () => {
  test('stream.pipeline goes through it, both ways, byte for byte', async () => {
    const bytes = randomBytes(3_000_000);
    const echo = (stream: Stream): void => {
      const duplex = toDuplex(stream) as Duplex;
      pipeline(duplex, duplex).catch(() => {});
    };
    await withPair(echo, async (client) => {
      const duplex = toDuplex(client.newStream()) as Duplex;
      const back = new PassThrough();
      const received = read(back);
      await pipeline(Readable.from([bytes]), duplex, back);
      expect(sha256(await received)).toBe(sha256(bytes));
    });
  });

  test.each([
    ['our own abort', (client: Provider) => client.abort()],
    ['the peer’s', (_client: Provider, server: Provider) => server.abort()],
  ])('what had arrived with its end is read after %s, and then it fails', async (_what, abort) => {
    const bytes = randomBytes(100_000);
    await withPair(
      (stream) => void stream.send(bytes),
      async (client, server) => {
        const stream = client.newStream();
        await stream.reply;
        while (stream.state !== 'half-closed-remote') await new Promise((resolve) => setImmediate(resolve));
        const duplex = toDuplex(stream) as Duplex;
        abort(client, server);
        await expect(stream.closed).rejects.toMatchObject({ code: 'closed' });
        const failed = new Promise((resolve) => duplex.on('error', resolve));
        const chunks: Buffer[] = [];
        duplex.on('data', (chunk: Buffer) => chunks.push(chunk));
        await expect(failed).resolves.toMatchObject({ code: 'closed' });
        expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
      },
    );
  });

  test('a half-close leaves the other direction open', async () => {
    const answerAtTheEnd = async (stream: Stream): Promise<void> => {
      let count = 0;
      for await (const chunk of stream) count += chunk.byteLength;
      await stream.send(`${count} bytes`);
    };
    await withPair(answerAtTheEnd, async (client) => {
      const duplex = toDuplex(client.newStream()) as Duplex;
      duplex.end(Buffer.alloc(100_000));
      expect((await read(duplex)).toString()).toBe('100000 bytes');
    });
  });

  test('a reset of the stream destroys it with the error', async () => {
    await withPair(
      (stream) => stream.reset('internal-error'),
      async (client) => {
        const duplex = toDuplex(client.newStream()) as Duplex;
        const failed = new Promise((resolve) => duplex.once('error', resolve));
        duplex.resume();
        expect(await failed).toMatchObject({ code: 'reset', remote: true });
        expect(duplex.destroyed).toBe(true);
      },
    );
  });

  test('destroying it before its end resets the stream: the peer never sees an end', async () => {
    const fates: unknown[] = [];
    const watch = (stream: Stream): void => {
      stream.data$.subscribe({ error: (error) => fates.push(error), complete: () => fates.push('end') });
    };
    await withPair(watch, async (client) => {
      const duplex = toDuplex(client.newStream()) as Duplex;
      duplex.write('half of a');
      await new Promise((resolve) => setTimeout(resolve, 10));
      duplex.destroy();
      while (fates.length === 0) await new Promise((resolve) => setImmediate(resolve));
      expect(fates).toMatchObject([{ code: 'reset' }]);
    });
  });

  test('a reader that does not read holds the writer back', async () => {
    const accepted: Duplex[] = [];
    const keep = (stream: Stream): void => {
      accepted.push((toDuplex(stream) as Duplex).on('error', () => {}));
    };
    await withPair(keep, async (client) => {
      const duplex = (toDuplex(client.newStream()) as Duplex).on('error', () => {});
      let taken = 0;
      const source = new Readable({
        read() {
          taken += 65_536;
          this.push(Buffer.alloc(65_536));
        },
      });
      source.pipe(duplex);
      for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
      expect(accepted).toHaveLength(1);
      // A window, and what Node's own streams keep at either end.
      expect(taken).toBeLessThan(262_144 + 6 * 65_536);
      source.destroy();
    });
  });

  test('setTimeout() tells of a time in which nothing is read or written', async () => {
    const echo = (stream: Stream): void => void stream.send(stream.data$);
    await withPair(echo, async (client) => {
      const duplex = toDuplex(client.newStream()) as Socket;
      const written = (): Promise<void> => new Promise((resolve) => duplex.write('x', () => resolve()));
      let timeouts = 0;
      jest.useFakeTimers({
        doNotFake: ['nextTick', 'performance', 'queueMicrotask', 'setImmediate', 'clearImmediate'],
      });
      try {
        duplex.setTimeout(100).on('timeout', () => timeouts++);
        for (let times = 0; times < 5; times++) {
          jest.advanceTimersByTime(60);
          await written();
        }
        expect(timeouts).toBe(0);
        duplex.resume();
        await once(duplex, 'data');
        jest.advanceTimersByTime(100);
        expect(timeouts).toBe(1);
        duplex.destroy();
      } finally {
        jest.useRealTimers();
      }
    });
  });

  test('a buffer may be used again once its write is done', async () => {
    class Late extends ForwardingStream {
      readonly onItsWay: Chunk[] = [];

      override async write(chunk: Chunk): Promise<void> {
        this.onItsWay.push(chunk);
      }
    }
    await withPair(
      () => {},
      async (client) => {
        const stream = new Late(client.newStream());
        const duplex = toDuplex(stream) as Duplex;
        const buffer = Buffer.alloc(1000, 1);
        await new Promise((resolve) => duplex.write(buffer, resolve));
        buffer.fill(2);
        expect(stream.onItsWay).toEqual([new Uint8Array(1000).fill(1)]);
        duplex.on('error', () => {}).destroy();
      },
    );
  });

  test('TLS runs over a stream', async () => {
    const identity = selfSigned('localhost');
    const terminate = (stream: Stream): void => {
      const secure = new tls.TLSSocket(toDuplex(stream) as never, { isServer: true, ...identity });
      secure.on('error', () => {});
      secure.pipe(secure);
    };
    await withPair(terminate, async (client) => {
      const socket = tls.connect({
        socket: toDuplex(client.newStream()) as never,
        ca: identity.cert,
        servername: 'localhost',
      });
      const bytes = randomBytes(500_000);
      socket.end(bytes);
      expect(sha256(await read(socket))).toBe(sha256(bytes));
      expect(socket.authorized).toBe(true);
    });
  });

  test('an HTTP request runs over a stream to a server behind it', async () => {
    const origin = http.createServer((request, response) => {
      request.resume().on('end', () => response.end(`you asked for ${request.url}`));
    });
    await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
    const { port } = origin.address() as AddressInfo;
    const forward = (stream: Stream): void => {
      const socket = connectNet(port, '127.0.0.1');
      const duplex = toDuplex(stream) as Duplex;
      pipeline(duplex, socket, duplex).catch(() => {});
    };
    try {
      await withPair(forward, async (client) => {
        const answer = await new Promise<string>((resolve, reject) => {
          const request = http.request(
            {
              method: 'POST',
              path: '/through',
              createConnection: () => toDuplex(client.newStream()) as never,
            },
            (response) => read(response).then((body) => resolve(body.toString()), reject),
          );
          request.on('error', reject);
          request.end('a body');
        });
        expect(answer).toBe('you asked for /through');
      });
    } finally {
      origin.closeAllConnections();
      await new Promise((resolve) => origin.close(resolve));
    }
  });

  test('a socket can be piped into it and out of it', async () => {
    const bytes = randomBytes(1_000_000);
    const server = createServer((socket) => socket.end(bytes));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const serve = (stream: Stream): void => {
      connectNet(port, '127.0.0.1').pipe(toDuplex(stream) as Duplex);
    };
    await withPair(serve, async (client) => {
      const duplex = toDuplex(client.newStream()) as Duplex;
      duplex.end();
      expect(sha256(await read(duplex))).toBe(sha256(bytes));
    });
    await new Promise((resolve) => server.close(resolve));
  });
});

/** npm's spdy-transport: a peer that honours windows, and writes headers as HTTP has them. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { fromDuplex, type Limits, type Provider, type Stream } from 'rxmux/node';
import { spdy } from 'rxmux/spdy';
import { trackProvider } from '../support/leaks.js';
import { filled, hashOf, sumOf, supply, textOf } from './spdystream.js';

const MiB = 1024 * 1024;

interface TheirStream extends Duplex {
  readonly path: string;
  respond(status: number, headers: Record<string, string>): void;
  abort(): void;
  setWindow(bytes: number): void;
}
interface TheirConnection {
  on(event: 'stream', listener: (stream: TheirStream) => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  start(version: number): void;
  request(
    options: { method: string; path: string; host: string; headers: Record<string, string> },
    sent: (error: Error | null, stream: TheirStream) => void,
  ): void;
  ping(done: () => void): void;
}
interface Library {
  readonly connection: {
    create(
      socket: Duplex,
      options: { protocol: string; isServer: boolean; windowSize?: number },
    ): TheirConnection;
  };
}

const fromHere = createRequire(join(import.meta.dirname, '../../package.json'));
/** Its own dependency brings it. */
const library = createRequire(fromHere.resolve('spdy'))('spdy-transport') as Library;

interface Ends {
  readonly ours: Provider;
  readonly theirs: TheirConnection;
}

const ends: (() => Promise<void>)[] = [];

async function pair(
  ourRole: 'client' | 'server',
  windowSize = 256 * 1024,
  limits: Partial<Limits> = {},
): Promise<Ends> {
  const listener = createServer();
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const accepted = once(listener, 'connection') as Promise<[Socket]>;
  const near = dial((listener.address() as AddressInfo).port, '127.0.0.1');
  const [far] = await accepted;
  // Its WINDOW_UPDATEs are small, and it leaves Nagle's algorithm on.
  far.setNoDelay(true);
  const theirs = library.connection.create(far, {
    protocol: 'spdy',
    isServer: ourRole === 'client',
    windowSize,
  });
  theirs.on('error', () => {});
  theirs.start(3.1);
  const ours = trackProvider(spdy(fromDuplex(near), { role: ourRole, limits }));
  ends.push(async () => {
    ours.abort(new Error('the test is over'));
    near.destroy();
    far.destroy();
    listener.close();
    await once(listener, 'close');
  });
  return { ours, theirs };
}

afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const request = {
  ':method': 'POST',
  ':path': '/echo',
  ':host': 'localhost',
  ':scheme': 'http',
  ':version': 'HTTP/1.1',
};
const reply = { ':status': '200', ':version': 'HTTP/1.1' };

/** Answers our streams as their path says. */
function serveTheirs({ theirs }: Ends): void {
  theirs.on('stream', (stream) => {
    stream.on('error', () => {});
    if (stream.path === '/refuse') {
      stream.abort();
      return;
    }
    stream.respond(200, { 'x-path': stream.path });
    if (stream.path === '/echo') stream.pipe(stream);
    else if (stream.path === '/sum') {
      const hash = createHash('sha256');
      let bytes = 0;
      stream.on('data', (chunk: Buffer) => {
        bytes += chunk.byteLength;
        hash.update(chunk);
      });
      stream.on('end', () => stream.end(`${bytes} ${hash.digest('hex')}`));
    } else if (stream.path === '/send') {
      void pour(stream, 64 * MiB);
    }
  });
}

/** Writes at the stream's own pace. */
async function pour(stream: TheirStream, size: number): Promise<void> {
  for (const piece of supply(size)) {
    if (!stream.write(piece)) await once(stream, 'drain');
  }
  stream.end();
}

function serveOurs({ ours }: Ends): void {
  ours.accept$.subscribe({
    next: (stream) => void answer(stream).catch(() => {}),
    error: () => {},
  });
}

async function answer(stream: Stream): Promise<void> {
  stream.accept(reply);
  const path = stream.headers.get(':path');
  if (path === '/sum') {
    const { bytes, sum } = await hashOf(stream);
    await stream.send(`${bytes} ${sum}`);
  } else if (path === '/send') await stream.send(supply(64 * MiB));
  else await stream.send(stream.data$);
}

function asked({ theirs }: Ends, path: string): Promise<TheirStream> {
  return new Promise((resolve, reject) => {
    theirs.request({ method: 'POST', path, host: 'localhost', headers: {} }, (error, stream) => {
      if (error) reject(error);
      else resolve(stream);
    });
  });
}

async function collected(stream: TheirStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A figure that is not 0 once it has stood still for 20 looks. */
async function standing(read: () => number): Promise<number> {
  let last = -1;
  for (let still = 0; still < 20; ) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    const now = read();
    still = now === last && last > 0 ? still + 1 : 0;
    last = now;
  }
  return last;
}

describe('npm’s spdy-transport is the server', () => {
  const opened = ({ ours }: Ends, path: string): Stream => ours.newStream({ ...request, ':path': path });

  it('echoes, with headers both ways', async () => {
    const both = await pair('client');
    serveTheirs(both);
    const stream = opened(both, '/echo');
    void stream.send(filled(100_000));
    expect((await stream.reply).get('x-path')).toBe('/echo');
    expect(await hashOf(stream)).toEqual({ bytes: 100_000, sum: sumOf(100_000) });
    expect(await both.ours.ping()).toBeLessThan(4000);
  });

  it('takes 64 MiB: its windows are kept to, and nothing stalls', async () => {
    const both = await pair('client');
    serveTheirs(both);
    const stream = opened(both, '/sum');
    await stream.reply;
    expect(stream.stats.sendWindow).toBeLessThanOrEqual(256 * 1024);
    void stream.send(supply(64 * MiB));
    expect(await textOf(stream)).toBe(`${64 * MiB} ${sumOf(64 * MiB)}`);
  }, 60_000);

  it('takes what it has windows for, however little we take ourselves', async () => {
    const both = await pair('client', 64 * 1024, { windowBytes: 8 * 1024, receiveBudgetBytes: 16 * 1024 });
    serveTheirs(both);
    const stream = opened(both, '/sum');
    void stream.send(supply(MiB));
    expect(await textOf(stream)).toBe(`${MiB} ${sumOf(MiB)}`);
  }, 10_000);

  it('gives 64 MiB', async () => {
    const both = await pair('client');
    serveTheirs(both);
    const stream = opened(both, '/send');
    expect(await hashOf(stream)).toEqual({ bytes: 64 * MiB, sum: sumOf(64 * MiB) });
  }, 60_000);

  it('is held by our window while nobody reads', async () => {
    const both = await pair('client');
    serveTheirs(both);
    const stream = opened(both, '/send');
    await stream.reply;
    const last = await standing(() => stream.stats.queuedIn);
    expect(last).toBeLessThanOrEqual(256 * 1024);
    const other = opened(both, '/echo');
    void other.send('not held');
    expect(await textOf(other)).toBe('not held');
    stream.reset();
  }, 30_000);

  it('refuses a stream, and no other', async () => {
    const both = await pair('client');
    serveTheirs(both);
    await expect(opened(both, '/refuse').reply).rejects.toMatchObject({ code: 'refused', remote: true });
    const stream = opened(both, '/echo');
    void stream.send('fine');
    expect(await textOf(stream)).toBe('fine');
  });
});

describe('npm’s spdy-transport is the client', () => {
  it('has its bytes back', async () => {
    const both = await pair('server');
    serveOurs(both);
    const stream = await asked(both, '/echo');
    stream.end(Buffer.from(filled(100_000)));
    expect((await collected(stream)).equals(filled(100_000))).toBe(true);
  });

  it('gives 64 MiB: our windows do not stall it', async () => {
    const both = await pair('server');
    serveOurs(both);
    const stream = await asked(both, '/sum');
    void pour(stream, 64 * MiB);
    expect((await collected(stream)).toString()).toBe(`${64 * MiB} ${sumOf(64 * MiB)}`);
  }, 60_000);

  it('takes 64 MiB', async () => {
    const both = await pair('server');
    serveOurs(both);
    const stream = await asked(both, '/send');
    stream.end();
    const hash = createHash('sha256');
    for await (const chunk of stream) hash.update(chunk as Buffer);
    expect(hash.digest('hex')).toBe(sumOf(64 * MiB));
  }, 60_000);

  it('is held by our window while nobody reads, and no other stream is', async () => {
    const both = await pair('server');
    const stream = await asked(both, '/sum');
    const ours = (await both.ours.accept()) as Stream;
    ours.accept(reply);
    serveOurs(both);
    void pour(stream, 64 * MiB);
    const last = await standing(() => ours.stats.queuedIn);
    expect(last).toBeLessThanOrEqual(256 * 1024);
    const other = await asked(both, '/echo');
    other.end('not held');
    expect((await collected(other)).toString()).toBe('not held');
    const { bytes, sum } = await hashOf(ours);
    expect([bytes, sum]).toEqual([64 * MiB, sumOf(64 * MiB)]);
  }, 60_000);

  it('does not read, and our sender waits for its window', async () => {
    const both = await pair('server');
    const stream = await asked(both, '/stall');
    const ours = (await both.ours.accept()) as Stream;
    ours.accept(reply);
    const sending = ours.send(supply(64 * MiB));
    const last = await standing(() => ours.stats.bytesOut);
    expect(last).toBeLessThan(2 * MiB);
    expect(ours.stats.blockedOn).toBe('window');
    stream.on('error', () => {});
    ours.reset();
    await expect(sending).rejects.toMatchObject({ code: 'reset' });
  }, 30_000);
});

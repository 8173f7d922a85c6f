import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memoryPair, type Stream } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { connect } from 'rxmux/node';
import { selfSigned } from '../../demos/transfer/tls.js';
import { describeWithPeer, peers } from '../support/interop.js';
import { digest, echo, noise, noiseHash, run, type Serving, serving } from './http2-echo.js';

const MiB = 1024 * 1024;
const bulk = 64 * MiB;

let folder: string;
let file: string;

async function makeFiles(bytes: number): Promise<void> {
  folder = await mkdtemp(join(tmpdir(), 'rxmux-http2-'));
  file = join(folder, 'body');
  await writeFile(file, Buffer.concat([...noise(bytes)]));
}

function removeFiles(): Promise<void> {
  return rm(folder, { recursive: true, force: true });
}

describeWithPeer('curl', peers.curl, () => {
  let server: Serving;
  let serve: (stream: Stream) => void;

  beforeAll(() => makeFiles(bulk), 30_000);
  afterAll(removeFiles);

  beforeEach(async () => {
    serve = echo;
    server = await serving((stream) => serve(stream));
  });

  afterEach(() => server.close());

  const url = (): string => `http://127.0.0.1:${server.port}/`;
  const plain = ['-sS', '--http2-prior-knowledge'];

  it('posts 64 MiB and gets them back', async () => {
    const back = join(folder, 'back');
    const { code, err } = await run('curl', [...plain, '--data-binary', `@${file}`, '-o', back, url()]);
    expect([code, err]).toEqual([0, '']);
    expect(await digest(chunks(await readFile(back)))).toEqual({ bytes: bulk, hash: noiseHash(bulk) });
  }, 30_000);

  it('sends and receives at the same time: lines arrive as they are sent', async () => {
    const child = spawn('curl', [...plain, '-N', '-T', '.', '-X', 'POST', url()]);
    child.stderr.resume();
    for (const line of ['one\n', 'two\n', 'three\n']) {
      child.stdin.write(line);
      expect(String((await once(child.stdout, 'data'))[0])).toBe(line);
    }
    child.stdin.end();
    expect((await once(child, 'close'))[0]).toBe(0);
  });

  it('gets late data after it has half-closed', async () => {
    serve = (stream) => {
      stream.data$.subscribe({ complete: () => void stream.send(['late', ' data']) });
    };
    expect(await run('curl', [...plain, '-d', 'body', url()])).toMatchObject({ code: 0, out: 'late data' });
  });

  it('asks for pages by GET, with headers of its own', async () => {
    serve = (stream) =>
      void stream.accept({ 'content-type': 'text/plain' }).send(stream.headers.get(':path') ?? '');
    const { out } = await run('curl', [...plain, '-H', 'x-mine: yes', `${url()}a/page`]);
    expect(out).toBe('/a/page');
    expect(server.streams[0]?.headers.get('x-mine')).toBe('yes');
  });

  it('fails if the stream is reset, and never takes it for an end', async () => {
    serve = async (stream) => {
      await stream.write('half of i');
      // A curl that reads both at once drops the first; what is before a ping it has read when it answers.
      await server.providers[0]?.ping();
      stream.reset('internal-error');
    };
    const { code, out } = await run('curl', [...plain, url()]);
    expect(out).toBe('half of i');
    expect(code).toBe(92);
  });

  it('sees a refusal as a status', async () => {
    serve = (stream) => stream.reject('refused', { 'x-reason': 'busy' });
    const { out } = await run('curl', [...plain, '-o', '/dev/null', '-w', '%{http_code}', url()]);
    expect(out).toBe('503');
  });

  it('comes over TLS by ALPN, and over a unix socket', async () => {
    const { key, cert } = selfSigned('localhost');
    const secure = await serving(echo, {}, { address: 'tls://127.0.0.1:0', tls: { key, cert } });
    const local = await serving(echo, {}, { address: `unix:${join(folder, 'socket')}` });
    try {
      const args = ['-sS', '--http2', '-k', '-d', 'secret', `https://127.0.0.1:${secure.port}/`];
      expect(await run('curl', args)).toMatchObject({ code: 0, out: 'secret' });
      const path = join(folder, 'socket');
      const overSocket = [...plain, '--unix-socket', path, '-d', 'near', 'http://localhost/'];
      expect(await run('curl', overSocket)).toMatchObject({ code: 0, out: 'near' });
    } finally {
      await Promise.all([secure.close(), local.close()]);
    }
  });
});

describeWithPeer('nghttp2', peers.nghttp2, () => {
  let server: Serving;

  beforeAll(() => makeFiles(100_000));
  afterAll(removeFiles);

  let serve: (stream: Stream) => void;

  beforeEach(async () => {
    serve = echo;
    server = await serving((stream) => serve(stream));
  });

  afterEach(() => server.close());

  const url = (): string => `http://127.0.0.1:${server.port}/`;

  it('nghttp is told NO_ERROR with an early answer whose server wants no more of the upload', async () => {
    const upload = join(folder, 'upload');
    await writeFile(upload, Buffer.alloc(16 * MiB));
    serve = (stream) => {
      stream.stop();
      void stream.send('enough');
    };
    const { code, out } = await run('nghttp', ['-nv', '-d', upload, url()]);
    expect(code).toBe(0);
    expect(out).toMatch(/recv RST_STREAM .*\n *\(error_code=NO_ERROR\(0x00\)\)/);
  });

  it('nghttp sends many requests with padding, and headers in CONTINUATION', async () => {
    const args = ['-nv', '-m', '50', '-b', '10', '--continuation', '-d', file, url()];
    const { code, out } = await run('nghttp', args);
    expect(code).toBe(0);
    expect(out.match(/recv \(stream_id=\d+\) :status: 200/g)?.length).toBe(50);
    expect(out.match(/recv DATA frame <length=\d+, flags=0x01/g)?.length).toBe(50);
    // Longer than a frame: the rest went in CONTINUATION.
    expect(out).toMatch(/send HEADERS frame <length=1[89]\d{3}/);
    expect(server.streams.every(({ headers }) => headers.has('continuation-test-6'))).toBe(true);
    expect(out).not.toMatch(/recv (GOAWAY|RST_STREAM)/);
  });

  it.each([
    ['default windows', []],
    ['windows of 16 KiB', ['-w', '14', '-W', '14']],
  ] as const)(
    'h2load: 100 concurrent streams with %s, and not one fails',
    async (_name, windows) => {
      const { code, out } = await run('h2load', [
        ...['-n', '2000', '-c', '1', '-m', '100', ...windows, '-d', file, url()],
      ]);
      expect(code).toBe(0);
      expect(out).toMatch(/2000 succeeded, 0 failed, 0 errored, 0 timeout/);
      expect(out).toMatch(/traffic: .*\(200000000\) data/);
    },
    60_000,
  );

  it('h2load: 20,000 small requests over 10 connections', async () => {
    const small = join(folder, 'small');
    await writeFile(small, 'x'.repeat(64));
    const { out } = await run('h2load', ['-n', '20000', '-c', '10', '-m', '100', '-d', small, url()]);
    expect(out).toMatch(/20000 succeeded, 0 failed, 0 errored, 0 timeout/);
  }, 60_000);
});

describe('the first bytes', () => {
  it('are recognised, and told from others', () => {
    const text = (value: string): Uint8Array => new TextEncoder().encode(value);
    expect(http2.recognises(text('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'))).toBe(true);
    expect(http2.recognises(text('PRI *'))).toBeUndefined();
    expect(http2.recognises(text('POST / HTTP/1.1'))).toBe(false);
    expect(http2.alpn).toBe('h2');
  });

  it('of HTTP/1.1 end the connection', async () => {
    const [near, far] = memoryPair();
    const server = http2(far, { role: 'server' });
    near.start({ onData: () => {}, onEnd: () => near.end(), onDrain: () => {}, onClose: () => {} });
    near.write([new TextEncoder().encode('GET / HTTP/1.1\r\n\r\n')]);
    await expect(server.closed).rejects.toMatchObject({ code: 'protocol' });
  });

  it('of both sides are enough for a ping', async () => {
    const server = await serving();
    const client = await connect(server.address, http2);
    expect(await client.ping()).toBeGreaterThan(0);
    await client.close();
    await server.close();
  });
});

async function* chunks(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Provider, Stream } from 'rxmux';
import { http2 } from 'rxmux/http2';
import { connect } from 'rxmux/node';
import { describeWithPeer, peers } from '../support/interop.js';
import { trackProvider } from '../support/leaks.js';
import { digest, echo, noise, noiseHash, type Serving, serving } from './http2-echo.js';

const MiB = 1024 * 1024;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

const configuration = (from: number, to: number): string => `
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout tunnel 30s
listen between
  bind 127.0.0.1:${from} proto h2
  server one 127.0.0.1:${to} proto h2
`;

async function textOf(stream: Stream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += new TextDecoder().decode(chunk);
  return text;
}

describeWithPeer('HAProxy between our client and our server', peers.haproxy, () => {
  let folder: string;
  let proxy: ChildProcess;
  let server: Serving;
  let client: Provider;
  let serve: (stream: Stream) => void;

  beforeEach(async () => {
    serve = echo;
    server = await serving((stream) => serve(stream));
    folder = await mkdtemp(join(tmpdir(), 'rxmux-haproxy-'));
    const port = await freePort();
    await writeFile(join(folder, 'cfg'), configuration(port, server.port));
    proxy = spawn('haproxy', ['-f', join(folder, 'cfg'), '-db'], { stdio: 'ignore' });
    client = trackProvider(await reached(port));
  });

  afterEach(async () => {
    client.abort();
    proxy.kill('SIGKILL');
    await once(proxy, 'exit');
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** HAProxy takes a moment to listen. */
  async function reached(port: number): Promise<Provider> {
    for (let left = 200; ; left--) {
      try {
        return await connect(`tcp://127.0.0.1:${port}`, http2);
      } catch (error) {
        if (left === 0) throw error;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }

  it('passes ten messages to and fro', async () => {
    const stream = client.newStream();
    for (let number = 0; number < 10; number++) {
      await stream.write(`message ${number}`);
      expect(new TextDecoder().decode((await stream.read()) ?? undefined)).toBe(`message ${number}`);
    }
    await stream.end();
    expect(await stream.read()).toBeNull();
  });

  it('passes half-closes, whoever is first', async () => {
    serve = async (stream) => void stream.send(`heard: ${await textOf(stream)}`);
    const first = client.newStream();
    await first.send('hello');
    expect(await textOf(first)).toBe('heard: hello');
    const received: Promise<string>[] = [];
    serve = (stream) => {
      received.push(textOf(stream));
      void stream.send('done here');
    };
    const second = client.newStream();
    expect(await textOf(second)).toBe('done here');
    await second.send('but not here');
    expect(await received[0]).toBe('but not here');
  });

  it('keeps the values of a header apart, and brings trailers', async () => {
    serve = (stream) => {
      stream.accept({ 'x-list': ['1', '2'] });
      void stream.end({ 'x-sum': '3' });
    };
    const stream = client.newStream({ 'x-mine': ['a', 'b'] });
    expect((await stream.reply).getAll('x-list')).toEqual(['1', '2']);
    expect((await stream.trailers)?.get('x-sum')).toBe('3');
    expect(server.streams[0]?.headers.getAll('x-mine')).toEqual(['a', 'b']);
    await stream.end();
  });

  it('carries 100 streams at once', async () => {
    const all = Array.from({ length: 100 }, () => client.newStream());
    await Promise.all(
      all.map(async (stream, index) => {
        void stream.send(`stream ${index}`);
        expect(await textOf(stream)).toBe(`stream ${index}`);
      }),
    );
  }, 10_000);

  it('carries 16 MiB each way without a stall', async () => {
    const stream = client.newStream();
    const sent = stream.send(noise(16 * MiB));
    expect(await digest(stream)).toEqual({ bytes: 16 * MiB, hash: noiseHash(16 * MiB) });
    await sent;
  }, 30_000);

  it('shows a reset, or the loss of the server, on `closed`: to the data it may add an end of its own', async () => {
    serve = (stream) => void stream.write('begun');
    for (const act of [
      (stream: Stream) => stream.reset('cancel'),
      () => server.providers.map((provider) => provider.abort()),
    ]) {
      const stream = client.newStream();
      expect(await stream.read()).not.toBeNull();
      act(server.streams.at(-1) as Stream);
      await expect(stream.closed).rejects.toMatchObject({ code: 'reset', remote: true });
    }
  });
});

import { once } from 'node:events';
import { type AddressInfo, connect as connectNet, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { firstValueFrom } from 'rxjs';
import { http2, type Protocol, type Provider, pullMap, spdy } from 'rxmux';
import { connect, framer, listen } from 'rxmux/node';
import { ssh } from 'rxmux/ssh';
import { selfSigned } from '../../demos/transfer/tls.js';
import { parseAddress } from '../../lib/transports/address.js';
import { until } from '../conformance/wait.js';
import { sshLogin } from '../hostile/ssh-login.js';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('addresses', () => {
  test.each([
    ['tcp://127.0.0.1:80', { kind: 'tcp', host: '127.0.0.1', port: 80 }],
    ['tls://example.org:443', { kind: 'tls', host: 'example.org', port: 443 }],
    ['tcp://[::1]:0', { kind: 'tcp', host: '::1', port: 0 }],
    ['unix:/run/app.sock', { kind: 'unix', path: '/run/app.sock' }],
    ['unix:///run/app.sock', { kind: 'unix', path: '/run/app.sock' }],
  ])('%s is understood', (address, expected) => {
    expect(parseAddress(address)).toEqual(expected);
  });

  test.each(['', '127.0.0.1:80', 'http://x:1', 'tcp://x', 'tcp://x:99999', 'unix:', 'tcp://x:1/path'])(
    '"%s" is told to be none',
    (address) => {
      expect(() => parseAddress(address)).toThrow(TypeError);
    },
  );

  test('a path that the system would cut is none', () => {
    const longest = `/${'x'.repeat(102)}`;
    expect(parseAddress(`unix:${longest}`)).toEqual({ kind: 'unix', path: longest });
    expect(() => parseAddress(`unix:${longest}12345`)).toThrow(/more than 10\d bytes/);
    expect(() => parseAddress('unix:/run/a\0b')).toThrow(/NUL/);
    expect(parseAddress('unix:\0abstract')).toEqual({ kind: 'unix', path: '\0abstract' });
  });
});

describe('connect() and listen()', () => {
  test('nobody there: connect() rejects, and says where', async () => {
    const listener = await listen('tcp://127.0.0.1:0', framer);
    const { address } = listener;
    await listener.close();
    await expect(connect(address, framer)).rejects.toMatchObject({
      code: 'closed',
      retryable: true,
      message: expect.stringContaining(address),
      cause: expect.objectContaining({ code: 'ECONNREFUSED' }),
    });
  });

  test('an address in use: listen() rejects', async () => {
    await using listener = await listen('tcp://127.0.0.1:0', framer);
    await expect(listen(listener.address, framer)).rejects.toMatchObject({
      cause: expect.objectContaining({ code: 'EADDRINUSE' }),
    });
  });

  test.each<[string, Protocol, object, RegExp]>([
    ['the framer', framer, { limits: { windows: 1 } }, /no limit "windows"/],
    ['HTTP/2', http2, { limits: { maxFrameBytes: 1 } }, /maxFrameBytes is 16384 to/],
    ['SPDY', spdy, { limits: { maxStreams: -1 } }, /maxStreams cannot be -1/],
    ['SPDY', spdy, { flowControl: 'maybe' }, /auto, on or off/],
    ['SSH', ssh(sshLogin), { limits: { bannerMs: Number.NaN } }, /bannerMs cannot be NaN/],
    ['SSH', ssh({}), {}, /needs (a "username"|"hostKeys")/],
  ])('options of %s that cannot be are told at once', async (_name, protocol, options, message) => {
    await expect(listen('tcp://127.0.0.1:0', protocol, options)).rejects.toThrow(message);
    const accepted = jest.fn();
    const server = createServer(accepted).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await expect(connect(`tcp://127.0.0.1:${port}`, protocol, options)).rejects.toThrow(message);
    server.close();
    await once(server, 'close');
    expect(accepted).not.toHaveBeenCalled();
  });

  test('each of several protocols is asked', async () => {
    await expect(listen('tcp://127.0.0.1:0', [framer, ssh({})])).rejects.toThrow(/"hostKeys"/);
  });

  test('a protocol that throws leaves no socket behind', async () => {
    await using listener = await listen('tcp://127.0.0.1:0', framer);
    const accepted = firstValueFrom(listener.accept$);
    const broken: Protocol = () => {
      throw new Error('not today');
    };
    await expect(connect(listener.address, broken)).rejects.toThrow('not today');
    await expect((await accepted).closed).rejects.toMatchObject({ code: 'closed' });
  });

  test('an abort while dialling rejects with its reason', async () => {
    const listener = await listen('tcp://127.0.0.1:0', framer);
    const reason = new Error('changed my mind');
    await expect(connect(listener.address, framer, { signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
    const late = new AbortController();
    const dialling = connect(listener.address, framer, { signal: late.signal });
    const refused = expect(dialling).rejects.toBe(reason);
    late.abort(reason);
    await refused;
    await listener.close();
  });

  test('a certificate that nobody vouches for is refused', async () => {
    const identity = selfSigned('localhost');
    await using listener = await listen('tls://127.0.0.1:0', framer, { tls: identity });
    await expect(
      connect(listener.address, framer, { tls: { servername: 'localhost' } }),
    ).rejects.toMatchObject({
      code: 'closed',
    });
    await expect(
      connect(listener.address, framer, { tls: { ca: identity.cert, servername: 'elsewhere' } }),
    ).rejects.toMatchObject({ code: 'closed' });
  });

  test.each([
    ['a name', 'localhost', {}, 'localhost'],
    ['an IP address', '127.0.0.1', {}, false],
    ['what was asked for', 'localhost', { servername: 'example.org' }, 'example.org'],
  ])('the server of TLS is told %s', async (_what, host, options, told) => {
    const identity = selfSigned('localhost');
    const server = tls.createServer(identity).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const secured = once(server, 'secureConnection') as Promise<[tls.TLSSocket & { servername: unknown }]>;
    const client = await connect(`tls://${host}:${port}`, framer, {
      tls: { rejectUnauthorized: false, ...options },
    });
    const [socket] = await secured;
    expect(socket.servername).toBe(told);
    client.abort();
    socket.destroy();
    server.close();
    await once(server, 'close');
  });

  test.each([0, 1e12, Number.POSITIVE_INFINITY])(
    'a TLS handshake may take for ever: %s',
    async (handshakeMs) => {
      const identity = selfSigned('localhost');
      await using listener = await listen('tls://127.0.0.1:0', framer, {
        tls: identity,
        limits: { handshakeMs },
      });
      const silent = connectNet(Number(new URL(listener.address).port), '127.0.0.1');
      await using client = await connect(listener.address, framer, {
        tls: { ca: identity.cert, servername: 'localhost' },
        limits: { handshakeMs },
      });
      expect(await client.ping()).toBeGreaterThan(0);
      await turn();
      expect(silent.readyState).toBe('open');
      silent.destroy();
    },
  );

  test('TLS handshakes under way add no listeners to the server, and close() waits for none of them', async () => {
    const making = jest.spyOn(tls, 'createServer');
    const listener = await listen('tls://127.0.0.1:0', framer, { tls: selfSigned('localhost') });
    const server = making.mock.results[0]?.value as tls.Server;
    making.mockRestore();
    const listeners = server.listenerCount('secureConnection');
    const port = Number(new URL(listener.address).port);
    let taken = 0;
    server.on('connection', () => taken++);
    const silent = Array.from({ length: 20 }, () => connectNet(port, '127.0.0.1').resume());
    const gone = silent.map((socket) => once(socket, 'close'));
    while (taken < silent.length) await turn();
    expect(server.listenerCount('secureConnection')).toBe(listeners);
    await listener.close();
    await Promise.all(gone);
  });

  test('of more than 1024 TLS handshakes under way the oldest is given up', async () => {
    await using listener = await listen('tls://127.0.0.1:0', framer, { tls: selfSigned('localhost') });
    const port = Number(new URL(listener.address).port);
    const sockets: Socket[] = [];
    const closed: number[] = [];
    const dial = async (): Promise<void> => {
      const number = sockets.length;
      const socket = connectNet(port, '127.0.0.1');
      sockets.push(socket);
      socket.on('error', () => {}).on('close', () => closed.push(number));
      await once(socket, 'connect');
    };
    await dial();
    while (sockets.length < 1024) await Promise.all(Array.from({ length: 31 }, dial));
    const client = await connect(listener.address, framer, { tls: { rejectUnauthorized: false } });
    await until(() => closed.length > 0, 'one is closed');
    expect(closed).toEqual([0]);
    await client.ping();
    client.abort();
    for (const socket of sockets) socket.destroy();
  });

  test('a server that never finishes its TLS handshake is given up', async () => {
    await using listener = await listen('tcp://127.0.0.1:0', framer, { limits: { handshakeMs: 300 } });
    const address = listener.address.replace('tcp:', 'tls:');
    await expect(connect(address, framer, { limits: { handshakeMs: 50 } })).rejects.toMatchObject({
      code: expect.stringMatching(/timeout|closed/),
    });
  });

  test('pullMap limits the connections that are served at once', async () => {
    await using listener = await listen('tcp://127.0.0.1:0', framer);
    const serving: Provider[] = [];
    let most = 0;
    listener.accept$
      .pipe(
        pullMap(
          async (provider) => {
            serving.push(provider);
            most = Math.max(most, serving.length);
            await provider.closed.catch(() => {});
            serving.splice(serving.indexOf(provider), 1);
          },
          { concurrent: 2 },
        ),
      )
      .subscribe();
    const clients = await Promise.all([1, 2, 3, 4, 5].map(() => connect(listener.address, framer)));
    for (const client of clients) {
      while (!serving.some((provider) => provider.info.remote === client.info.local)) await turn();
      await client.close();
    }
    expect(most).toBe(2);
  });

  test('several protocols share a port: the first bytes decide, and strangers are closed in time', async () => {
    const spoken: string[] = [];
    const greets = (name: string, head: string): Protocol =>
      Object.assign(
        ((transport, options) => {
          spoken.push(name);
          return framer(transport, options);
        }) as Protocol,
        {
          recognises: (bytes: Uint8Array): boolean | undefined => {
            const text = Buffer.from(bytes).toString('latin1');
            if (text.length < head.length) return head.startsWith(text) ? undefined : false;
            return text.startsWith(head);
          },
        },
      );
    const other = greets('other', 'OTHER');
    await using listener = await listen(
      'tcp://127.0.0.1:0',
      [other, Object.assign(greets('ours', 'rxmux'), {})],
      {
        limits: { handshakeMs: 100 },
      },
    );
    const accepted = firstValueFrom(listener.accept$);
    const client = await connect(listener.address, framer);
    const stream = client.newStream({ path: '/' });
    void stream.send('hello');
    const server = await accepted;
    const taken = await server.accept();
    expect(Buffer.from((await taken?.read()) as Uint8Array).toString()).toBe('hello');
    expect(spoken).toEqual(['ours']);
    const port = Number(new URL(listener.address).port);
    for (const says of ['garbage', '']) {
      const stranger = connectNet(port, '127.0.0.1');
      stranger.write(says);
      await new Promise((resolve) => stranger.resume().once('close', resolve));
    }
    client.abort();
    await server.closed.catch(() => {});
  });

  test('whoever says nothing shuts nobody out who does', async () => {
    await using listener = await listen('tcp://127.0.0.1:0', [framer, http2], { limits: { backlog: 4 } });
    listener.accept$.subscribe();
    const port = Number(new URL(listener.address).port);
    const silent = Array.from({ length: 8 }, () => connectNet(port, '127.0.0.1').resume());
    const gone = silent.slice(0, 5).map((socket) => once(socket, 'close'));
    await Promise.all(silent.map((socket) => once(socket, 'connect')));
    await using client = await connect(listener.address, framer);
    expect(await client.ping()).toBeGreaterThan(0);
    await Promise.all(gone);
    expect(silent.slice(5).map(({ readyState }) => readyState)).toEqual(['open', 'open', 'open']);
    for (const socket of silent) socket.destroy();
  });

  test('connections that nobody takes shut out those that come later', async () => {
    await using listener = await listen('tcp://127.0.0.1:0', [framer, http2], { limits: { backlog: 1 } });
    const client = await connect(listener.address, framer);
    await client.ping();
    const late = await connect(listener.address, framer);
    await expect(late.closed).rejects.toMatchObject({ code: 'closed' });
    client.abort();
  });

  test('a path is free again after close()', async () => {
    const address = `unix:${join(tmpdir(), `rxmux-listen-${process.pid}.sock`)}`;
    for (let round = 0; round < 2; round++) {
      const listener = await listen(address, framer);
      expect(listener.address).toBe(address);
      const client = await connect(address, framer);
      await client.ping();
      await client.close();
      await listener.close();
    }
  });

  test('close() lets the streams of its connections finish, and frees the port', async () => {
    const listener = await listen('tcp://127.0.0.1:0', framer);
    listener.accept$.subscribe((provider) => {
      provider.accept$.subscribe((stream) => void stream.send(stream.data$));
    });
    const client = await connect(listener.address, framer);
    const stream = client.newStream();
    await stream.write('first ');
    while (listener.providers.size === 0) await turn();
    expect(await client.ping()).toBeGreaterThan(0);
    const closed = listener.close();
    await expect(connect(listener.address, framer)).rejects.toMatchObject({ code: 'closed' });
    void stream.send('and last');
    let text = '';
    for await (const chunk of stream) text += Buffer.from(chunk).toString();
    expect(text).toBe('first and last');
    await closed;
    await client.closed;
    expect(listener.providers.size).toBe(0);
  });
});

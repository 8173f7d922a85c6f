import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect as dial } from 'node:net';
import { firstValueFrom, lastValueFrom } from 'rxjs';
import {
  type Limits,
  limit,
  memoryPair,
  type Provider,
  type Stream,
  type StreamError,
  type Transport,
} from 'rxmux';
import { forward, loginOf, type SshHostKey, type SshOptions, sessionOf, ssh } from 'rxmux/ssh';
import { SshLink } from '../../lib/ssh/link.js';
import { SessionPart } from '../../lib/ssh/session-part.js';
import { trackPair } from '../support/leaks.js';
import { keyPair, keys, trusting } from '../support/ssh.js';

const MiB = 1024 * 1024;

interface Ends {
  readonly client: Provider;
  readonly server: Provider;
}

const open: Ends[] = [];

function pair(more: { client?: SshOptions; server?: SshOptions; limits?: Partial<Limits> } = {}): Ends {
  const [near, far] = memoryPair();
  const limits = more.limits ?? {};
  const client = ssh(trusting(more.client))(near, { role: 'client', limits });
  const server = ssh(trusting(more.server))(far, { role: 'server', limits });
  trackPair([client, server]);
  const ends = { client, server };
  open.push(ends);
  return ends;
}

afterEach(() => {
  for (const { client, server } of open.splice(0)) {
    client.abort(new Error('the test is over'));
    server.abort(new Error('the test is over'));
  }
});

async function all(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function linked(
  { client, server }: Ends,
  headers: Record<string, string> = {},
): Promise<[Stream, Stream]> {
  const a = client.newStream(headers);
  const b = (await server.accept()) as Stream;
  return [a, b];
}

const failureOf = (provider: Provider): Promise<StreamError> =>
  provider.closed.then(
    () => {
      throw new Error('a clean close');
    },
    (error) => error as StreamError,
  );

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function* supply(bytes: number, seed: number): Generator<Uint8Array> {
  for (let left = bytes, at = seed; left > 0; left -= 50_000, at++)
    yield new Uint8Array(Math.min(left, 50_000)).fill(at);
}

describe('keys are agreed on anew', () => {
  it.each(['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes128-ctr'])(
    'twenty times and more under load both ways, by either end, with %s, and every byte arrives',
    async (cipher) => {
      const algorithms = { cipher: [cipher] };
      const ends = pair({ client: { algorithms }, server: { algorithms }, limits: { rekeyBytes: MiB } });
      let rekeys = 0;
      const count = SshLink.prototype.keyed;
      const counted = jest.spyOn(SshLink.prototype, 'keyed').mockImplementation(function (this: SshLink) {
        rekeys++;
        count.call(this);
      });
      const bytes = 16 * MiB;
      const expected = [1, 2, 3, 4].map((seed) => hashOf(Buffer.concat([...supply(bytes / 2, seed)])));
      const work = async (seed: number): Promise<string[]> => {
        const [a, b] = await linked(ends);
        const [up, down] = await Promise.all([
          all(b),
          all(a),
          a.send(supply(bytes / 2, seed)),
          b.send(supply(bytes / 2, seed + 1)),
        ]);
        return [hashOf(up), hashOf(down)];
      };
      const results = [await work(1), await work(3)];
      expect(results.flat()).toEqual(expected);
      counted.mockRestore();
      // Both ends count each; the first is that of the login.
      rekeys = rekeys / 2 - 1;
      // 32 MiB in all, and whoever has had one MiB asks for new keys.
      expect(rekeys).toBeGreaterThanOrEqual(20);
    },
    30_000,
  );

  it('after a time, while nothing moves', async () => {
    const ends = pair({ limits: { rekeyMs: 20 } });
    const [a, b] = await linked(ends);
    b.accept();
    await a.reply;
    for (let round = 0; round < 5; round++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      await a.write(`round ${round}`);
      expect(Buffer.from((await b.read()) as Uint8Array).toString()).toBe(`round ${round}`);
    }
  });
});

describe('frames$', () => {
  it('shows the messages of the connection protocol, with the ids of their streams', async () => {
    const ends = pair();
    await ends.client.ping();
    const frames: string[] = [];
    ends.client.frames$.subscribe(({ direction, name, streamId, length }) =>
      frames.push(`${direction} ${name} ${streamId} ${length}`),
    );
    const [a, b] = await linked(ends, { a: 'b' });
    void a.send('hello');
    await b.send(b.data$);
    await all(a);
    await a.closed;
    await ends.client.close();
    expect(frames.filter((line) => !line.includes('ADJUST'))).toEqual([
      'out CHANNEL_OPEN 1 47',
      'in CHANNEL_OPEN_CONFIRMATION 1 21',
      'out CHANNEL_DATA 1 14',
      'out CHANNEL_EOF 1 5',
      'in CHANNEL_DATA 1 14',
      'in CHANNEL_EOF 1 5',
      'out CHANNEL_CLOSE 1 5',
      expect.stringMatching(/in CHANNEL_CLOSE [01] 5/),
      'out DISCONNECT 0 13',
    ]);
  });
});

describe('after the last message', () => {
  it('what comes in the clear is no message, whoever puts it there', async () => {
    const [near, left] = memoryPair();
    const [right, far] = memoryPair();
    const relay = (from: Transport, to: Transport, onEnd: () => void): void =>
      from.start({ onData: (chunk) => to.write([chunk]), onEnd, onDrain: () => {}, onClose: () => {} });
    let inject = (): void => {};
    const injected = new Promise<void>((resolve) => {
      inject = (): void => {
        // CHANNEL_OPEN of a session (RFC 4254 §6.1), by somebody who has no keys, instead of the client's end.
        const open = Buffer.alloc(1 + 4 + 7 + 12);
        open[0] = 90;
        open.writeUInt32BE(7, 1);
        open.write('session', 5);
        open.writeUInt32BE(77, 12);
        open.writeUInt32BE(100_000, 16);
        open.writeUInt32BE(32_768, 20);
        // The server has said goodbye by then, and waits for the end of the transport.
        setTimeout(() => right.write([open]), 10);
        setTimeout(resolve, 20);
      };
    });
    relay(left, right, () => inject());
    relay(right, left, () => {});
    const client = ssh(trusting())(near, { role: 'client' });
    const server = ssh(trusting({ serve: ['exec'] }))(far, { role: 'server' });
    trackPair([client, server]);
    open.push({ client, server });
    await client.ping();
    const heard: string[] = [];
    server.frames$.subscribe({
      next: ({ direction, name }) => {
        if (direction === 'in') heard.push(name);
      },
      error: () => {},
    });
    client.close().catch(() => {});
    server.closed.catch(() => {});
    await injected;
    expect(heard).not.toContain('CHANNEL_OPEN');
    expect(heard.at(-1)).toBe('DISCONNECT');
  });
});

describe('numbers of channels', () => {
  it('are used again, the lowest first', async () => {
    const ends = pair({ limits: { maxStreams: 4, backlog: 4 } });
    for (let round = 0; round < 50; round++) {
      const streams = [await linked(ends), await linked(ends), await linked(ends)];
      await Promise.all(
        streams.flatMap(([a, b]) => [a.send('x'), b.send('y'), all(a), all(b), a.closed, b.closed]),
      );
    }
    const last = ends.client.newStream();
    expect(last.id).toBe(301);
    last.reset();
  });
});

describe('sessions between two ends of ours', () => {
  const serve = { serve: ['exec', 'shell', 'subsystem'] } as const;

  it('have standard error apart, an exit status, sizes and signals', async () => {
    const ends = pair({ server: serve });
    const headers = { ':ssh': 'shell', ':term': 'xterm', ':columns': '80', ':rows': '24', lang: 'C' };
    const [a, b] = await linked(ends, headers);
    expect(b.headers.toJSON()).toEqual({ ...headers, ':width': '0', ':height': '0' });
    const sizes: unknown[] = [];
    const signals: string[] = [];
    const there = sessionOf(b);
    there.resizes$.subscribe((size) => sizes.push(size));
    there.signals$.subscribe((name) => signals.push(name));
    b.accept();
    await a.reply;
    sessionOf(a).resize({ columns: 100, rows: 30 });
    sessionOf(a).signal('SIGINT');
    await a.write('input');
    expect(Buffer.from((await b.read()) as Uint8Array).toString()).toBe('input');
    expect(sizes).toEqual([{ columns: 100, rows: 30, width: 0, height: 0 }]);
    expect(signals).toEqual(['INT']);
    const errors = Buffer.alloc(300_000, 'err ');
    const heard = new Promise<Buffer>((resolve) => {
      const chunks: Uint8Array[] = [];
      sessionOf(a).stderr$.subscribe({
        next: (chunk) => chunks.push(chunk),
        complete: () => resolve(Buffer.concat(chunks)),
      });
    });
    await there.writeStderr(errors);
    await b.write('output');
    await b.end({ ':exit-status': '42' });
    expect((await all(a)).toString()).toBe('output');
    expect((await a.trailers)?.get(':exit-status')).toBe('42');
    expect(hashOf(await heard)).toBe(hashOf(errors));
    await b.closed;
    await a.end().catch(() => {});
    await a.closed;
  });

  it('go on when nobody reads standard error, of which the first 64 KiB are there for a late reader', async () => {
    const ends = pair({ server: serve, limits: { windowBytes: 32_768 } });
    const [a, b] = await linked(ends, { ':ssh': 'exec', ':command': 'x' });
    const there = sessionOf(b);
    const pieces = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(letter === 'd' ? 3000 : 30_000));
    for (const piece of pieces) await there.writeStderr(piece);
    await b.write('output');
    expect(Buffer.from((await a.read()) as Uint8Array).toString()).toBe('output');
    const heard: string[] = [];
    const over = new Promise<void>((resolve) => {
      sessionOf(a).stderr$.subscribe({
        next: (chunk) => heard.push(Buffer.from(chunk).toString()),
        complete: resolve,
      });
    });
    await new Promise((resolve) => setImmediate(resolve));
    await there.writeStderr(pieces[0] as string);
    await b.end({ ':exit-status': '0' });
    await over;
    expect(heard.join('')).toBe(pieces.join('').slice(0, 65_536) + pieces[0]);
    expect(a.stats.queuedIn).toBe(0);
    await a.end().catch(() => {});
  });

  it('keep standard error in memory of its own, without holes, and credit every byte once', async () => {
    const released: number[] = [];
    const host = { resize: () => {}, signal: () => {}, side: () => {} };
    const part = new SessionPart({ ...host, released: (bytes) => released.push(bytes) }, 8);
    const read = new Uint8Array(65_536).fill(1);
    for (const bytes of [5, 6, 1]) part.received(read.subarray(0, bytes));
    expect(released).toEqual([5, 6, 1]);
    const heard: Uint8Array[] = [];
    part.stderr$.subscribe((chunk) => heard.push(chunk));
    await Promise.resolve();
    part.received(read.subarray(0, 3));
    expect(heard.map(({ byteLength }) => byteLength)).toEqual([8, 3]);
    expect(heard[0]?.buffer.byteLength).toBe(8);
    expect(released).toEqual([5, 6, 1, 3]);
  });

  it('have it from the moment they are opened, through operators too', async () => {
    const ends = pair({ server: serve });
    const a = ends.client.pipe(limit({ streams: 5 })).newStream({ ':ssh': 'exec', ':command': 'x' });
    const heard: number[] = [];
    sessionOf(a).stderr$.subscribe((chunk) => heard.push(chunk.byteLength));
    sessionOf(a).signal('TERM');
    const b = (await ends.server.accept()) as Stream;
    const signal = firstValueFrom(sessionOf(b).signals$);
    b.accept();
    expect(await signal).toBe('TERM');
    await sessionOf(b).writeStderr('no good');
    await b.end({ ':exit-status': '1' });
    expect((await a.trailers)?.get(':exit-status')).toBe('1');
    expect(heard).toEqual([7]);
    void a.end().catch(() => {});
    const unsent = ends.client.newStream({ ':ssh': 'exec', ':command': 'y' });
    const { stderr$ } = sessionOf(unsent);
    unsent.reset();
    await expect(lastValueFrom(stderr$)).rejects.toMatchObject({ code: 'reset' });
    expect(() => sessionOf(ends.client.newStream())).toThrow(/is no session of SSH/);
  });

  it('whose standard error nobody reads keep the first of it, and do not stop for it', async () => {
    const ends = pair({ server: serve, limits: { windowBytes: 128 * 1024 } });
    const [a, b] = await linked(ends, { ':ssh': 'exec', ':command': 'x' });
    await sessionOf(b).writeStderr(Buffer.alloc(MiB, 'e'));
    await b.send('done');
    expect((await all(a)).toString()).toBe('done');
    let kept = 0;
    sessionOf(a).stderr$.subscribe((chunk) => {
      kept += chunk.byteLength;
    });
    await b.closed;
    await new Promise((resolve) => setImmediate(resolve));
    expect(kept).toBe(64 * 1024);
    a.reset();
  });

  it('are refused where they are not served', async () => {
    const ends = pair({ server: { serve: ['exec'] } });
    const shell = ends.client.newStream({ ':ssh': 'shell' });
    await expect(shell.reply).rejects.toMatchObject({ code: 'refused', retryable: false });
    const other = pair();
    const exec = other.client.newStream({ ':ssh': 'exec', ':command': 'x' });
    await expect(exec.reply).rejects.toMatchObject({ code: 'refused', wireCode: 1, retryable: false });
  });

  it('end with a signal', async () => {
    const ends = pair({ server: serve });
    const [a, b] = await linked(ends, { ':ssh': 'exec', ':command': 'x' });
    await b.end({ ':exit-signal': 'KILL' });
    await all(a);
    expect((await a.trailers)?.get(':exit-signal')).toBe('KILL');
    a.reset();
  });

  it('are sessions where they are opened too late, and fail with the reason', async () => {
    const { client } = pair({ server: serve });
    client.abort(new Error('enough'));
    const late = client.newStream({ ':ssh': 'exec', ':command': 'x' });
    await expect(lastValueFrom(sessionOf(late).stderr$)).rejects.toMatchObject({ code: 'closed' });
  });

  it('are no place for what streams of another kind have', async () => {
    const ends = pair();
    const [a] = await linked(ends);
    expect(() => sessionOf(a)).toThrow(/no session/);
    a.reset();
  });
});

it.each<[SshOptions, string]>([
  [{}, 'has another'],
  [{ host: 'elsewhere.example' }, 'not in known_hosts'],
])('a host is looked up by its one name, and not by its address: %j', async (options, why) => {
  const [near, far] = memoryPair();
  const transport = Object.assign(near, { authority: 'db.example:22', remote: '10.0.0.1:22' });
  const { host } = keys();
  const known = [
    `db.example ${host.algorithm} ${keyPair().publicKey}`,
    `10.0.0.1 ${host.algorithm} ${host.publicKey}`,
  ];
  const client = { ...options, knownHosts: known.join('\n'), verifyHost: undefined as never };
  const ends = { client: ssh(trusting(client))(transport), server: ssh(trusting())(far, { role: 'server' }) };
  trackPair([ends.client, ends.server]);
  open.push(ends);
  const error = await failureOf(ends.client);
  expect(error).toMatchObject({ cause: { reason: 'host-key' } });
  expect(error.message).toContain(why);
});

describe('what an application gets wrong throws at once', () => {
  const both = trusting();
  const start = (options: SshOptions, role: 'client' | 'server') => () =>
    ssh(options)(memoryPair()[0], { role });

  it.each<[string, () => unknown, RegExp]>([
    [
      'a client without a check of the host',
      start({ username: 'a' }, 'client'),
      /"knownHosts" or "verifyHost"/,
    ],
    ['a client without a name', start({ verifyHost: () => true }, 'client'), /"username"/],
    ['a server without keys', start({ authenticate: () => true }, 'server'), /"hostKeys"/],
    [
      'a server that cannot decide',
      start({ hostKeys: both.hostKeys as string[] }, 'server'),
      /"authenticate"/,
    ],
    ['a key that is none', () => ssh({ privateKey: 'abc' }), /privateKey cannot be read/],
    [
      'a public key',
      () => ssh({ privateKey: `ssh-ed25519 ${keys().user.publicKey}` }),
      /private one is needed/,
    ],
    ...['~/.ssh/id_ed25519', 'id_rsa', 'C:\\keys\\host.pem'].flatMap(
      (path): [string, () => unknown, RegExp][] => [
        [`${path} for a key`, () => ssh({ privateKey: path }), /^privateKey .* path of a file/],
        [`${path} for a host's key`, () => ssh({ hostKeys: [path] }), /^hostKeys\[0\] .* path of a file/],
      ],
    ),
    ...[
      '/home/a/.ssh/known_hosts',
      '~/.ssh/known_hosts',
      'known_hosts',
      'known_hosts2',
      'C:\\Users\\a b\\known hosts',
      '/home/A B C/.ssh/hosts',
    ].map((path): [string, () => unknown, RegExp] => [
      `${path} for what is in it`,
      () => ssh({ knownHosts: path }),
      /^knownHosts looks like the path of a file/,
    ]),
    ['bytes for known hosts', () => ssh({ knownHosts: Buffer.alloc(300) as never }), /^knownHosts is a text/],
    ['an unknown kind of channel', () => ssh({ serve: ['x11' as never] }), /knows no channels named "x11"/],
  ])('%s', (_name, act, message) => {
    expect(act).toThrow(message);
  });

  it.each(['#n/a', '', '# a comment\n', 'host.example ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA/x', '\n\n'])(
    'knownHosts %j is no path',
    (knownHosts) => {
      expect(() => ssh({ knownHosts })).not.toThrow();
    },
  );

  it.each<[Record<string, string>, RegExp]>([
    [{ ':ssh': 'telnet' }, /is one of/],
    [{ ':ssh': 'exec' }, /needs ":command"/],
    [{ ':ssh': 'direct-tcpip', ':host': 'a', ':port': '65536' }, /from 0 to 65535/],
    [{ ':ssh': 'direct-tcpip', ':host': 'a', ':port': '1', 'x-more': '1' }, /no place for "x-more"/],
    [{ ':ssh': 'forwarded-tcpip', ':host': 'a', ':port': '1' }, /only the server/],
  ])('headers %j', (headers, message) => {
    const { client } = pair();
    expect(() => client.newStream(headers)).toThrow(message);
    expect(client.streams.size).toBe(0);
  });
});

describe('who is who', () => {
  it('verifyHost is given the key with its fingerprint, and may take its time', async () => {
    let seen: SshHostKey | undefined;
    const { client, server } = pair({
      client: {
        verifyHost: async (key) => {
          seen = key;
          await new Promise((resolve) => setTimeout(resolve, 10));
          return true;
        },
      },
      limits: { rekeyBytes: MiB },
    });
    await client.ping();
    const { publicKey } = keys().host;
    const hash = createHash('sha256')
      .update(Buffer.from(publicKey, 'base64'))
      .digest('base64')
      .replace(/=$/, '');
    expect(seen).toMatchObject({ algorithm: 'ssh-ed25519', fingerprint: `SHA256:${hash}` });
    expect(loginOf(server)).toMatchObject({ username: 'alice', method: 'publickey' });
    expect(Buffer.from(loginOf(server)?.key as Uint8Array).toString('base64')).toBe(keys().user.publicKey);
  });

  it('a host that verifyHost does not accept: host-key, said by us', async () => {
    const { client } = pair({ client: { verifyHost: () => false } });
    const stream = client.newStream();
    const error = await failureOf(client);
    expect(error).toMatchObject({ code: 'closed', remote: false, cause: { reason: 'host-key' } });
    await expect(stream.reply).rejects.toBe(error);
  });

  it('a verifyHost that fails accepts nobody', async () => {
    const { client } = pair({ client: { verifyHost: () => Promise.reject(new Error('no idea')) } });
    expect(await failureOf(client)).toMatchObject({ cause: { reason: 'host-key' } });
  });

  it('a key that is not let in: user-key; a password: password; both: no-method', async () => {
    const stranger = keyPair().privateKey;
    const cases: [SshOptions, string][] = [
      [{ privateKey: stranger }, 'user-key'],
      [{ privateKey: undefined as never, password: 'x' }, 'password'],
      [{ privateKey: stranger, password: 'x' }, 'no-method'],
      [{ privateKey: undefined as never }, 'no-method'],
    ];
    for (const [options, reason] of cases) {
      const { client } = pair({ client: options });
      expect(await failureOf(client)).toMatchObject({ code: 'closed', remote: true, cause: { reason } });
    }
  });

  it('a password lets in whom authenticate lets in', async () => {
    const { client, server } = pair({
      client: { privateKey: undefined as never, password: 'open sesame' },
      server: {
        authenticate: (attempt) => attempt.method === 'password' && attempt.password === 'open sesame',
      },
    });
    await client.ping();
    expect(loginOf(server)).toEqual({ username: 'alice', method: 'password' });
  });

  it('a client that closes before it is logged in has broken no rule', async () => {
    const ends = pair({
      server: {
        authenticate: () => {
          void ends.client.close().catch(() => {});
          return new Promise(() => {});
        },
      },
    });
    await expect(ends.server.closed).rejects.toMatchObject({
      code: 'closed',
      remote: true,
      cause: { reason: 'disconnect' },
    });
  });

  it('a key that is only offered has logged nobody in', async () => {
    const seen: unknown[] = [];
    const ends: Ends = pair({
      server: {
        authenticate: ({ method }) => {
          seen.push(method, loginOf(ends.server));
          return true;
        },
      },
    });
    await ends.client.ping();
    expect(seen).toEqual(['publickey', undefined, 'publickey', undefined]);
    expect(loginOf(ends.server)).toMatchObject({ username: 'alice', method: 'publickey' });
  });

  it('an authenticate that throws lets nobody in', async () => {
    const { client } = pair({
      server: {
        authenticate: () => {
          throw new Error('the directory is down');
        },
      },
    });
    expect(await failureOf(client)).toMatchObject({ cause: { reason: 'user-key' } });
  });

  it('ends without an algorithm in common: algorithm, at both', async () => {
    const { client, server } = pair({
      client: { algorithms: { cipher: ['aes128-ctr'] } },
      server: { algorithms: { cipher: ['aes256-ctr'] } },
    });
    expect(await failureOf(client)).toMatchObject({ code: 'closed', cause: { reason: 'algorithm' } });
    expect((await failureOf(server)).cause).toMatchObject({ name: 'SshError' });
  });
});

describe('forwarding', () => {
  it('is refused where it is not served, and asked for by clients only', async () => {
    const { client, server } = pair();
    await expect(forward(client, { port: 0 })).rejects.toMatchObject({ code: 'refused' });
    expect(() => forward(server, { port: 0 })).toThrow(/only the client/);
  });

  it('listens on loopback alone, and only so often', async () => {
    const { client } = pair({ server: { serve: ['forwarded-tcpip'] }, limits: { maxForwards: 2 } });
    await expect(forward(client, { host: '10.0.0.1', port: 0 })).rejects.toMatchObject({ code: 'refused' });
    await expect(forward(client, { port: 80 })).rejects.toMatchObject({ code: 'refused' });
    const first = await forward(client, { host: '0.0.0.0', port: 0 });
    await forward(client, { port: 0 });
    await expect(forward(client, { port: 0 })).rejects.toMatchObject({ code: 'refused' });
    await first.close();
    await forward(client, { port: 0 });
  });

  const forwarding = (): Ends => {
    const serve: SshOptions = { serve: ['forwarded-tcpip'] };
    return pair({ client: serve, server: serve });
  };

  it('takes a connection that comes right behind the answer', async () => {
    const { client, server } = forwarding();
    const first = await forward(client, { port: 0 });
    const { port } = first;
    await first.close();
    let opened: Stream | undefined;
    server.frames$.subscribe(({ direction, name }) => {
      if (direction !== 'out' || name !== 'REQUEST_SUCCESS') return;
      opened ??= server.newStream({ ':ssh': 'forwarded-tcpip', ':host': 'localhost', ':port': String(port) });
    });
    await forward(client, { port });
    const stream = (await client.accept()) as Stream;
    stream.accept();
    await opened?.reply;
    stream.reset();
  });

  it('listens on both addresses of a port, each until it is closed', async () => {
    const { client } = forwarding();
    client.accept$.subscribe({ next: (stream) => void stream.send(stream.data$), error: () => {} });
    const four = await forward(client, { host: '127.0.0.1', port: 0 });
    const six = await forward(client, { host: '::1', port: four.port });
    await four.close();
    const socket = dial({ host: '::1', port: six.port });
    socket.end('hello');
    expect((await all(socket)).toString()).toBe('hello');
    await four.close();
    await six.close();
    const [error] = (await once(dial({ host: '::1', port: six.port }), 'error')) as [{ code: string }];
    expect(error.code).toBe('ECONNREFUSED');
  });

  it('a server may leave the port out that it chose itself, where it chose one alone', async () => {
    const { client, server } = forwarding();
    const open = (): Stream =>
      server.newStream({ ':ssh': 'forwarded-tcpip', ':host': 'localhost', ':port': '0' });
    const refused = (stream: Stream): Promise<void> =>
      expect(stream.reply).rejects.toMatchObject({ code: 'refused', wireCode: 1 });
    const first = await forward(client, { port: 0 });
    const named = await forward(client, { host: '::1', port: first.port });
    open();
    const stream = (await client.accept()) as Stream;
    expect(stream.headers.get(':port')).toBe(String(first.port));
    stream.reset();
    await refused(server.newStream({ ':ssh': 'forwarded-streamlocal', ':path': '0' }));
    const second = await forward(client, { port: 0 });
    await refused(open());
    await first.close();
    open();
    const another = (await client.accept()) as Stream;
    expect(another.headers.get(':port')).toBe(String(second.port));
    another.reset();
    await second.close();
    await refused(open());
    await named.close();
  });

  it('a server opens nothing that nobody asked for', async () => {
    const { server, client } = pair({ client: { serve: ['forwarded-tcpip'] } });
    await client.ping();
    const stream = server.newStream({ ':ssh': 'forwarded-tcpip', ':host': 'x', ':port': '1' });
    await expect(stream.reply).rejects.toMatchObject({ code: 'refused', wireCode: 1 });
  });
});

describe('a standard channel', () => {
  it('is a stream at both ends', async () => {
    const ends = pair({ server: { serve: ['direct-tcpip', 'direct-streamlocal'] } });
    const [a, b] = await linked(ends, { ':ssh': 'direct-tcpip', ':host': 'db', ':port': '5432' });
    expect(b.headers.toJSON()).toMatchObject({ ':ssh': 'direct-tcpip', ':host': 'db', ':port': '5432' });
    const [back] = await Promise.all([all(a), a.send('query'), b.send(b.data$)]);
    expect(back.toString()).toBe('query');
    const [c, d] = await linked(ends, { ':ssh': 'direct-streamlocal', ':path': '/run/db' });
    d.reject('internal-error');
    await expect(c.reply).rejects.toMatchObject({ code: 'refused', wireCode: 2, reset: 'internal-error' });
  });
});

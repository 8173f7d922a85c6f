import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { appendFile, readFile } from 'node:fs/promises';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { type Provider, type Stream, toDuplex } from 'rxmux/node';
import { forward, sessionOf } from 'rxmux/ssh';
import { SshLink } from '../../lib/ssh/link.js';
import { describeWithPeer } from '../support/interop.js';
import { type Daemon, ended, type Keyring, keygen, makeKeys, run, sshd, startSshd } from './openssh.js';

const MiB = 1024 * 1024;

async function all(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const text = async (stream: AsyncIterable<Uint8Array>): Promise<string> => (await all(stream)).toString();

function exec(provider: Provider, command: string, more: Record<string, string> = {}): Stream {
  return provider.newStream({ ':ssh': 'exec', ':command': command, ...more });
}

async function exitOf(stream: Stream): Promise<string | undefined> {
  const trailers = await stream.trailers;
  return trailers?.get(':exit-status') ?? trailers?.get(':exit-signal');
}

/** 16 bytes of a pattern that shows what is lost, doubled or moved. */
function pattern(bytes: number): Buffer {
  const result = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) result.writeUInt32BE(at / 4, at);
  return result;
}

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describeWithPeer('SSH and OpenSSH’s sshd', [sshd, keygen], () => {
  let keys: Keyring;
  let daemon: Daemon;
  let provider: Provider;

  beforeAll(async () => {
    keys = await makeKeys();
    daemon = await startSshd(keys);
  }, 30_000);

  afterAll(async () => {
    await daemon?.end();
    await keys?.remove();
  });

  beforeEach(async () => {
    provider = await daemon.open();
  });

  afterEach(async () => {
    provider.abort(new Error('the test is over'));
    await provider.closed.catch(() => {});
  });

  it('a command says what it has to say, and how it ended', async () => {
    const stream = exec(provider, 'echo out; echo err >&2; exit 3');
    await stream.end();
    const session = sessionOf(stream);
    const errors: Uint8Array[] = [];
    session.stderr$.subscribe({ next: (chunk) => errors.push(chunk), error: () => {} });
    expect(await text(stream)).toBe('out\n');
    expect(await exitOf(stream)).toBe('3');
    await stream.closed;
    expect(Buffer.concat(errors).toString()).toBe('err\n');
  });

  it('a command whose input we end behind its output tells how it ended', async () => {
    // It ends its output, waits for our end, and exits behind that.
    const stream = exec(provider, 'exec 1>&- 2>&-; cat >/dev/null; exit 5');
    expect(await text(stream)).toBe('');
    await stream.end();
    expect(await exitOf(stream)).toBe('5');
    await stream.closed;
  });

  it('a command reads its input to the end, and 10 MiB come back whole after the half-close', async () => {
    const bytes = pattern(10 * MiB);
    const stream = exec(provider, 'cat');
    const [back] = await Promise.all([all(stream), stream.send(bytes)]);
    expect(hashOf(back)).toBe(hashOf(bytes));
    expect(await exitOf(stream)).toBe('0');
    await stream.closed;
  });

  it('a command may have several lines', async () => {
    const stream = exec(provider, 'for word in \'a\tb\' c\ndo\n  echo "<$word>"\r\ndone');
    await stream.end();
    expect(await text(stream)).toBe('<a\tb>\r\n<c>\r\n');
    expect(await exitOf(stream)).toBe('0');
  });

  it('a command that is killed tells of the signal', async () => {
    const stream = exec(provider, 'kill -TERM $$');
    await stream.end();
    await text(stream);
    expect(await exitOf(stream)).toBe('TERM');
  });

  it('a command that does not read its input stops us, and nothing is lost of what it says', async () => {
    const stream = exec(provider, 'echo done');
    const sending = stream.send(Buffer.alloc(32 * MiB));
    expect(await text(stream)).toBe('done\n');
    await expect(sending).rejects.toMatchObject({ code: 'stopped', remote: true });
    expect(await exitOf(stream)).toBe('0');
  });

  it('plain headers are variables of the environment', async () => {
    const stream = exec(provider, 'echo "$STREAM_PATH"', { stream_path: '/x' });
    await stream.end();
    expect(await text(stream)).toBe('/x\n');
  });

  it('variables whose names are not in upper case have a header of their own', async () => {
    const command = 'echo "$STREAM_PATH $STREAM_path $STREAM_empty."';
    const headers = [
      [':ssh', 'exec'],
      [':command', command],
      ['stream_path', '/x'],
      [':env', 'STREAM_path=a=b'],
      [':env', 'STREAM_empty'],
    ] as const;
    const stream = provider.newStream(headers);
    await stream.end();
    expect(await text(stream)).toBe('/x a=b .\n');
  });

  it('a shell has a terminal, which can be resized', async () => {
    const stream = provider.newStream({ ':ssh': 'shell', ':term': 'xterm', ':columns': '80', ':rows': '24' });
    await stream.reply;
    const session = sessionOf(stream);
    let seen = '';
    const reading = (async () => {
      for await (const chunk of stream) seen += Buffer.from(chunk).toString();
    })();
    await stream.write('stty -echo; stty size; echo "first"-done\n');
    await until(() => seen.includes('first-done'));
    expect(seen).toContain('24 80');
    session.resize({ columns: 132, rows: 50 });
    await stream.write('stty size; exit 7\n');
    await reading;
    expect(seen).toContain('50 132');
    expect(await exitOf(stream)).toBe('7');
  });

  it('sftp speaks on its subsystem', async () => {
    const stream = provider.newStream({ ':ssh': 'subsystem', ':subsystem': 'sftp' });
    // SSH_FXP_INIT, version 3 (draft-ietf-secsh-filexfer-02 §4).
    await stream.write(Uint8Array.of(0, 0, 0, 5, 1, 0, 0, 0, 3));
    const answer = (await stream.read()) as Uint8Array;
    expect([...answer.subarray(4, 9)]).toEqual([2, 0, 0, 0, 3]);
    await stream.end();
    await all(stream);
  });

  it('an unknown subsystem is refused', async () => {
    const stream = provider.newStream({ ':ssh': 'subsystem', ':subsystem': 'no-such-thing' });
    await expect(stream.reply).rejects.toMatchObject({ code: 'refused', remote: true, retryable: false });
  });

  it('streams of our own are refused with a reason that says what the peer is', async () => {
    const stream = provider.newStream({ 'x-a': 'b' });
    await expect(stream.reply).rejects.toMatchObject({
      code: 'refused',
      remote: true,
      wireCode: expect.any(Number),
    });
    await expect(stream.reply).rejects.toThrow(/may know no streams of rxmux/);
  });

  describe('forwarding', () => {
    let server: Server;
    let port: number;

    beforeEach(async () => {
      server = createServer({ allowHalfOpen: true }, (socket: Socket) => socket.pipe(socket));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      ({ port } = server.address() as { port: number });
    });

    afterEach(async () => {
      server.close();
      await once(server, 'close');
    });

    it('a TCP service is reached through it', async () => {
      const bytes = pattern(3 * MiB);
      const stream = provider.newStream({
        ':ssh': 'direct-tcpip',
        ':host': '127.0.0.1',
        ':port': String(port),
      });
      const [back] = await Promise.all([all(stream), stream.send(bytes)]);
      expect(hashOf(back)).toBe(hashOf(bytes));
      await stream.closed;
    });

    it('a service that is not there is a refusal', async () => {
      const stream = provider.newStream({ ':ssh': 'direct-tcpip', ':host': '127.0.0.1', ':port': '1' });
      await expect(stream.reply).rejects.toMatchObject({
        code: 'refused',
        wireCode: 2,
        reset: 'internal-error',
      });
    });

    it('a stream is the socket of whoever wants one', async () => {
      const stream = provider.newStream({
        ':ssh': 'direct-tcpip',
        ':host': '127.0.0.1',
        ':port': String(port),
      });
      const socket = toDuplex(stream);
      socket.end('through a duplex');
      const chunks: Buffer[] = [];
      for await (const chunk of socket) chunks.push(chunk as Buffer);
      expect(Buffer.concat(chunks).toString()).toBe('through a duplex');
    });

    it('a unix socket is reached through it', async () => {
      const path = join(keys.folder, 'echo.sock');
      const unix = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(path);
      await once(unix, 'listening');
      const stream = provider.newStream({ ':ssh': 'direct-streamlocal', ':path': path });
      const [back] = await Promise.all([text(stream), stream.send('to the unix')]);
      expect(back).toBe('to the unix');
      unix.close();
      await once(unix, 'close');
    });

    it('it listens for us, on a port and on a path, until it is told not to', async () => {
      const tcp = await forward(provider, { port: 0 });
      expect(tcp.port).toBeGreaterThan(0);
      const path = join(keys.folder, 'forward.sock');
      const unix = await forward(provider, { path });
      for (const where of [{ host: '127.0.0.1', port: tcp.port }, { path }]) {
        const socket = dial(where);
        const stream = (await provider.accept()) as Stream;
        expect(stream.headers.get(':ssh')).toBe(
          'path' in where ? 'forwarded-streamlocal' : 'forwarded-tcpip',
        );
        const sending = stream.send(stream.data$);
        socket.end('hello');
        expect(await text(socket)).toBe('hello');
        await sending;
      }
      await tcp.close();
      await unix.close();
      const [refused] = (await once(dial({ host: '127.0.0.1', port: tcp.port }), 'error')) as [
        { code: string },
      ];
      expect(refused.code).toBe('ECONNREFUSED');
      const [gone] = (await once(dial({ path }), 'error')) as [{ code: string }];
      expect(['ECONNREFUSED', 'ENOENT']).toContain(gone.code);
    });
  });

  it('a reset closes the channel at once, and its number is not used before the peer has closed it too', async () => {
    const stream = exec(provider, 'cat');
    await stream.reply;
    stream.reset('cancel');
    await expect(stream.closed).rejects.toMatchObject({ code: 'reset', remote: false });
    const others = Array.from({ length: 20 }, (_, at) => exec(provider, `echo ${at}`));
    for (const other of others) await other.end();
    expect(await Promise.all(others.map(text))).toEqual(others.map((_, at) => `${at}\n`));
  }, 20_000);

  it('twenty-five commands at a time have their own output', async () => {
    const streams = Array.from({ length: 25 }, (_, at) => exec(provider, `echo ${at}; cat`));
    const outputs = await Promise.all(
      streams.map(async (stream, at) => {
        void stream.send(`in ${at}`);
        return text(stream);
      }),
    );
    expect(outputs).toEqual(streams.map((_, at) => `${at}\nin ${at}`));
  }, 20_000);

  it.each(['aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes128-ctr', 'aes256-ctr'])(
    '%s carries 4 MiB both ways',
    async (cipher) => {
      const other = await daemon.open({ algorithms: { cipher: [cipher] } });
      const bytes = pattern(4 * MiB);
      const stream = exec(other, 'cat');
      const [back] = await Promise.all([all(stream), stream.send(bytes)]);
      expect(hashOf(back)).toBe(hashOf(bytes));
      await other.close();
    },
  );

  it.each(['hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256'])('%s is a MAC that both know', async (mac) => {
    const other = await daemon.open({ algorithms: { cipher: ['aes128-ctr'], mac: [mac] } });
    const stream = exec(other, 'cat');
    const [back] = await Promise.all([text(stream), stream.send('authentic')]);
    expect(back).toBe('authentic');
    await other.close();
  });

  it('it asks for new keys after every MiB, and every byte arrives', async () => {
    const keyed = jest.spyOn(SshLink.prototype, 'keyed');
    const strict = await startSshd(keys, ['RekeyLimit 1M']);
    const other = await strict.open();
    const bytes = pattern(24 * MiB);
    const stream = exec(other, 'cat');
    const [back] = await Promise.all([all(stream), stream.send(bytes)]);
    expect(hashOf(back)).toBe(hashOf(bytes));
    expect(keyed.mock.calls.length).toBeGreaterThan(20);
    keyed.mockRestore();
    await other.close();
    await strict.end();
  }, 30_000);

  it('we ask for new keys, and every byte arrives', async () => {
    const keyed = jest.spyOn(SshLink.prototype, 'keyed');
    const other = await daemon.open({}, { rekeyBytes: MiB });
    const bytes = pattern(24 * MiB);
    const stream = exec(other, 'cat');
    const [back] = await Promise.all([all(stream), stream.send(bytes)]);
    expect(hashOf(back)).toBe(hashOf(bytes));
    expect(keyed.mock.calls.length).toBeGreaterThan(20);
    keyed.mockRestore();
    await other.close();
  }, 30_000);

  it('close() ends a connection without streams, and the daemon takes it well', async () => {
    await expect(provider.ping()).resolves.toBeGreaterThan(0);
    await provider.close();
  });

  describe('logging in', () => {
    const failureOf = async (more: Parameters<Daemon['open']>[0]): Promise<unknown> => {
      const other = await daemon.open(more);
      return other.closed.then(
        () => undefined,
        (error: unknown) => error,
      );
    };

    it('with a key that is not let in: user-key', async () => {
      const error = await failureOf({ privateKey: await keys.privateKey('stranger') });
      expect(error).toMatchObject({ code: 'closed', remote: true, cause: { reason: 'user-key' } });
    });

    it('with a key that only an agent has', async () => {
      const socket = join(keys.folder, 'agent.sock');
      const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
      await untilTrue(
        async () => (await run('env', [`SSH_AUTH_SOCK=${socket}`, 'ssh-add', '-l'])).code === 1,
      );
      const without = await failureOf({ privateKey: undefined as never, agent: socket });
      expect(without).toMatchObject({ cause: { reason: 'user-key' } });
      await run('env', [`SSH_AUTH_SOCK=${socket}`, 'ssh-add', '-q', keys.files.user]);
      const other = await daemon.open({ privateKey: undefined as never, agent: socket });
      const stream = exec(other, 'cat');
      const [back] = await Promise.all([text(stream), stream.send('by the agent')]);
      expect(back).toBe('by the agent');
      await other.close();
      await ended(agent);
    });

    it('with RSA and ECDSA keys, and one with a passphrase', async () => {
      const authorized = join(keys.folder, 'authorized_keys');
      for (const [type, passphrase] of [
        ['rsa', ''],
        ['ecdsa', 'open sesame'],
      ] as const) {
        const file = join(keys.folder, `user-${type}`);
        await run('ssh-keygen', ['-q', '-t', type, '-a', '1', '-N', passphrase, '-f', file]);
        await appendFile(authorized, await readFile(`${file}.pub`, 'utf8'));
        const privateKey = await readFile(file, 'utf8');
        const other = await daemon.open({ privateKey, ...(passphrase === '' ? {} : { passphrase }) });
        const stream = exec(other, 'cat');
        const [back] = await Promise.all([text(stream), stream.send(type)]);
        expect(back).toBe(type);
        await other.close();
      }
    }, 30_000);

    it('with a password where only keys are taken: password', async () => {
      const { username } = await daemon.client();
      const other = await daemon.open({
        privateKey: undefined as never,
        password: 'guess',
        username: username as string,
      });
      const error = await other.closed.catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'closed', cause: { reason: 'password' } });
      expect(String((error as Error).message)).toContain('the server takes publickey');
    });

    it('to a host whose key is another one, is revoked, or is not known', async () => {
      const host = `[127.0.0.1]:${daemon.port}`;
      const wrong = await failureOf({ knownHosts: `${host} ${await keys.publicKey('stranger')}\n` });
      expect(wrong).toMatchObject({ code: 'closed', cause: { reason: 'host-key' } });
      expect((wrong as Error).message).toContain('has another');
      const revoked = await failureOf({ knownHosts: `@revoked * ${await keys.publicKey('host')}\n` });
      expect(revoked).toMatchObject({ cause: { reason: 'revoked' } });
      const unknown = await failureOf({ knownHosts: '' });
      expect(unknown).toMatchObject({ cause: { reason: 'host-key' } });
      expect((unknown as Error).message).toContain('not in known_hosts');
    });

    it('where only old algorithms are left: algorithm', async () => {
      const old = await startSshd(keys, ['KexAlgorithms diffie-hellman-group14-sha1']);
      const other = await old.open();
      const error = await other.closed.catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'closed', cause: { reason: 'algorithm' } });
      await old.end();
    });

    it('a stream that was opened before fails with the same reason', async () => {
      const other = await daemon.open({ privateKey: await keys.privateKey('stranger') });
      const stream = exec(other, 'true');
      await expect(stream.reply).rejects.toMatchObject({ cause: { reason: 'user-key' } });
      await expect(other.ping()).rejects.toMatchObject({ cause: { reason: 'user-key' } });
      await other.closed.catch(() => {});
    });
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function untilTrue(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

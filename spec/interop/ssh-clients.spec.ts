import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { type Provider, type Stream, toDuplex } from 'rxmux/node';
import { loginOf, sessionOf } from 'rxmux/ssh';
import { SshLink } from '../../lib/ssh/link.js';
import { describeWithPeer } from '../support/interop.js';
import {
  dropbear,
  ended,
  type Keyring,
  keygen,
  makeKeys,
  type OurServer,
  openssh,
  run,
  startOurs,
} from './openssh.js';

const MiB = 1024 * 1024;
const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** What a server of ours does for stock clients: a few commands, and connections to wherever they say. */
function serve(provider: Provider): void {
  provider.accept$.subscribe({ next: (stream) => void answer(stream).catch(() => {}), error: () => {} });
}

async function answer(stream: Stream): Promise<void> {
  const { headers } = stream;
  switch (headers.get(':ssh')) {
    case 'exec':
      await command(stream, headers.get(':command') ?? '');
      break;
    case 'shell':
      await stream.send(`a shell on ${headers.get(':term')}\n`);
      break;
    case 'subsystem':
      await stream.write(`${headers.get(':subsystem')} at ${headers.get('stream_path')}\n`);
      await stream.send(stream.data$);
      break;
    case 'direct-tcpip':
      carry(
        stream,
        dial({
          host: headers.get(':host') as string,
          port: Number(headers.get(':port')),
          allowHalfOpen: true,
        }),
      );
      break;
    case 'direct-streamlocal':
      carry(stream, dial({ path: headers.get(':path') as string, allowHalfOpen: true }));
      break;
  }
}

async function command(stream: Stream, line: string): Promise<void> {
  const [name, argument] = line.split(' ');
  switch (name) {
    case 'cat':
      await stream.send(stream.data$);
      break;
    case 'exit':
      await stream.write('going\n');
      await stream.end({ ':exit-status': argument as string });
      break;
    case 'die':
      await stream.end({ ':exit-signal': 'TERM' });
      break;
    case 'complain':
      await sessionOf(stream).writeStderr('no good\n');
      await stream.end({ ':exit-status': '1' });
      break;
    case 'env':
      await stream.send(JSON.stringify(stream.headers));
      break;
    case 'echo':
      await stream.send(line.slice(5));
      break;
    case 'give':
      await stream.send(supply(Number(argument)));
      break;
    case 'hash': {
      const hash = createHash('sha256');
      for await (const chunk of stream) hash.update(chunk);
      await stream.send(`${hash.digest('hex')}\n`);
      break;
    }
    default:
      stream.reject();
  }
}

function* supply(bytes: number): Generator<Uint8Array> {
  for (let left = bytes; left > 0; left -= 65_536)
    yield new Uint8Array(Math.min(left, 65_536)).fill(left % 251);
}

function supplied(bytes: number): Buffer {
  return Buffer.concat([...supply(bytes)]);
}

/** Accepted once the other side has been reached. */
function carry(stream: Stream, socket: Socket): void {
  socket.on('error', () => {
    if (stream.state === 'opening') stream.reject('internal-error');
    else stream.reset('internal-error');
  });
  socket.on('connect', () => {
    const duplex = toDuplex(stream.accept());
    duplex.on('error', () => socket.destroy());
    socket.pipe(duplex).pipe(socket);
  });
}

describeWithPeer('our SSH server and stock clients', [openssh, dropbear, keygen], () => {
  let keys: Keyring;
  let ours: OurServer;
  let echo: Server;
  let echoPort: number;

  const everything = [
    'exec',
    'shell',
    'subsystem',
    'direct-tcpip',
    'direct-streamlocal',
    'forwarded-tcpip',
    'forwarded-streamlocal',
  ] as const;
  const ssh = (args: readonly string[], input: string | Uint8Array = '') =>
    run('ssh', [...ours.sshOptions, ...args], input);

  beforeAll(async () => {
    keys = await makeKeys();
    ours = await startOurs(keys, { serve: [...everything] }, serve);
    echo = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {});
      socket.pipe(socket);
    });
    echo.listen(0, '127.0.0.1');
    await once(echo, 'listening');
    ({ port: echoPort } = echo.address() as { port: number });
  }, 30_000);

  afterAll(async () => {
    await ours?.end();
    echo?.close();
    await keys?.remove();
  });

  describe('ssh', () => {
    it('runs a command, and has its exit status', async () => {
      const { code, stdout, stderr } = await ssh(['127.0.0.1', 'exit 7']);
      expect([code, stdout.toString(), stderr]).toEqual([7, 'going\n', '']);
    });

    it('has output and standard error apart, and knows of signals', async () => {
      const { code, stdout, stderr } = await ssh(['127.0.0.1', 'complain']);
      expect([code, stdout.toString(), stderr]).toEqual([1, '', 'no good\n']);
      expect((await ssh(['127.0.0.1', 'die'])).code).toBe(255);
    });

    it('sends its input to the end, and gets 10 MiB back', async () => {
      const bytes = supplied(10 * MiB);
      const { code, stdout } = await ssh(['127.0.0.1', 'cat'], bytes);
      expect([code, hashOf(stdout)]).toEqual([0, hashOf(bytes)]);
    });

    it('gives a command of several lines as it is', async () => {
      const lines = 'one\n  two "three"\r\n\nfour\n';
      const { code, stdout } = await ssh(['127.0.0.1', `echo ${lines}`]);
      expect([code, stdout.toString()]).toEqual([0, lines]);
    });

    it('a command that is not served ends with a failure', async () => {
      const { code, stderr } = await ssh(['127.0.0.1', 'unheard-of']);
      expect(code).not.toBe(0);
      expect(stderr).toContain('exec request failed');
    });

    it('opens a shell with its terminal', async () => {
      const { stdout } = await run('env', ['TERM=vt100', 'ssh', '-tt', ...ours.sshOptions, '127.0.0.1']);
      expect(stdout.toString()).toContain('a shell on vt100');
    });

    it('comes in by a subsystem, with headers from its environment', async () => {
      const { code, stdout } = await ssh(
        ['-o', 'SetEnv=STREAM_PATH=/x', '-s', '127.0.0.1', 'stream'],
        'body',
      );
      expect([code, stdout.toString()]).toEqual([0, 'stream at /x\nbody']);
    });

    it('keeps the names of variables, in a header of their own if they are not in upper case', async () => {
      const { stdout } = await ssh(['-o', 'SetEnv=UPPER=1 camelCase=2 lower=x=3', '127.0.0.1', 'env']);
      expect(JSON.parse(stdout.toString())).toMatchObject({
        upper: '1',
        camelcase: '2',
        lower: 'x=3',
        ':env': ['camelCase=2', 'lower=x=3'],
      });
    });

    it('-W reaches a TCP service', async () => {
      const bytes = supplied(MiB);
      const { code, stdout } = await ssh(['-W', `127.0.0.1:${echoPort}`, '127.0.0.1'], bytes);
      expect([code, hashOf(stdout)]).toEqual([0, hashOf(bytes)]);
    });

    it('-W to nothing fails', async () => {
      const { code, stderr } = await ssh(['-W', '127.0.0.1:1', '127.0.0.1']);
      expect(code).not.toBe(0);
      expect(stderr).toMatch(/open failed|forwarding failed/);
    });

    it('-L forwards a port and a unix socket', async () => {
      const path = join(keys.folder, 'service.sock');
      const unix = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(path);
      await once(unix, 'listening');
      const [toPort, toPath] = [join(keys.folder, 'l-port.sock'), join(keys.folder, 'l-path.sock')];
      const forwards = ['-L', `${toPort}:127.0.0.1:${echoPort}`, '-L', `${toPath}:${path}`];
      const child = spawn('ssh', [...ours.sshOptions, '-N', ...forwards, '127.0.0.1']);
      for (const local of [toPort, toPath]) {
        expect(await exchange(await reach({ path: local }), 'forwarded')).toBe('forwarded');
      }
      await ended(child);
      unix.close();
      await once(unix, 'close');
    });

    it('-R has us listen, on a port and on a path', async () => {
      const path = join(keys.folder, 'r-path.sock');
      const forwards = ['-R', `0:127.0.0.1:${echoPort}`, '-R', `${path}:127.0.0.1:${echoPort}`];
      const child = spawn('ssh', ['-o', 'LogLevel=INFO', ...ours.sshOptions, '-N', ...forwards, '127.0.0.1']);
      let said = '';
      child.stderr.on('data', (chunk) => {
        said += chunk;
      });
      await until(
        () => /Allocated port (\d+)/.test(said),
        () => said,
      );
      const port = Number(/Allocated port (\d+)/.exec(said)?.[1]);
      for (const where of [{ host: '127.0.0.1', port }, { path }]) {
        expect(await exchange(await reach(where), 'the other way')).toBe('the other way');
      }
      await ended(child);
      const gone = (): Promise<boolean> =>
        once(dial({ host: '127.0.0.1', port }), 'connect').then(
          () => false,
          () => true,
        );
      while (!(await gone())) await turn();
    });

    it('eight sessions share one connection', async () => {
      const before = ours.providers.length;
      const path = join(keys.folder, 'master');
      const master = spawn('ssh', [...ours.sshOptions, '-M', '-S', path, '-N', '127.0.0.1']);
      await until(
        () => ours.providers.length > before,
        () => 'the master connects',
      );
      const provider = ours.providers[before] as Provider;
      await untilAsync(async () => (await run('ssh', ['-S', path, '-O', 'check', '127.0.0.1'])).code === 0);
      const inputs = Array.from({ length: 8 }, (_, at) => supplied(200_000 + at));
      const outcomes = await Promise.all(
        inputs.map((input) => run('ssh', [...ours.sshOptions, '-S', path, '127.0.0.1', 'cat'], input)),
      );
      expect(outcomes.map(({ code }) => code)).toEqual(inputs.map(() => 0));
      expect(outcomes.map(({ stdout }) => hashOf(stdout))).toEqual(inputs.map(hashOf));
      expect(ours.providers.length).toBe(before + 1);
      expect(loginOf(provider)).toMatchObject({ username: 'alice', method: 'publickey' });
      await run('ssh', ['-S', path, '-O', 'exit', '127.0.0.1']);
      await ended(master);
    }, 20_000);

    it('asks for new keys after every MiB under load, and every byte arrives', async () => {
      const bytes = supplied(16 * MiB);
      const limits = ['-o', 'RekeyLimit=1M'];
      const keyed = jest.spyOn(SshLink.prototype, 'keyed');
      const [up, both, down] = await Promise.all([
        ssh([...limits, '127.0.0.1', 'hash'], bytes),
        ssh([...limits, '127.0.0.1', 'cat'], bytes),
        ssh([...limits, '127.0.0.1', `give ${16 * MiB}`]),
      ]);
      expect(up.stdout.toString().trim()).toBe(hashOf(bytes));
      expect(hashOf(both.stdout)).toBe(hashOf(bytes));
      expect(hashOf(down.stdout)).toBe(hashOf(bytes));
      // Three of them are those of the logins.
      expect(keyed.mock.calls.length).toBeGreaterThan(3 + 20);
      keyed.mockRestore();
    }, 30_000);

    it.each(['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes256-ctr'])(
      'speaks %s',
      async (cipher) => {
        const bytes = supplied(2 * MiB);
        const { stdout } = await ssh(['-c', cipher, '127.0.0.1', 'cat'], bytes);
        expect(hashOf(stdout)).toBe(hashOf(bytes));
      },
    );

    it.each([
      ['rsa', '3072'],
      ['ecdsa', '256'],
      ['ecdsa', '521'],
    ])(
      'knows us by %s keys of %s bits, and logs in with them',
      async (type, bits) => {
        const others = await makeKeys(type, bits);
        const server = await startOurs(others, { serve: ['exec'] }, serve);
        const { code, stdout, stderr } = await run('ssh', [...server.sshOptions, '127.0.0.1', 'exit 4']);
        expect([code, stdout.toString(), stderr]).toEqual([4, 'going\n', '']);
        await server.end();
        await others.remove();
      },
      20_000,
    );

    it('is not let in with another key', async () => {
      const others = ours.sshOptions.map((option) =>
        option === keys.files.user ? keys.files.stranger : option,
      );
      const { code, stderr } = await run('ssh', [...others, '127.0.0.1', 'exit 0']);
      expect(code).toBe(255);
      expect(stderr).toContain('Permission denied');
    });

    it('finds nothing but what is served', async () => {
      const closed = await startOurs(keys, {}, serve);
      const said = ['-o', 'LogLevel=INFO', ...closed.sshOptions];
      try {
        const { code, stderr } = await run('ssh', [...said, '127.0.0.1', 'exit 0']);
        expect(code).toBe(255);
        expect(stderr).toContain('administratively prohibited');
        const forwarded = await run('ssh', [...said, '-W', `127.0.0.1:${echoPort}`, '127.0.0.1']);
        expect(forwarded.stderr).toContain('administratively prohibited');
      } finally {
        await closed.end();
      }
    });
  });

  describe('dbclient', () => {
    let key: string;

    beforeAll(async () => {
      key = join(keys.folder, 'dropbear-user');
      const { code, stderr } = await run('dropbearconvert', ['openssh', 'dropbear', keys.files.user, key]);
      if (code !== 0) throw new Error(stderr);
    });

    const dbclient = (args: readonly string[], input: string | Uint8Array = '') =>
      run('dbclient', ['-i', key, '-y', '-y', '-p', String(ours.port), ...args], input);

    it('runs a command, and has its exit status', async () => {
      const { code, stdout } = await dbclient(['alice@127.0.0.1', 'exit 9']);
      expect([code, stdout.toString()]).toEqual([9, 'going\n']);
    });

    it('sends its input to the end, and gets 4 MiB back', async () => {
      const bytes = supplied(4 * MiB);
      const { code, stdout } = await dbclient(['alice@127.0.0.1', 'cat'], bytes);
      expect([code, hashOf(stdout)]).toEqual([0, hashOf(bytes)]);
    });

    it('comes in by a subsystem', async () => {
      const { code, stdout } = await dbclient(['-s', 'alice@127.0.0.1', 'stream'], 'body');
      expect([code, stdout.toString()]).toEqual([0, 'stream at undefined\nbody']);
    });

    it('-B reaches a TCP service', async () => {
      const { stdout } = await dbclient(['-B', `127.0.0.1:${echoPort}`, 'alice@127.0.0.1'], 'netcat');
      expect(stdout.toString()).toBe('netcat');
    });

    it('-L and -R reach one from either end', async () => {
      const [local, remote] = [await freePort(), await freePort()];
      const places = [
        ...['-L', `127.0.0.1:${local}:127.0.0.1:${echoPort}`],
        ...['-R', `${remote}:127.0.0.1:${echoPort}`],
      ];
      const options = ['-i', key, '-y', '-y', '-p', String(ours.port)];
      const child = spawn('dbclient', [...options, '-N', ...places, 'alice@127.0.0.1']);
      for (const port of [local, remote]) {
        const socket = await reach({ host: '127.0.0.1', port });
        expect(await exchange(socket, 'forwarded')).toBe('forwarded');
      }
      await ended(child);
    });
  });
});

/** Sends `text` and gives what comes back. */
async function exchange(socket: Socket, text: string): Promise<string> {
  socket.end(text);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A socket to where somebody will listen soon. */
async function reach(where: { path: string } | { host: string; port: number }): Promise<Socket> {
  for (;;) {
    const socket = dial({ ...where, allowHalfOpen: true });
    const connected = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    if (connected) return socket;
    socket.destroy();
    await turn();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));

async function until(condition: () => boolean, what: () => string): Promise<void> {
  const deadline = Date.now() + 8000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited too long: ${what()}`);
    await turn();
  }
}

async function untilAsync(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await turn();
}

/** What ends a connection is followed by more packets in the same read: whoever reads on must not read with freed memory. */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { type EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeMessage } from '../../lib/ssh/codec.js';
import * as wire from '../../lib/ssh/frames.js';
import type { Internals } from '../../lib/ssh/library.js';
import { keyPair } from '../support/ssh.js';
import type { Stock } from '../support/stock-ssh2.js';
import type { Order, Word } from './ssh-survivor.js';

const root = join(import.meta.dirname, '../..');

interface Connection extends EventEmitter {
  readonly _sock: Socket;
  readonly _protocol: Pick<Internals, '_packetRW' | '_cipher'> & {
    readonly _hostKeys: Record<string, unknown>;
    rekey(): void;
  };
  end(): void;
}

/** Sends messages in one write. */
function blast(connection: Connection, messages: readonly Uint8Array[]): void {
  const { _sock, _protocol } = connection;
  const { write } = _protocol._packetRW;
  _sock.cork();
  for (const message of messages) {
    const packet = write.alloc(message.byteLength);
    packet.set(message, write.allocStart);
    _protocol._cipher.encrypt(write.finalize(packet));
  }
  _sock.uncork();
}

const times = (count: number, message: Uint8Array): Uint8Array[] => Array<Uint8Array>(count).fill(message);
const stray = encodeMessage(wire.MSG_CHANNEL_DATA, 77, { string: new Uint8Array(1) });
const attempt = (method: string, ...rest: readonly (string | boolean)[]): Uint8Array =>
  encodeMessage(50, 'mallory', 'ssh-connection', method, ...rest);
const session = [
  encodeMessage(wire.MSG_CHANNEL_OPEN, 'session', 0, 1 << 20, 32_768),
  encodeMessage(wire.MSG_CHANNEL_REQUEST, 0, 'exec', true, 'x'),
];
const data = encodeMessage(wire.MSG_CHANNEL_DATA, 0, { string: new Uint8Array(1000) });

describe.each(['in C++', 'bare'])('ciphers %s', (how) => {
  let folder: string;
  let file: string;
  let child: ChildProcess | null = null;
  let port = 0;
  let ssh2: Stock<Connection>;
  const servers: { close(): void }[] = [];

  beforeAll(async () => {
    ssh2 = (await import('ssh2' as string)).default as Stock<Connection>;
    folder = mkdtempSync(join(tmpdir(), 'rxmux-survivor-'));
    file = join(folder, 'survivor.mjs');
    const flags = ['--bundle', '--platform=node', '--format=esm', '--log-level=error', `--outfile=${file}`];
    const source = join(import.meta.dirname, 'ssh-survivor.ts');
    execFileSync(join(root, 'node_modules/.bin/esbuild'), [source, ...flags], { cwd: root });
  }, 30_000);

  afterAll(async () => {
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    }
    rmSync(folder, { recursive: true });
  });

  afterEach(() => {
    for (const listening of servers.splice(0)) listening.close();
  });

  beforeEach(async () => {
    if (child !== null && child.exitCode === null && child.signalCode === null) return;
    const env = { ...process.env, NODE_PATH: join(root, 'node_modules') };
    child = fork(file, [how], { execArgv: [], env });
    port = (await heard()).port as number;
  });

  /** The next word, or how the process died. */
  const heard = async (): Promise<Word & { died?: string }> => {
    const over = new AbortController();
    const [first] = (await Promise.race([
      once(child as ChildProcess, 'message', { signal: over.signal }),
      once(child as ChildProcess, 'exit', { signal: over.signal }).then(([, signal]) => [{ died: signal }]),
    ])) as [Word];
    over.abort();
    return first;
  };

  const expectEnd = async (why: string): Promise<void> => {
    const { ended, died } = await heard();
    expect(died).toBeUndefined();
    expect(ended).toContain(why);
    child?.send({} satisfies Order);
    expect(await heard()).toEqual({});
  };

  /** Logs in to the survivor, or is about to. */
  const client = (cipher: string, isLoggedIn: boolean): Promise<Connection> => {
    const connection = new ssh2.Client();
    connection.on('error', () => {});
    return new Promise((resolve) => {
      if (isLoggedIn) connection.once('ready', () => resolve(connection));
      connection.connect({
        host: '127.0.0.1',
        port,
        username: 'alice',
        algorithms: { cipher: [cipher] },
        authHandler: (_left: unknown, _partial: unknown, next: (method: object) => void) => {
          if (isLoggedIn) next({ type: 'password', username: 'alice', password: 'open sesame' });
          else resolve(connection);
        },
      });
    });
  };

  /** A server that the survivor is logged in to. */
  const server = async (cipher: string, act: (connection: Connection) => void): Promise<void> => {
    const config = { hostKeys: [keyPair().privateKey], algorithms: { cipher: [cipher] } };
    const listening = new ssh2.Server(config, (connection) => {
      connection.on('error', () => {});
      connection.on('authentication', (context: { accept(): void }) => context.accept());
      connection.on('ready', () => act(connection));
    });
    servers.push(listening);
    listening.listen(0, '127.0.0.1');
    await once(listening, 'listening');
    child?.send({ dial: listening.address().port } satisfies Order);
  };

  describe.each(['chacha20-poly1305@openssh.com', 'aes128-ctr', 'aes128-gcm@openssh.com'])('%s', (cipher) => {
    const attacks: readonly (readonly [string, boolean, readonly Uint8Array[], string])[] = [
      [
        'a message of those who are logged in, before that',
        false,
        times(4, stray),
        'before it was logged in',
      ],
      ['a way to log in that there is not', false, times(4, attempt('gssapi-with-mic')), 'of logging in'],
      ['more passwords than are taken', false, times(8, attempt('password', false, 'x')), 'failed to log in'],
      ['a channel that there is not', true, times(4, stray), 'channel 77'],
      ['data whose reader ends the connection', true, [...session, ...times(4, data)], 'aborted by us'],
      ['an impossible message', true, times(4, Uint8Array.of(6)), 'Malformed'],
    ];
    it.each(attacks)('%s', async (_name, isLoggedIn, messages, why) => {
      const attacker = await client(cipher, isLoggedIn);
      blast(attacker, messages);
      await expectEnd(why);
      attacker.end();
    });

    it('each message of those who are logged in, before that', async () => {
      for (let type = 80; type <= 100; type++) {
        const attacker = await client(cipher, false);
        blast(attacker, times(2, Uint8Array.of(type, 0, 0, 0, 0)));
        await expectEnd(`sent message ${type} of the connection protocol before it was logged in`);
        attacker.end();
      }
    });

    it('a server that names a channel that there is not', async () => {
      await server(cipher, (connection) => blast(connection, times(4, stray)));
      await expectEnd('channel 77');
    });

    it('a server that has another key all of a sudden', async () => {
      await server(cipher, ({ _protocol }) => {
        _protocol._hostKeys['ssh-ed25519'] = ssh2.utils.parseKey(keyPair().privateKey);
        _protocol.rekey();
      });
      await expectEnd('Host denied');
    });
  });
});

/** OpenSSH and dropbear as child processes, with keys, files and ports of their own, on loopback. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connect, type Limits, listen, type Provider } from 'rxmux/node';
import { type SshOptions, ssh } from 'rxmux/ssh';
import type { Peer } from '../support/interop.js';
import { trackProvider } from '../support/leaks.js';

export const sshd: Peer = { name: 'sshd', path: '/usr/sbin/sshd', debianPackage: 'openssh-server' };
export const openssh: Peer = { name: 'ssh', binary: 'ssh', debianPackage: 'openssh-client' };
export const keygen: Peer = { name: 'ssh-keygen', binary: 'ssh-keygen', debianPackage: 'openssh-client' };
export const dropbear: Peer = { name: 'dbclient', binary: 'dbclient', debianPackage: 'dropbear-bin' };

const username: string = userInfo().username;

/** A folder with keys in it, for hosts and for users. */
export interface Keyring {
  readonly folder: string;
  /** PEM or OpenSSH's, by kind: `host`, `user`, `stranger`. */
  readonly files: Readonly<Record<'host' | 'user' | 'stranger', string>>;
  privateKey(name: 'host' | 'user' | 'stranger'): Promise<string>;
  /** The line of a .pub file: algorithm and key. */
  publicKey(name: 'host' | 'user' | 'stranger'): Promise<string>;
  remove(): Promise<void>;
}

/** Makes keys with ssh-keygen. */
export async function makeKeys(type: string = 'ed25519', bits: string = '0'): Promise<Keyring> {
  const folder = await mkdtemp(join(tmpdir(), 'rxmux-ssh-'));
  const file = (name: string): string => join(folder, name);
  for (const name of ['host', 'user', 'stranger']) {
    const size = bits === '0' ? [] : ['-b', bits];
    const args = ['-q', '-t', type, ...size, '-N', '', '-C', '', '-f', file(name)];
    await promisify(execFile)('ssh-keygen', args);
  }
  const publicKey = async (name: string): Promise<string> =>
    (await readFile(`${file(name)}.pub`, 'utf8')).trim().split(' ').slice(0, 2).join(' ');
  return {
    folder,
    files: { host: file('host'), user: file('user'), stranger: file('stranger') },
    privateKey: (name) => readFile(file(name), 'utf8'),
    publicKey,
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** A running sshd. */
export interface Daemon {
  readonly port: number;
  /** What known_hosts has for it. */
  readonly knownHosts: string;
  /** Options of a client that may log in. */
  client(more?: SshOptions): Promise<SshOptions>;
  open(more?: SshOptions, limits?: Partial<Limits>): Promise<Provider>;
  end(): Promise<void>;
}

/** Starts sshd with `lines` more in its configuration. */
export async function startSshd(keys: Keyring, lines: readonly string[] = []): Promise<Daemon> {
  // Run by root it insists on this folder, which a service would have made.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
  const port = await freePort();
  const authorized = join(keys.folder, 'authorized_keys');
  await writeFile(authorized, `${await keys.publicKey('user')}\n`);
  const config = join(keys.folder, `sshd-${port}.conf`);
  const settings = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${keys.files.host}`,
    `AuthorizedKeysFile ${authorized}`,
    'PidFile none',
    'StrictModes no',
    'UsePAM no',
    'PermitRootLogin yes',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'MaxSessions 1000',
    'MaxStartups 100',
    'AcceptEnv STREAM_*',
    'AllowTcpForwarding yes',
    'AllowStreamLocalForwarding yes',
    'Subsystem sftp internal-sftp',
    ...lines,
  ];
  await writeFile(config, `${settings.join('\n')}\n`);
  const child = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr.on('data', (text: Buffer) => {
      log += text;
      if (log.includes('Server listening')) resolve();
    });
    child.once('exit', () => reject(new Error(`sshd did not start: ${log}`)));
  });
  const knownHosts = `[127.0.0.1]:${port} ${await keys.publicKey('host')}\n`;
  const client = async (more: SshOptions = {}): Promise<SshOptions> => ({
    username,
    privateKey: await keys.privateKey('user'),
    knownHosts,
    ...more,
  });
  return {
    port,
    knownHosts,
    client,
    open: async (more, limits = {}) =>
      trackProvider(await connect(`tcp://127.0.0.1:${port}`, ssh(await client(more)), { limits })),
    end: () => ended(child),
  };
}

/** A server of ours, for stock clients. */
export interface OurServer {
  readonly port: number;
  /** Of those who logged in, in their order. */
  readonly providers: Provider[];
  /** What ssh needs to come here. */
  readonly sshOptions: readonly string[];
  end(): Promise<void>;
}

export async function startOurs(
  keys: Keyring,
  options: SshOptions,
  serve: (provider: Provider) => void,
  limits: Partial<Limits> = {},
): Promise<OurServer> {
  const user = (await keys.publicKey('user')).split(' ')[1];
  const protocol = ssh({
    hostKeys: [await keys.privateKey('host')],
    authenticate: (attempt) =>
      attempt.method === 'publickey' && Buffer.from(attempt.key).toString('base64') === user,
    ...options,
  });
  const listener = await listen('tcp://127.0.0.1:0', protocol, { limits });
  const port = Number(listener.address.split(':').at(-1));
  const providers: Provider[] = [];
  listener.accept$.subscribe((provider) => {
    providers.push(trackProvider(provider));
    serve(provider);
  });
  const known = join(keys.folder, `known_hosts-${port}`);
  await writeFile(known, `[127.0.0.1]:${port} ${await keys.publicKey('host')}\n`);
  const sshOptions = [
    ...['-F', 'none', '-i', keys.files.user, '-p', String(port), '-l', 'alice'],
    ...[
      '-o',
      `UserKnownHostsFile=${known}`,
      '-o',
      'GlobalKnownHostsFile=none',
      '-o',
      'StrictHostKeyChecking=yes',
    ],
    ...[
      '-o',
      'IdentitiesOnly=yes',
      '-o',
      'IdentityAgent=none',
      '-o',
      'BatchMode=yes',
      '-o',
      'LogLevel=ERROR',
    ],
  ];
  return {
    port,
    providers,
    sshOptions,
    end: async () => {
      for (const provider of listener.providers) provider.abort(new Error('the test is over'));
      await listener.close();
    },
  };
}

/** What a program said, and how it ended. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs a program to its end. `input` is its standard input, which is closed after it. */
export async function run(
  program: string,
  args: readonly string[],
  input: string | Uint8Array = '',
): Promise<Outcome> {
  const child = spawn(program, [...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  const out: Buffer[] = [];
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout: Buffer.concat(out), stderr };
}

export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

/** Where Debian has it; it insists on being started by its whole path. */
const sshdPath = '/usr/sbin/sshd';

/** What the demo needs, or a sentence that says what to install. */
export function missing(): string | undefined {
  try {
    accessSync(sshdPath);
    execFileSync('ssh', ['-V'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'The bastion needs OpenSSH: apt-get install openssh-server openssh-client';
  }
}

/** Throw-away keys of a host and of a user. */
export interface Keys {
  readonly folder: string;
  readonly host: string;
  readonly user: string;
  /** `ssh-ed25519 AAAA…` */
  readonly hostPublic: string;
  readonly userPublic: string;
}

export function makeKeys(folder: string): Keys {
  const make = (name: string): string => {
    const file = join(folder, name);
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', file]);
    return file;
  };
  const [host, user] = [make('host'), make('user')];
  const publicOf = (file: string): string => readFileSync(`${file}.pub`, 'utf8').trim();
  return { folder, host, user, hostPublic: publicOf(host), userPublic: publicOf(user) };
}

/** A daemon of OpenSSH's on loopback, which lets in whoever has the user's key. */
export interface Bastion {
  readonly port: number;
  close(): Promise<void>;
}

export async function startBastion(keys: Keys): Promise<Bastion> {
  // Run by root it insists on this folder, which a service would have made.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
  const port = await freePort();
  const [config, authorized] = [join(keys.folder, 'sshd.conf'), join(keys.folder, 'authorized_keys')];
  writeFileSync(authorized, `${keys.userPublic}\n`);
  const lines = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${keys.host}`,
    `AuthorizedKeysFile ${authorized}`,
    ...['PidFile none', 'StrictModes no', 'UsePAM no', 'PermitRootLogin yes', 'PasswordAuthentication no'],
  ];
  writeFileSync(config, `${lines.join('\n')}\n`);
  const child = spawn(sshdPath, ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr.on('data', (text) => {
      log += text;
      if (log.includes('Server listening')) resolve();
    });
    child.once('exit', () => reject(new Error(`sshd did not start: ${log}`)));
  });
  return { port, close: () => ended(child) };
}

/** `ssh` with these keys, to a server of ours on `port`. */
export function startSsh(keys: Keys, port: number, args: readonly string[]): ChildProcess {
  const known = join(keys.folder, 'known_hosts');
  writeFileSync(known, `[127.0.0.1]:${port} ${keys.hostPublic}\n`);
  const options = [
    `UserKnownHostsFile=${known}`,
    'GlobalKnownHostsFile=none',
    'BatchMode=yes',
    'IdentitiesOnly=yes',
  ];
  return spawn(
    'ssh',
    [
      ...['-F', 'none', '-i', keys.user, '-p', String(port), '-l', 'guest'],
      ...options.flatMap((option) => ['-o', option]),
      ...args,
      '127.0.0.1',
    ],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  );
}

export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill();
  await exited;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * OpenSSH: a stock `ssh -L` and a stock sshd, aes128-gcm. A stream is a direct-tcpip channel, with a socket of ours at
 * both of its ends: what they cost is measured too, as it is for whoever uses it so.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { dial, duplexIo, listenOn } from '../lib/duplex-adapter.mjs';
import { keyPair } from '../lib/ssh-keys.mjs';

const sshd = '/usr/sbin/sshd';
/** How one end tells the other, which knows a port of it, what else there is. The client removes it. */
const folderOf = (port) => path.join(os.tmpdir(), `rxmux-bench-openssh-${port}`);
const children = [];

/** sshd speaks on a socket that it is given, so that it is gone when the connection is. */
function startDaemon(socket, folder) {
  const stdio = [socket, socket, 'ignore'];
  children.push(spawn(sshd, ['-i', '-f', path.join(folder, 'sshd.conf')], { stdio }));
  // It has a descriptor of its own.
  socket.destroy();
}

function prepare(folder, target) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { mode: 0o700 });
  const write = (name, text) => writeFileSync(path.join(folder, name), text, { mode: 0o600 });
  const [host, user] = [0, 1].map(() => keyPair());
  write('host', host.private);
  write('user', user.private);
  write('authorized', `${user.public}\n`);
  write('known', `bench ${host.public}\n`);
  write('target', String(target));
  const settings = [
    `HostKey ${folder}/host`,
    `AuthorizedKeysFile ${folder}/authorized`,
    'PidFile none',
    'StrictModes no',
    'UsePAM no',
    'PermitRootLogin yes',
    'AllowTcpForwarding yes',
    'Ciphers aes128-gcm@openssh.com',
  ];
  write('sshd.conf', `${settings.join('\n')}\n`);
  // Run by root it insists on this folder, which a service would have made.
  if (process.getuid() === 0) mkdirSync('/run/sshd', { recursive: true });
}

async function freePort() {
  const server = net.createServer();
  const port = await listenOn(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Resolves once the connection is there and the port is listened on. The command ends with us, and ssh with it. */
function startClient(folder, port, local) {
  const target = readFileSync(path.join(folder, 'target'), 'utf8');
  const options = [
    ...['BatchMode=yes', 'StrictHostKeyChecking=yes', 'HostKeyAlias=bench', 'IdentityAgent=none'],
    ...[`UserKnownHostsFile=${folder}/known`, 'GlobalKnownHostsFile=none', 'ExitOnForwardFailure=yes'],
    ...['Ciphers=aes128-gcm@openssh.com', 'LogLevel=ERROR'],
  ].flatMap((option) => ['-o', option]);
  const forward = ['-L', `127.0.0.1:${local}:127.0.0.1:${target}`];
  const where = ['-F', 'none', '-i', `${folder}/user`, '-p', String(port), '127.0.0.1', 'echo ready; cat'];
  const ssh = spawn('ssh', [...options, ...forward, ...where]);
  children.push(ssh);
  let said = '';
  return new Promise((resolve, reject) => {
    ssh.on('error', reject);
    ssh.on('exit', () => reject(new Error(`ssh could not connect: ${said}`)));
    ssh.stderr.on('data', (text) => {
      said += text;
    });
    ssh.stdout.once('data', resolve);
  });
}

/** CPU seconds of a process and of those it has started: Linux says so, to the nanosecond. */
function cpuOf(pid) {
  const about = (name) => readFileSync(`/proc/${pid}/${name}`, 'utf8');
  try {
    const own = Number(about('schedstat').split(' ')[0]) / 1e9;
    const started = about(`task/${pid}/children`).split(' ').filter(Boolean);
    return started.reduce((sum, child) => sum + cpuOf(child), own);
  } catch {
    return 0; // it has ended
  }
}

export default {
  name: 'openssh',
  io: duplexIo,
  async listen(onStream) {
    const target = await listenOn(net.createServer({ noDelay: true, allowHalfOpen: true }, onStream));
    let folder;
    const daemon = net.createServer({ pauseOnConnect: true }, (socket) => startDaemon(socket, folder));
    const port = await listenOn(daemon);
    folder = folderOf(port);
    prepare(folder, target);
    return port;
  },
  async connect(port) {
    const folder = folderOf(port);
    const local = await freePort();
    try {
      await startClient(folder, port, local);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    return { port: local };
  },
  open: (session, opened) => opened(dial(session.port, { allowHalfOpen: true })),
  cpuElsewhere: () => children.reduce((sum, { pid }) => sum + cpuOf(pid), 0),
};

/**
 * Real kubectls against the server of demos/kubernetes: that of PATH, and the one that RXMUX_KUBECTL names, if any. Each
 * is told to take SPDY, and from 1.30 on also to take WebSocket; what it has really taken is looked at.
 */
import { type ChildProcessWithoutNullStreams, execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Provider } from 'rxmux';
import { forwardedPorts, Kubectl } from '../../demos/kubernetes/kubectl.js';
import type { PodOptions } from '../../demos/kubernetes/pods.js';
import { start } from '../../demos/kubernetes/process.js';
import { Cluster } from '../../demos/kubernetes/server.js';
import { describeWithPeer, missingPeer, peers } from '../support/interop.js';
import { trackProvider } from '../support/leaks.js';

const MiB = 1024 * 1024;
/** No system gives it to whoever asks for any port: nobody begins to listen there in between. */
const refusedPort = 1;

const found = [Kubectl.find(), process.env.RXMUX_KUBECTL].filter((program) => program !== undefined);
const programs = found.length === 0 ? ['kubectl'] : [...new Set(found)];

interface Way {
  readonly name: string;
  /** The first minor version of kubectl that has it. */
  readonly since: number;
  readonly env: Readonly<Record<string, string>>;
  /** The protocols of commands and of port-forward, as the server has agreed on them. */
  readonly protocols: readonly [string, string];
}

const ways = {
  spdy: {
    name: 'SPDY',
    since: 0,
    env: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'false' },
    protocols: ['v4.channel.k8s.io', 'portforward.k8s.io'],
  },
  webSocket: {
    name: 'WebSocket',
    since: 30,
    env: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'true', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'true' },
    protocols: ['v5.channel.k8s.io', 'SPDY/3.1+portforward.k8s.io'],
  },
  own: {
    name: 'its own way',
    since: 31,
    env: {},
    protocols: ['v5.channel.k8s.io', 'SPDY/3.1+portforward.k8s.io'],
  },
} satisfies Record<string, Way>;

function minorVersion(program: string): number {
  const json = execFileSync(program, ['version', '--client', '-o', 'json'], { encoding: 'utf8' });
  const { clientVersion } = JSON.parse(json) as { clientVersion: { minor: string } };
  return Number.parseInt(clientVersion.minor, 10);
}

/** With each way that a kubectl has; those that it lacks are skipped, and the run says why. */
function describeWays(program: string, body: (way: Way) => void): void {
  const minor = missingPeer(peers.kubectl) === undefined ? minorVersion(program) : 0;
  for (const way of Object.values(ways)) {
    if (minor >= way.since) describe(way.name, () => body(way));
    else describe.skip(`${way.name} [skipped: kubectl 1.${minor} is before 1.${way.since}]`, () => body(way));
  }
}

// kubectl takes a second to start where the machine is busy.
jest.setTimeout(60_000);

describeWithPeer('kubectl', peers.kubectl, () => {
  describe.each(programs)('%s', (program) => {
    describeWays(program, (way) => {
      let folder: string;
      let cluster: Cluster;
      let kubectl: Kubectl;
      let echo: Server;
      let providers: Provider[];
      let protocols: string[];
      const sockets: Set<Socket> = new Set();

      beforeEach(async () => {
        folder = await mkdtemp(join(tmpdir(), 'rxmux-kubectl-'));
        providers = [];
        protocols = [];
        echo = createServer({ allowHalfOpen: true }, (socket) => {
          sockets.add(socket);
          socket.on('close', () => sockets.delete(socket));
          socket.on('error', () => {});
          socket.pipe(socket);
        });
        echo.listen(0, '127.0.0.1');
        await once(echo, 'listening');
        const { port } = echo.address() as AddressInfo;
        const web: PodOptions = {
          name: 'web',
          command: ['cat'],
          folder,
          ports: { 80: port, 81: port, 82: refusedPort },
        };
        const script =
          'exec 3<&0; trap "stty size" WINCH; : > ready; (read line <&3; echo said $line; kill $$) & while :; do sleep 0.02; done';
        const shell: PodOptions = { name: 'shell', command: ['sh', '-c', script], folder, tty: true };
        cluster = await Cluster.start([web, shell], {
          onConnection: (provider, protocol) => {
            providers.push(trackProvider(provider));
            protocols.push(protocol);
          },
        });
        kubectl = new Kubectl(program, cluster.url, folder, way.env);
      });

      afterEach(async () => {
        try {
          // A kubectl that has ended leaves nothing, without being asked.
          await until(() => cluster.connections.size === 0 && sockets.size === 0);
        } finally {
          await cluster.close();
          echo.close();
          for (const socket of sockets) socket.destroy();
          await rm(folder, { recursive: true });
        }
        expect(protocols.length).toBeGreaterThan(0);
        expect(way.protocols).toEqual(expect.arrayContaining(protocols));
      });

      if (way === ways.own) {
        it('is WebSocket, for commands and for port-forward', async () => {
          const { stdout } = await kubectl.run(['exec', '-i', 'web', '--', 'cat'], 'hello');
          expect(stdout.toString()).toBe('hello');
          const child = kubectl.start('port-forward', 'pod/web', ':80');
          const [port] = await forwardedPorts(child, 1);
          const socket = connect({ port: port!, host: '127.0.0.1' });
          socket.end('hello');
          expect(String(await once(socket, 'data'))).toBe('hello');
          await interrupt(child);
          expect(protocols).toEqual(way.protocols);
        });
        return;
      }

      it('exec: 1 MiB of output, byte by byte', async () => {
        const bytes = randomBytes(MiB);
        await writeFile(join(folder, 'bytes'), bytes);
        const { exitCode, stdout, stderr } = await kubectl.run(['exec', 'web', '--', 'cat', 'bytes']);
        expect([exitCode, stderr]).toEqual([0, '']);
        expect(stdout.equals(bytes)).toBe(true);
      });

      it('exec: stdin to its end', async () => {
        const bytes = randomBytes(MiB);
        const { exitCode, stdout } = await kubectl.run(['exec', '-i', 'web', '--', 'sha256sum'], bytes);
        expect([exitCode, stdout.toString()]).toEqual([0, `${sha256(bytes)}  -\n`]);
      });

      it('exec: stdin that the command does not want', async () => {
        const input = randomBytes(4 * MiB);
        const { exitCode, stdout } = await kubectl.run(
          ['exec', '-i', 'web', '--', 'sh', '-c', 'echo no'],
          input,
        );
        expect([exitCode, stdout.toString()]).toEqual([0, 'no\n']);
      });

      it.each([0, 7])('exec: exit code %d, stdout and stderr apart', async (code) => {
        const command = `echo out; echo err >&2; exit ${code}`;
        const { exitCode, stdout, stderr } = await kubectl.run(['exec', 'web', '--', 'sh', '-c', command]);
        expect([exitCode, stdout.toString()]).toEqual([code, 'out\n']);
        expect(stderr).toMatch(code === 0 ? /^err\n$/ : /^err\ncommand terminated with exit code 7\n$/);
      });

      it('exec: a program that is not there is said so', async () => {
        const { exitCode, stderr } = await kubectl.run(['exec', 'web', '--', 'no-such-program']);
        expect(exitCode).toBe(1);
        expect(stderr).toContain('no-such-program ENOENT');
      });

      it('exec: a terminal, and its size when it changes', async () => {
        const watch = 'trap "stty size; exit 7" WINCH; stty size; while :; do sleep 0.02; done';
        const terminal = await start(
          kubectl.commandLine('exec', '-it', 'web', '--', 'sh', '-c', watch),
          folder,
          true,
        );
        let text = '';
        for await (const chunk of terminal.stdout) {
          text += chunk;
          if (text.endsWith('24 80\r\n')) terminal.resize({ columns: 97, rows: 30 });
        }
        expect(text).toContain('24 80\r\n30 97\r\n');
        expect(await terminal.exited).toBe(7);
      });

      it('exec: all of what a terminal shows', async () => {
        const script = "stty -opost; head -c 1000000 /dev/zero | tr '\\0' x; printf the-end; exit 7";
        const line = kubectl.commandLine('exec', '-it', 'web', '--', 'sh', '-c', script);
        const terminal = await start(line, folder, true);
        let text = '';
        for await (const chunk of terminal.stdout) text += chunk;
        // What kubectl says of its exit code follows.
        const end = text.indexOf('the-end');
        expect([end, await terminal.exited]).toEqual([1_000_000, 7]);
      });

      it('exec: what the command has started ends with kubectl', async () => {
        const child = kubectl.start('exec', 'web', '--', 'sh', '-c', 'echo $$; sleep 1000');
        const [pid] = (await once(child.stdout, 'data')) as [Buffer];
        expect(isAlive(Number(pid))).toBe(true);
        await interrupt(child);
        await until(() => !isAlive(Number(pid)));
      });

      it('attach: what is typed reaches the main process, and what it says comes back', async () => {
        const bytes = randomBytes(MiB);
        const { exitCode, stdout } = await kubectl.run(['attach', '-i', 'web'], bytes);
        expect([exitCode, sha256(stdout)]).toEqual([0, sha256(bytes)]);
      });

      it('attach: two kubectls see the same', async () => {
        const first = kubectl.start('attach', 'web');
        const heard = collect(first);
        await until(() => openStreams(providers[0]) === 3);
        const second = await kubectl.run(['attach', '-i', 'web'], 'to both of you');
        expect(second.stdout.toString()).toBe('to both of you');
        expect(await heard).toBe('to both of you');
      });

      it('attach: a terminal, its size, and what is typed', async () => {
        // A size that comes before it listens is lost.
        await until(() => existsSync(join(folder, 'ready')));
        const terminal = await start(kubectl.commandLine('attach', '-it', 'shell'), folder, true);
        let text = '';
        terminal.stdout.on('data', (chunk) => {
          text += chunk;
        });
        await until(() => openStreams(providers[0]) === 4);
        // kubectl drops a size while it has not sent the one before: whoever drags a window sends many.
        let columns = 90;
        await until(() => {
          if (text.includes('30 97\r\n')) return true;
          columns = columns < 97 ? columns + 1 : 96;
          terminal.resize({ columns, rows: 30 });
          return false;
        });
        terminal.stdin.write('bye\n');
        expect(await terminal.exited).toBe(0);
        // Once by the terminal, once by the process.
        expect(text).toMatch(/bye\r\n.*said bye/s);
      });

      it('cp: files and folders, in and out', async () => {
        await mkdir(join(folder, 'from/inner'), { recursive: true });
        const [large, small] = [randomBytes(3 * MiB), randomBytes(1)];
        await writeFile(join(folder, 'from/large'), large);
        await writeFile(join(folder, 'from/inner/small'), small);
        await mkdir(join(folder, 'pod'));
        for (const words of [
          ['from', 'web:pod/there'],
          ['web:pod/there', 'back'],
          ['from/large', 'web:pod/one'],
          ['web:pod/one', 'one'],
        ]) {
          expect(await kubectl.run(['cp', ...words])).toMatchObject({ exitCode: 0 });
        }
        for (const [name, bytes] of [
          ['pod/there/large', large],
          ['pod/there/inner/small', small],
          ['back/large', large],
          ['back/inner/small', small],
          ['pod/one', large],
          ['one', large],
        ] as const) {
          expect(sha256(await readFile(join(folder, name)))).toBe(sha256(bytes));
        }
      });

      it('port-forward: 20 connections at once, 16 MiB each, both ways', async () => {
        const child = kubectl.start('port-forward', 'pod/web', ':80', ':81');
        const ports = await forwardedPorts(child, 2);
        const block = randomBytes(MiB);
        const echoes = Array.from({ length: 20 }, async (_, index) => {
          const socket = connect({ port: ports[index % 2]!, host: '127.0.0.1', allowHalfOpen: true });
          const [sent, heard] = [createHash('sha256'), createHash('sha256')];
          const send = async (): Promise<void> => {
            for (let count = 0; count < 16; count++) {
              // Each connection's bytes are its own.
              const piece = Buffer.concat([Buffer.from([index, count]), block.subarray(2)]);
              sent.update(piece);
              if (!socket.write(piece)) await once(socket, 'drain');
            }
            socket.end();
          };
          const sending = send();
          let bytes = 0;
          for await (const chunk of socket) {
            heard.update(chunk);
            bytes += chunk.byteLength;
          }
          await sending;
          return bytes === 16 * MiB && heard.digest('hex') === sent.digest('hex');
        });
        expect(await Promise.all(echoes)).toEqual(Array.from({ length: 20 }, () => true));
        expect(providers).toHaveLength(1);
        await interrupt(child);
      }, 120_000);

      it('port-forward: a port where nobody listens is said so', async () => {
        const child = kubectl.start('port-forward', 'pod/web', ':82');
        let stderr = '';
        child.stderr.on('data', (chunk) => {
          stderr += chunk;
        });
        const [port] = await forwardedPorts(child, 1);
        const socket = connect({ port: port!, host: '127.0.0.1' });
        socket.on('error', () => {});
        await once(socket.resume(), 'close');
        await until(
          () => stderr.includes('ECONNREFUSED'),
          () => `kubectl said: ${stderr}`,
        );
        // A newer kubectl gives up by itself.
        await interrupt(child);
      });

      it('port-forward: kubectl that is ended in mid transfer leaves nothing', async () => {
        const child = kubectl.start('port-forward', 'pod/web', ':80');
        const [port] = await forwardedPorts(child, 1);
        const socket = connect({ port: port!, host: '127.0.0.1' });
        socket.on('error', () => {});
        socket.write(Buffer.alloc(8 * MiB));
        await once(socket, 'data');
        expect(sockets.size).toBe(1);
        await interrupt(child);
        socket.destroy();
      });

      it('a cluster that closes lets kubectl go', async () => {
        const child = kubectl.start('exec', '-i', 'web', '--', 'cat');
        child.stdin.write('hello');
        expect(String(await once(child.stdout, 'data'))).toBe('hello');
        child.stdin.on('error', () => {});
        const exited = once(child, 'exit');
        await cluster.close();
        child.stdin.end();
        // By itself; kubectl 1.20 says 0 even so.
        expect(await exited).toEqual([expect.any(Number), null]);
        cluster = await Cluster.start([]);
      });
    });
  });
});

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function openStreams(provider: Provider | undefined): number {
  return provider?.streams.size ?? 0;
}

async function until(isSo: () => boolean, instead = (): string => ''): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`not within 20 s: ${isSo}; ${instead()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function collect(child: ChildProcessWithoutNullStreams): Promise<string> {
  let text = '';
  for await (const chunk of child.stdout) text += chunk;
  return text;
}

async function interrupt(child: ChildProcessWithoutNullStreams): Promise<void> {
  if (child.exitCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGINT');
  await exited;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exec, portForward, textOf } from './client.js';
import { forwardedPorts, Kubectl } from './kubectl.js';
import { start } from './process.js';
import { Cluster } from './server.js';
import { messageOf } from './text.js';

/** Where the tour tells what it does. */
export interface Surroundings {
  readonly write: (text: string) => unknown;
  /** The `kubectl` to take; undefined: there is none. */
  readonly kubectl: string | undefined;
  /** Aborting leaves out what has not begun; everything is tidied up all the same. */
  readonly signal?: AbortSignal;
}

/** One thing to be shown. It says what it has seen, or throws. */
interface Step {
  readonly title: string;
  run(scene: Scene): Promise<string>;
}

interface Scene {
  readonly server: string;
  readonly folder: string;
  readonly kubectl: Kubectl;
}

const MiB = 1024 * 1024;
/** Says its terminal's size, and says it again when it changes. */
const watchSize = ['sh', '-c', 'trap "stty size; exit 7" WINCH; stty size; while :; do sleep 0.05; done'];

/** Shows everything. Resolves with the exit code: 0 if all went well, 1 if anything did not. */
export async function showAll({ write, kubectl, signal }: Surroundings): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'rxmux-kubernetes-'));
  const services = await Promise.all(['eighty', 'eighty-one'].map(service));
  const [eighty, eightyOne] = services.map((server) => (server.address() as AddressInfo).port);
  const pod = { command: ['cat'], folder, ports: { 80: eighty as number, 81: eightyOne as number } };
  const cluster = await Cluster.start([
    { ...pod, name: 'web' },
    { ...pod, name: 'other' },
  ]);
  let failures = 0;
  const show = async (steps: readonly Step[], scene: Scene): Promise<void> => {
    for (const { title, run } of steps) {
      if (signal?.aborted) return;
      try {
        write(`  ok      ${title}: ${await run(scene)}\n`);
      } catch (error) {
        failures++;
        write(`  FAILED  ${title}: ${messageOf(error)}\n`);
      }
    }
  };
  try {
    const scene = { server: cluster.url, folder, kubectl: new Kubectl(kubectl ?? '', cluster.url, folder) };
    write(`A cluster of this machine's processes, at ${cluster.url}\n\nOur client, in kubectl's place\n`);
    await show(ownSteps, scene);
    if (kubectl === undefined) {
      write(
        '\nkubectl is not in PATH, so this is all; apt-get install kubernetes-client brings one on Debian.\n',
      );
    } else {
      write(`\n${kubectl}\n`);
      await mkdir(join(folder, 'copies'));
      await show(kubectlSteps, scene);
    }
  } finally {
    await cluster.close();
    for (const server of services) server.close();
    await rm(folder, { recursive: true, force: true });
  }
  if (signal?.aborted) {
    write(`\nIt is not complete: ${messageOf(signal.reason)}.\n`);
    return 1;
  }
  write(failures === 0 ? '\nAll of it went well.\n' : `\n${failures} of it went wrong: see above.\n`);
  return failures === 0 ? 0 : 1;
}

const ownSteps: readonly Step[] = [
  {
    title: 'exec',
    run: async ({ server }) => {
      const command = await exec(server, 'web', ['sh', '-c', 'cat; echo done >&2; exit 7']);
      void command.stdin.send('some input');
      const said = await Promise.all([textOf(command.stdout), command.stderr && textOf(command.stderr)]);
      expectSame(said, ['some input', 'done\n']);
      expectSame(await command.exitCode, 7);
      await command.close();
      return 'what went in came out, and the exit code was 7';
    },
  },
  {
    title: 'exec on a terminal',
    run: async ({ server }) => {
      const command = await exec(server, 'web', watchSize, { size: { columns: 80, rows: 24 } });
      let text = '';
      for await (const chunk of command.stdout) {
        text += new TextDecoder().decode(chunk);
        if (text === '24 80\r\n') await command.resize({ columns: 97, rows: 30 });
      }
      expectSame(text, '24 80\r\n30 97\r\n');
      expectSame(await command.exitCode, 7);
      await command.close();
      return 'of 24 lines and 80 columns, then 30 and 97, as the process saw too';
    },
  },
  {
    title: 'exec of what is not there',
    run: async ({ server }) => {
      const command = await exec(server, 'web', ['no-such-program']);
      const why = await command.exitCode.then(String, messageOf);
      if (!why.includes('ENOENT')) throw new Error(`it ended with ${why}`);
      await command.close();
      return why;
    },
  },
  {
    title: 'port-forward',
    run: async ({ server }) => {
      const forwarding = await portForward(server, 'web');
      const greet = async (port: number): Promise<string> => {
        const { data, failure } = await forwarding.open(port);
        void data.send(`to ${port}`);
        const text = await textOf(data);
        expectSame(await failure, '');
        return text;
      };
      const texts = await Promise.all([80, 81, 80].map(greet));
      expectSame(texts, ['eighty got: to 80', 'eighty-one got: to 81', 'eighty got: to 80']);
      const nobody = await forwarding.open(82);
      nobody.data.closed.catch(() => {});
      const why = await nobody.failure;
      if (!why.startsWith('port 82: ')) throw new Error(`it said ${why}`);
      await forwarding.close();
      return `ports 80 and 81 on one connection, and of another: ${why}`;
    },
  },
];

const kubectlSteps: readonly Step[] = [
  {
    title: 'exec',
    run: async ({ kubectl }) => {
      const bytes = randomBytes(MiB);
      const { exitCode, stdout } = await kubectl.run(
        ['exec', '-i', 'web', '--', 'sh', '-c', 'cat; exit 7'],
        bytes,
      );
      expectSame([sha256(stdout), exitCode], [sha256(bytes), 7]);
      return '1 MiB went in and came out, and the exit code was 7';
    },
  },
  {
    title: 'exec on a terminal',
    run: async ({ kubectl, folder }) => {
      const terminal = await start(
        kubectl.commandLine('exec', '-it', 'web', '--', ...watchSize),
        folder,
        true,
      );
      let text = '';
      for await (const chunk of terminal.stdout) {
        text += chunk;
        if (text.endsWith('24 80\r\n')) terminal.resize({ columns: 97, rows: 30 });
      }
      if (!text.includes('30 97')) throw new Error(`it said ${JSON.stringify(text)}`);
      expectSame(await terminal.exited, 7);
      return 'which was made wider and higher, as the process saw too';
    },
  },
  {
    title: 'attach',
    run: async ({ kubectl }) => {
      const { exitCode, stdout } = await kubectl.run(['attach', '-i', 'other'], 'to whoever is there');
      expectSame([stdout.toString(), exitCode], ['to whoever is there', 0]);
      return 'the main process got what was typed, and saw its end';
    },
  },
  {
    title: 'cp',
    run: async ({ kubectl, folder }) => {
      const bytes = randomBytes(MiB);
      await writeFile(join(folder, 'original'), bytes);
      await kubectl.run(['cp', 'original', 'web:copies/there']);
      await kubectl.run(['cp', 'web:copies/there', 'back']);
      expectSame(sha256(await readFile(join(folder, 'back'))), sha256(bytes));
      return 'a file of 1 MiB into the pod and out again';
    },
  },
  {
    title: 'port-forward',
    run: async ({ kubectl }) => {
      const child = kubectl.start('port-forward', 'pod/web', ':80', ':81');
      const exited = once(child, 'exit');
      try {
        const ports = await forwardedPorts(child, 2);
        const texts = await Promise.all(ports.map((port) => ask(port, 'hello')));
        expectSame(texts, ['eighty got: hello', 'eighty-one got: hello']);
      } finally {
        child.kill('SIGINT');
        await exited;
      }
      return 'two ports over one connection';
    },
  },
];

/** Something that listens in a pod: it says its name and what it got. */
async function service(name: string): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('end', () => socket.end(`${name} got: ${text}`));
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function ask(port: number, text: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.end(text);
  let answer = '';
  for await (const chunk of socket) answer += chunk;
  return answer;
}

function expectSame(seen: unknown, wanted: unknown): void {
  const [is, should] = [JSON.stringify(seen), JSON.stringify(wanted)];
  if (is !== should) throw new Error(`it is ${is}, and should be ${should}`);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

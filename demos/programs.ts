/** Servers that are not ours, each as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** How a program is started that is to listen on `port`; `folder` is its own, and goes with it. */
export interface Program {
  /** What stands in the file `configuration` of its folder, if it reads one. */
  configuration?(port: number, folder: string): string;
  command(port: number, folder: string): readonly [program: string, ...args: string[]];
}

export interface RunningProgram {
  readonly port: number;
  close(): Promise<void>;
}

/** How long a program may take until it listens, in pauses of 10 ms. */
const mostPauses = 500;

/** Starts a program on a port that is free, and resolves once it listens. */
export async function startProgram({ configuration, command }: Program): Promise<RunningProgram> {
  const folder = await mkdtemp(join(tmpdir(), 'rxmux-program-'));
  const port = await freePort();
  if (configuration !== undefined) {
    await writeFile(join(folder, 'configuration'), configuration(port, folder));
  }
  const [program, ...args] = command(port, folder);
  const child = spawn(program, args, { stdio: 'ignore' });
  const close = async (): Promise<void> => {
    await ended(child);
    await rm(folder, { recursive: true, force: true });
  };
  const failed = once(child, 'error').then(([error]) => Promise.reject(error));
  try {
    await Promise.race([listening(port), failed]);
  } catch (error) {
    await close();
    throw error;
  }
  return { port, close };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

async function listening(port: number): Promise<void> {
  for (let left = mostPauses; ; left--) {
    const socket = connect({ port, host: '127.0.0.1' });
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (left === 0) throw error;
    } finally {
      socket.destroy();
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * HAProxy before servers of ours. HTTP/2 without TLS on both sides needs `proto h2`; the timeouts are for streams that
 * live longer than a page. `tune.h2.initial-window-size` is left alone: rxmux brings the large windows that matter.
 */
export function configuration(from: number, servers: ReadonlyMap<string, number>): string {
  const lines = [...servers].map(
    ([name, port]) => `  server ${name} 127.0.0.1:${port} proto h2 check inter 200ms`,
  );
  return `
defaults
  mode http
  timeout connect 5s
  timeout client  1h
  timeout server  1h
  timeout tunnel  1h
  # A server that is gone takes no new streams: another one does.
  option redispatch
  retries 3
  retry-on conn-failure empty-response

listen streams
  bind 127.0.0.1:${from} proto h2
  balance roundrobin
${lines.join('\n')}
`;
}

export interface RunningProxy {
  readonly port: number;
  close(): Promise<void>;
}

/** Starts HAProxy, and resolves once it listens. */
export async function startHaproxy(servers: ReadonlyMap<string, number>): Promise<RunningProxy> {
  const folder = await mkdtemp(join(tmpdir(), 'rxmux-scale-out-'));
  const port = await freePort();
  const file = join(folder, 'haproxy.cfg');
  await writeFile(file, configuration(port, servers));
  const child = spawn('haproxy', ['-f', file, '-db', '-q'], { stdio: 'ignore' });
  const failed = once(child, 'error').then(([error]) => Promise.reject(error));
  const close = async (): Promise<void> => {
    await ended(child);
    await rm(folder, { recursive: true, force: true });
  };
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
  for (let left = 500; ; left--) {
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

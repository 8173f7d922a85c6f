/** The proxies that pass HTTP/2 on, each as a process of its own, with what they need to be told. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type ProxyName = 'haproxy' | 'nghttpx' | 'nginx';

export interface RunningProxy {
  readonly port: number;
  close(): Promise<void>;
}

interface Recipe {
  /** What goes into its configuration file, if it has one. */
  configuration?(from: number, to: number, folder: string): string;
  command(from: number, to: number, folder: string): readonly [string, ...string[]];
}

const recipes: Readonly<Record<ProxyName, Recipe>> = {
  haproxy: {
    configuration: (from, to) => `
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout tunnel 30s
listen between
  bind 127.0.0.1:${from} proto h2
  server one 127.0.0.1:${to} proto h2
`,
    command: (_from, _to, folder) => ['haproxy', '-f', join(folder, 'cfg'), '-db'],
  },
  nghttpx: {
    command: (from, to) => [
      'nghttpx',
      ...['--conf=/dev/null', `-f127.0.0.1,${from};no-tls`, `-b127.0.0.1,${to};;proto=h2`],
      ...['--no-ocsp', '--workers=1', '--errorlog-file=/dev/null'],
    ],
  },
  nginx: {
    configuration: (from, to, folder) => `
daemon off;
master_process off;
pid ${folder}/pid;
error_log ${folder}/error;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${from} http2;
    client_max_body_size 0;
    http2_max_concurrent_streams 200;
    keepalive_requests 100000;
    location / {
      grpc_pass grpc://127.0.0.1:${to};
      grpc_read_timeout 60s;
      grpc_send_timeout 60s;
      grpc_socket_keepalive on;
    }
  }
}
`,
    command: (_from, _to, folder) => [
      'nginx',
      ...['-c', join(folder, 'cfg'), '-p', folder, '-e', join(folder, 'error')],
    ],
  },
};

/** Starts a proxy of its own before a server, and resolves once it listens. */
export async function proxyTo(name: ProxyName, to: number): Promise<RunningProxy> {
  const { configuration, command } = recipes[name];
  const folder = await mkdtemp(join(tmpdir(), `rxmux-${name}-`));
  const port = await freePort();
  if (configuration !== undefined) await writeFile(join(folder, 'cfg'), configuration(port, to, folder));
  const [program, ...args] = command(port, to, folder);
  const child = spawn(program, args, { stdio: 'ignore' });
  const close = async (): Promise<void> => {
    await ended(child);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await listening(port);
  } catch (error) {
    await close();
    throw error;
  }
  return { port, close };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

/** A proxy takes a moment to listen. */
export async function listening(port: number): Promise<void> {
  for (let left = 300; ; left--) {
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

export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

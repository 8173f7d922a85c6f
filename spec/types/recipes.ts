/** The code of docs/recipes.md, compiled. Nothing here runs. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { type Provider, redial, type Stream, span } from 'rxmux';
import { connect, framer, fromDuplex, listen } from 'rxmux/node';
import { spdy } from 'rxmux/spdy';
import { forward, ssh } from 'rxmux/ssh';

export function plugin(): [Provider, Provider] {
  const child = spawn('node', ['plugin.js'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const plugin = framer(fromDuplex({ readable: child.stdout, writable: child.stdin }));

  const host = framer(fromDuplex({ readable: process.stdin, writable: process.stdout }), {
    role: 'server',
  });
  return [plugin, host];
}

export function agent(serve: (stream: Stream) => Promise<void>): void {
  const relay = span(redial(() => connect('tls://relay.example.com:443', framer)));
  relay.accept$.subscribe({ next: (stream) => void serve(stream), error: console.error });
}

export async function relay(
  key: string,
  cert: string,
  agents: Set<Provider>,
  anyOf: (agents: Set<Provider>) => Provider,
): Promise<Stream> {
  const listener = await listen('tls://0.0.0.0:443', framer, { tls: { key, cert } });
  listener.accept$.subscribe((agent) => agents.add(agent));
  return anyOf(agents).newStream({ ':path': '/status' });
}

export function upgraded(server: Server, attach: (type: string | undefined, stream: Stream) => void): void {
  server.on('upgrade', (_request, socket, head) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n');
    const kubectl = spdy(fromDuplex(socket, { head }), { role: 'server' });
    kubectl.accept$.subscribe({
      next: (stream) => attach(stream.headers.get('streamtype'), stream.accept()),
      error: console.error,
    });
  });
}

export async function sshServer(isKnown: (username: string, key: Uint8Array) => boolean): Promise<void> {
  const hostKeys = [await readFile('/etc/ssh/ssh_host_ed25519_key', 'utf8')];
  const protocol = ssh({
    hostKeys,
    authenticate: (attempt) => attempt.method === 'publickey' && isKnown(attempt.username, attempt.key),
    serve: ['exec'],
  });
  const listener = await listen('tcp://127.0.0.1:2222', protocol);
  const answer = async (stream: Stream): Promise<void> => {
    if (stream.headers.get(':ssh') !== 'exec') stream.reject();
    else {
      await stream.write(`you said ${stream.headers.get(':command')}\n`);
      await stream.end({ ':exit-status': '0' });
    }
  };
  listener.accept$.subscribe((connection) => {
    connection.accept$.subscribe({
      // Who leaves before the answer is no reason to stop for the others.
      next: (stream) => void answer(stream).catch(console.error),
      error: console.error,
    });
  });
}

export async function ports(username: string, privateKey: string, knownHosts: string): Promise<number> {
  const protocol = ssh({ username, privateKey, knownHosts, serve: ['forwarded-tcpip'] });
  const connection = await connect('tcp://bastion.example.com:22', protocol);
  await connection.ping();
  const { port } = await forward(connection, { host: '127.0.0.1', port: 0 });
  connection.accept$.subscribe({ next: (stream) => void stream.send(stream.data$), error: console.error });
  return port;
}

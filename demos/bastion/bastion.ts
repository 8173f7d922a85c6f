import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer, get, type Server } from 'node:http';
import { type AddressInfo, connect as dial, type Socket } from 'node:net';
import { userInfo } from 'node:os';
import type { Duplex } from 'node:stream';
import { framer } from 'rxmux/framer';
import { connect, fromDuplex, listen, type Provider, type Stream, toDuplex } from 'rxmux/node';
import { ssh } from 'rxmux/ssh';
import { ended, type Keys, startSsh } from './openssh.js';

/** Says what happened, a line at a time. */
export type Tell = (line: string) => void;

/** A service that only the bastion can reach, as far as its users know. */
export async function startService(): Promise<{ server: Server; port: number }> {
  const server = createHttpServer((request, response) => response.end(`hello from ${request.url}\n`));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

/** Logs in to the daemon with keys that were made for this run. */
export async function logIn(keys: Keys, port: number): Promise<Provider> {
  const protocol = ssh({
    username: userInfo().username,
    privateKey: readFileSync(keys.user, 'utf8'),
    knownHosts: `[127.0.0.1]:${port} ${keys.hostPublic}\n`,
  });
  return connect(`tcp://127.0.0.1:${port}`, protocol);
}

/** A request of HTTP whose socket is a stream through sshd. */
export async function throughSshd(provider: Provider, servicePort: number, tell: Tell): Promise<string> {
  const headers = { ':ssh': 'direct-tcpip', ':host': '127.0.0.1', ':port': String(servicePort) };
  const body = await fetchText('/inside', () => toDuplex(provider.newStream(headers)));
  tell(`through sshd: ${body.trim()}`);
  return body;
}

/** Streams both ways over one command, on a host that knows nothing of us: `ssh host rxmux-peer`. */
export async function throughCommand(provider: Provider, command: string, tell: Tell): Promise<string[]> {
  const channel = provider.newStream({ ':ssh': 'exec', ':command': command });
  const inner = framer(fromDuplex(toDuplex(channel)));
  const said: string[] = [];
  const echoes = ['one', 'two', 'three'].map(async (name) => {
    const stream = inner.newStream({ name });
    const [back] = await Promise.all([text(stream), stream.send(`echo of ${name}`)]);
    said.push(back);
    const asked = (await inner.accept()) as Stream;
    await asked.end();
    said.push(`${asked.headers.get('question')} (${asked.headers.get('about')})`);
  });
  await Promise.all(echoes);
  await inner.close();
  tell(`through one command: ${said.length} streams, opened by either side`);
  return said.sort();
}

/** A server of ours, for stock clients that forward. */
export async function serveStock(keys: Keys): Promise<{ port: number; close(): Promise<void> }> {
  const userKey = keys.userPublic.split(' ')[1];
  const protocol = ssh({
    hostKeys: [readFileSync(keys.host, 'utf8')],
    authenticate: (attempt) =>
      attempt.method === 'publickey' && Buffer.from(attempt.key).toString('base64') === userKey,
    serve: ['direct-tcpip', 'forwarded-tcpip'],
  });
  const listener = await listen('tcp://127.0.0.1:0', protocol);
  const ignore = (): void => {};
  listener.accept$.subscribe((connection) => {
    connection.accept$.subscribe({ next: forwardTo, error: ignore });
  });
  return { port: Number(listener.address.split(':').at(-1)), close: () => listener.close() };
}

/** Accepts a stream once its destination has been reached. */
function forwardTo(stream: Stream): void {
  if (stream.headers.get(':ssh') !== 'direct-tcpip') {
    // One of our own kind, which has no destination.
    stream.reject();
    return;
  }
  const socket = dial({
    host: stream.headers.get(':host') as string,
    port: Number(stream.headers.get(':port')),
    allowHalfOpen: true,
  });
  socket.once('connect', () => {
    const duplex = toDuplex(stream.accept());
    duplex.on('error', () => socket.destroy());
    duplex.pipe(socket).pipe(duplex);
  });
  socket.on('error', () => (stream.state === 'opening' ? stream.reject('internal-error') : stream.reset()));
}

/** `ssh -W`, `-L` and `-R` against our server, each with a request to the service. */
export async function fromStock(
  keys: Keys,
  port: number,
  servicePort: number,
  tell: Tell,
): Promise<string[]> {
  const bodies: string[] = [];

  const direct = startSsh(keys, port, ['-W', `127.0.0.1:${servicePort}`]);
  direct.stdin?.end('GET /by-W HTTP/1.0\r\n\r\n');
  bodies.push(bodyOf(await text(direct.stdout as AsyncIterable<Uint8Array>)));
  await ended(direct);

  const local = `${keys.folder}/local.sock`;
  const forward = startSsh(keys, port, ['-N', '-L', `${local}:127.0.0.1:${servicePort}`]);
  bodies.push(await fetchText('/by-L', await reach(() => dial(local))));
  await ended(forward);

  const reverse = startSsh(keys, port, ['-N', '-R', `0:127.0.0.1:${servicePort}`]);
  const allocated = Number(
    /Allocated port (\d+)/.exec(await said(reverse.stderr as Duplex, 'Allocated port'))?.[1],
  );
  bodies.push(await fetchText('/by-R', () => dial(allocated, '127.0.0.1')));
  await ended(reverse);

  tell(`stock ssh to our server: ${bodies.map((body) => body.trim()).join(', ')}`);
  return bodies;
}

function fetchText(path: string, createConnection: () => Duplex): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({
      path,
      host: 'service',

      createConnection: createConnection as () => Socket,
    });
    request.on('error', reject);
    request.on('response', (response) => text(response).then(resolve, reject));
  });
}

/** Until somebody listens there. */
async function reach(open: () => Socket): Promise<() => Socket> {
  for (;;) {
    const socket = open();
    const connected = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    if (connected) return () => socket;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function said(stream: Duplex, what: string): Promise<string> {
  let all = '';
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    all += chunk;
    if (all.includes(what) && all.endsWith('\n')) return all;
  }
  throw new Error(`ssh ended without "${what}": ${all}`);
}

async function text(source: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function bodyOf(response: string): string {
  return response.slice(response.indexOf('\r\n\r\n') + 4);
}

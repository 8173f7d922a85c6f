/** The README's code, compiled. Nothing here runs. */
import { createServer } from 'node:http';
import { filter, map, scan } from 'rxjs';
import {
  debug,
  fromWebSocket,
  handle,
  join,
  limit,
  meter,
  prometheusContentType,
  pullMap,
  redial,
  span,
  trace,
} from 'rxmux';
import { dashboard } from 'rxmux/dashboard';
import {
  connect,
  framer,
  fromWebSocket as fromNodeWebSocket,
  type Listener,
  listen,
  type Provider,
  type Stream,
  toDuplex,
} from 'rxmux/node';
import { opentelemetry } from 'rxmux/opentelemetry';
import { sessionOf, ssh } from 'rxmux/ssh';
import { WebSocketServer } from 'ws';

export async function twelveLines(): Promise<void> {
  const listener = await listen('tcp://127.0.0.1:0', framer);
  listener.accept$.subscribe((connection) => {
    const echo = (stream: Stream) => stream.send(stream.data$); // with backpressure
    connection.accept$.subscribe({ next: echo, error: console.error });
  });

  const connection = await connect(listener.address, framer);
  const stream = connection.newStream({ ':path': '/hello' });
  void stream.send('Hello, world');
  for await (const chunk of stream) console.log(new TextDecoder().decode(chunk));
  await connection.close();
  await listener.close();
}

export function inABrowser(): Provider {
  return framer(fromWebSocket(new WebSocket('wss://example.com/streams')), { role: 'client' });
}

export function itsServer(serve: (connection: Provider) => void): void {
  const origin = 'https://example.com'; // a page from elsewhere is nobody we know
  const server = new WebSocketServer({
    port: 8081,
    maxPayload: 1 << 20,
    verifyClient: (info: { origin: string }) => info.origin === origin,
  });
  server.on('connection', (socket) => {
    serve(framer(fromNodeWebSocket(socket), { role: 'server' }));
  });
}

export function pipeline(
  stream: Stream,
  decode: (chunk: Uint8Array) => { record: string },
  store: (record: { record: string }) => Promise<number>,
  showProgress: (count: number) => void,
): void {
  stream.data$
    .pipe(
      filter((chunk) => chunk.byteLength > 0),
      map((chunk) => decode(chunk)),
      pullMap(async (record) => store(record), { concurrent: 4 }), // the first asynchronous step
      scan((count) => count + 1, 0),
    )
    .subscribe(showProgress);
}

export async function proxy(upstream: Stream, downstream: Stream): Promise<void> {
  downstream.accept(upstream.reply);
  await join(downstream, upstream);
}

export async function limits(address: string): Promise<void> {
  await connect(address, framer, { limits: { windowBytes: 1 << 20 } });
}

export async function overSsh(username: string, privateKey: string, knownHosts: string): Promise<void> {
  const protocol = ssh({ username, privateKey, knownHosts });
  const connection = await connect('tcp://bastion.example.com:22', protocol);

  const socket = toDuplex(
    connection.newStream({ ':ssh': 'direct-tcpip', ':host': 'db.internal', ':port': '5432' }),
  );
  socket.end();

  const command = connection.newStream({ ':ssh': 'exec', ':command': 'make' });
  sessionOf(command).stderr$.subscribe((chunk) => console.error(chunk.byteLength));
  for await (const chunk of command) console.log(chunk.byteLength);
  console.log((await command.trailers)?.get(':exit-status'));
}

export async function operators(
  address: string,
  listener: Listener,
  file: { write(text: string): void },
  serve: (accepted: Provider) => void,
): Promise<Provider> {
  const connection = (await connect(address, framer)).pipe(
    debug({ name: 'client' }), // a readable line for each event
    trace((text) => file.write(text)), // the same for programs: docs/trace.md
    limit({ streams: 100, perStream: { rate: 1 << 20 }, idleMs: 60_000 }),
  );
  const policy = handle((headers) => ({ accept: headers.get(':path') === '/public' }));
  listener.accept$.subscribe((accepted) => serve(accepted.pipe(policy)));
  return connection;
}

export function redialled(address: string): Provider {
  return span(redial(() => connect(address, framer)));
}

export async function watchItLive(address: string): Promise<Provider> {
  const board = dashboard({ port: 8080 });
  const provider = (await connect(address, framer)).pipe(board.named('storage'));
  console.log(await board.address);
  return provider;
}

export async function measureIt(address: string): Promise<Provider> {
  const metrics = meter();
  const provider = (await connect(address, framer)).pipe(metrics, opentelemetry());
  createServer((_request, response) => {
    response.setHeader('content-type', prometheusContentType).end(metrics.text());
  }).listen(9464, '127.0.0.1');
  return provider;
}

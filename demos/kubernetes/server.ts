import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { fromDuplex, fromWebSocket, type Limits, type Provider } from 'rxmux/node';
import { spdy } from 'rxmux/spdy';
import { type ChannelOptions, channelOptions, channelProtocol } from './channels.js';
import { Container, exec } from './command.js';
import { documentAt, type PodOptions, subresourceAt } from './pods.js';
import { forward, forwardProtocol } from './port-forward.js';
import { failure, type Status } from './status.js';
import * as webSocket from './web-socket.js';

/** As kubelets have it: an idle shell, or a forwarded connection that nobody uses, stays for hours. */
const limits: Partial<Limits> = { halfClosedMs: 4 * 60 * 60 * 1000 };
/** How long a client may take to leave after the end of its command. */
const leavingMs = 5000;

export interface ClusterOptions {
  /** Of 127.0.0.1; chosen by the system if there is none. */
  readonly port?: number;
  /** Told of each connection, and of the protocol that was agreed on. */
  readonly onConnection?: (provider: Provider, protocol: string) => void;
}

/** What a client wants of a pod. */
interface Task {
  /** Of a command. */
  readonly options?: ChannelOptions;
  /** It is over when nothing is left to be said to the client. */
  run(provider: Provider): Promise<void>;
}

/** A cluster of one node, which is this machine. */
export class Cluster {
  /** One for each `kubectl` that is connected. */
  readonly connections: Set<Provider> = new Set();
  readonly #pods: ReadonlyMap<string, PodOptions>;
  readonly #containers: ReadonlyMap<string, Container>;
  readonly #server: Server;
  readonly #onConnection: ClusterOptions['onConnection'];

  private constructor(
    pods: ReadonlyMap<string, PodOptions>,
    containers: ReadonlyMap<string, Container>,
    { onConnection }: ClusterOptions,
  ) {
    this.#onConnection = onConnection;
    this.#pods = pods;
    this.#containers = containers;
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** Starts the containers' main processes, and a server for `kubectl` on 127.0.0.1. */
  static async start(pods: readonly PodOptions[], options: ClusterOptions = {}): Promise<Cluster> {
    const containers = await Promise.all(
      pods.map(async (pod) => [pod.name, await Container.start(pod)] as const),
    );
    const cluster = new Cluster(new Map(pods.map((pod) => [pod.name, pod])), new Map(containers), options);
    cluster.#server.listen(options.port ?? 0, '127.0.0.1');
    try {
      await once(cluster.#server, 'listening');
    } catch (error) {
      for (const container of cluster.#containers.values()) container.stop();
      throw error;
    }
    return cluster;
  }

  /** For `kubectl --server`. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Ends the containers, and with them what is attached; what else is connected is cut off. */
  async close(): Promise<void> {
    for (const container of this.#containers.values()) container.stop();
    for (const provider of this.connections) provider.abort(new Error('the cluster is closed'));
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
    await Promise.allSettled([...this.#containers.values()].map(({ exited }) => exited));
  }

  /** Pages of any origin reach this server too, by the browser on this machine: their requests must run nothing. */
  #isFromPage({ headers: { origin, host = '' } }: IncomingMessage): boolean {
    // With a name of its own that leads here (DNS rebinding), a page sends some requests without an Origin.
    const { port } = this.#server.address() as AddressInfo;
    return (
      origin !== undefined || !['127.0.0.1', 'localhost'].some((name) => isHost(host, `${name}:${port}`))
    );
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = urlOf(request);
    const document = this.#isFromPage(request) ? notForPages : documentAt(pathname, this.#pods);
    const body = document ?? failure(404, 'NotFound', `there is no ${pathname}`);
    const code = 'code' in body ? Number(body.code) : 200;
    response.writeHead(code, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => {});
    if (this.#isFromPage(request)) {
      refuse(socket, notForPages);
      return;
    }
    const { pathname, searchParams } = urlOf(request);
    const { pod: name = '', verb = '' } = subresourceAt(pathname) ?? {};
    const pod = this.#pods.get(name);
    const task = pod && this.#task(pod, verb, searchParams);
    const carrier = request.headers.upgrade?.toLowerCase();
    if (task === undefined) refuse(socket, failure(404, 'NotFound', `there is no ${pathname}`));
    else if (carrier === 'websocket') this.#upgradeToWebSocket(request, socket, head, task);
    else if (carrier === 'spdy/3.1') this.#upgradeToSpdy(request, socket, head, task);
    else refuse(socket, failure(400, 'BadRequest', 'this server is upgraded to WebSocket or SPDY/3.1'));
  }

  #upgradeToSpdy(request: IncomingMessage, socket: Duplex, head: Buffer, task: Task): void {
    const protocol = task.options === undefined ? forwardProtocol : channelProtocol;
    if (offersOf(request).includes(protocol)) {
      socket.write(head101(protocol));
      void this.#serve(spdy(fromDuplex(socket, { head }), { role: 'server', limits }), protocol, task);
    } else refuse(socket, failure(403, 'Forbidden', `this server speaks ${protocol} only`));
  }

  #upgradeToWebSocket(request: IncomingMessage, socket: Duplex, head: Buffer, task: Task): void {
    const { options } = task;
    const protocol = options === undefined ? webSocket.tunnelProtocol : webSocket.messageProtocol;
    if (webSocket.offersOf(request).includes(protocol)) {
      webSocket.upgrade(request, socket, head, protocol, (opened) => {
        const provider =
          options === undefined
            ? spdy(fromWebSocket(opened), { role: 'server', limits })
            : webSocket.channels(opened, options, limits);
        void this.#serve(provider, protocol, task);
      });
    } else refuse(socket, failure(403, 'Forbidden', `this server speaks ${protocol} only`));
  }

  /** What can be done with a pod, on a connection of its own. */
  #task(pod: PodOptions, verb: string, query: URLSearchParams): Task | undefined {
    const options = channelOptions(query);
    switch (verb) {
      case 'exec':
        return { options, run: (provider) => exec(provider, pod, options, query.getAll('command')) };
      case 'attach':
        return {
          options,
          run: async (provider) => this.#containers.get(pod.name)?.attach(provider, options),
        };
      case 'portforward':
        return { run: (provider) => forward(provider, pod.ports ?? {}) };
      default:
        return undefined;
    }
  }

  async #serve(provider: Provider, protocol: string, task: Task): Promise<void> {
    this.connections.add(provider);
    this.#onConnection?.(provider, protocol);
    try {
      await task.run(provider);
      await left(provider);
    } catch (error) {
      provider.abort(error);
    } finally {
      this.connections.delete(provider);
    }
  }
}

function urlOf(request: IncomingMessage): URL {
  const { url = '/' } = request;
  const base = 'http://127.0.0.1';
  return new URL(URL.canParse(url, base) ? url : '/', base);
}

/** Whether they are the same: HTTP's own port may be left out. */
function isHost(host: string, own: string): boolean {
  const [is, should] = [`http://${host}`, `http://${own}`];
  return URL.canParse(is) && new URL(is).host === new URL(should).host;
}

const notForPages = failure(
  403,
  'Forbidden',
  'this server is for kubectl, by its own address, and not for pages',
);

/** `kubectl` sends a header line for each version that it speaks. */
function offersOf(request: IncomingMessage): string[] {
  const lines = request.headersDistinct['x-stream-protocol-version'] ?? [];
  return lines.flatMap((line) => line.split(',').map((offer) => offer.trim()));
}

function head101(protocol: string): string {
  const lines = ['Connection: Upgrade', 'Upgrade: SPDY/3.1', `X-Stream-Protocol-Version: ${protocol}`];
  return `HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`;
}

function refuse(socket: Duplex, status: Status): void {
  const body = JSON.stringify(status);
  const lines = ['Content-Type: application/json', `Content-Length: ${body.length}`, 'Connection: close'];
  socket.end(
    `HTTP/1.1 ${status.code} ${STATUS_CODES[status.code ?? 500]}\r\n${lines.join('\r\n')}\r\n\r\n${body}`,
  );
}

/** It is the client who leaves, since it may still have to read the end; one that does not is cut off. */
async function left(provider: Provider): Promise<void> {
  const timer = setTimeout(() => provider.abort(new Error('the client did not leave')), leavingMs);
  await provider.closed.finally(() => clearTimeout(timer));
}

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import type { Observable } from 'rxjs';
import type { Protocol, Provider, ProviderOptions } from '../api.js';
import { onAbort } from '../core/abort.js';
import { Backlog } from '../core/backlog.js';
import { longestTimerMs } from '../core/clock.js';
import { StreamError } from '../core/errors.js';
import { defaultLimits } from '../core/limits.js';
import { abortable, Deferred, handled } from '../core/promises.js';
import { type Address, formatAddress, parseAddress } from './address.js';
import type { NodeOptions } from './connect.js';
import { fromDuplex } from './duplex.js';
import { recognise } from './recognise.js';

/** To connections what a provider is to streams. */
export interface Listener extends AsyncDisposable {
  /** Where it listens, the port chosen by the system included: `tcp://127.0.0.1:40123`. */
  readonly address: string;
  /**
   * One provider per connection. One subscriber; a bounded backlog waits for it. It completes after `close()`, and
   * errors only if the listening socket does: never for the sake of one connection.
   */
  readonly accept$: Observable<Provider>;
  readonly providers: ReadonlySet<Provider>;
  /** No new connections; the ones there are closed gracefully. */
  close(options?: { signal?: AbortSignal }): Promise<void>;
}

/**
 * Listens on `tcp://host:port` (port 0: the system chooses), `tls://host:port` or `unix:/path`. Resolves once bound, and
 * rejects if it cannot be. Given several protocols, ALPN on TLS or the first bytes of each connection decide. Aborting
 * `signal` closes the listener and aborts its connections.
 */
export async function listen(
  address: string,
  protocols: Protocol | readonly Protocol[],
  options: NodeOptions = {},
): Promise<Listener> {
  const target = parseAddress(address);
  const list = Array.isArray(protocols) ? (protocols as readonly Protocol[]) : [protocols as Protocol];
  if (list.length === 0) throw new TypeError('listen() needs a protocol');
  const own = ownOptions(options);
  for (const protocol of list) protocol.check?.(own);
  options.signal?.throwIfAborted();
  const server = makeServer(target, list, options);
  await bound(server, target, address);
  if (options.signal?.aborted) {
    server.close();
    throw options.signal.reason;
  }
  return new NodeListener(server, target, list, options);
}

/** What each protocol is given. */
function ownOptions({ tls: _tls, ...options }: NodeOptions): ProviderOptions {
  return { role: 'server', ...options };
}

/** Connections that the system has for us, and those that are in the middle of a TLS handshake. */
const mostHandshakes = 1024;

function makeServer(target: Address, protocols: readonly Protocol[], options: NodeOptions): Server {
  if (target.kind !== 'tls') return createServer({ noDelay: true });
  const names = protocols.flatMap((protocol) => (protocol.alpn === undefined ? [] : [protocol.alpn]));
  const { handshakeMs = defaultLimits.handshakeMs } = options.limits ?? {};
  const settings: TlsOptions = {
    // Node takes 0 for its own default.
    handshakeTimeout: Math.min(handshakeMs || longestTimerMs, longestTimerMs),
    ...(options.tls as TlsOptions | undefined),
  };
  if (names.length > 0) settings.ALPNProtocols = names;
  return createTlsServer(settings);
}

function bound(server: Server, target: Address, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(new StreamError('closed', `${address} cannot be listened on: ${cause.message}`, { cause }));
    });
    const ready = (): void => {
      server.removeAllListeners('error');
      resolve();
    };
    if (target.kind === 'unix') server.listen({ path: target.path }, ready);
    else server.listen({ host: target.host, port: target.port, backlog: mostHandshakes }, ready);
  });
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}

class NodeListener implements Listener {
  readonly address: string;
  readonly providers: Set<Provider> = new Set();
  readonly #server: Server;
  readonly #protocols: readonly Protocol[];
  readonly #options: NodeOptions;
  readonly #backlog: Backlog<Provider> = new Backlog('accept$ of the listener');
  readonly #most: number;
  readonly #closed: Deferred<void> = new Deferred();
  /** Connections that have not said what they speak. */
  readonly #undecided: Set<Socket> = new Set();
  /** Those of TLS by their peers: what is secure is another socket. */
  readonly #handshaking: Map<string, Socket> = new Map();
  #closing = false;

  constructor(server: Server, target: Address, protocols: readonly Protocol[], options: NodeOptions) {
    this.#server = server;
    this.#protocols = protocols;
    this.#options = options;
    this.#most = options.limits?.backlog ?? defaultLimits.backlog;
    const { port } = target.kind === 'unix' ? { port: 0 } : (server.address() as AddressInfo);
    this.address =
      target.kind === 'unix' ? `unix:${target.path}` : formatAddress(target.kind, target.host, port);
    server.on(target.kind === 'tls' ? 'secureConnection' : 'connection', (socket: Socket) =>
      this.#take(socket),
    );
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    if (target.kind === 'tls') {
      server.on('connection', (socket: Socket) => this.#handshake(socket));
      server.on('secureConnection', (socket: Socket) => this.#handshaking.delete(peerOf(socket)));
    }
    server.on('error', (cause) => {
      const message = `${this.address} is not listened on any more: ${cause.message}`;
      this.#backlog.fail(new StreamError('closed', message, { cause }));
    });
    server.on('close', () => {
      this.#backlog.end();
      this.#closed.resolve();
    });
    this.#listenTo(options.signal);
  }

  get accept$(): Observable<Provider> {
    return this.#backlog.values$;
  }

  close(options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    return handled(abortable(this.#close(), signal, () => this.#abort(signal?.reason)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      this.#server.close();
      for (const socket of [...this.#undecided, ...this.#handshaking.values()]) socket.destroy();
    }
    await Promise.all([...this.providers].map((provider) => provider.close().catch(() => {})));
    await this.#closed.promise;
  }

  #abort(reason: unknown): void {
    for (const provider of this.providers) provider.abort(reason);
  }

  #listenTo(signal: AbortSignal | undefined): void {
    const forget = onAbort(signal, (reason) => {
      void this.close();
      this.#abort(reason);
    });
    void this.#closed.promise.then(forget);
  }

  /** Keeps a TLS connection in sight until its handshake is over, so that `close()` need not wait for it. */
  #handshake(socket: Socket): void {
    const peer = peerOf(socket);
    // Whoever has been at it longest goes first, as among those who say nothing.
    const [oldest] = this.#handshaking.values();
    if (this.#handshaking.size >= mostHandshakes) oldest?.destroy();
    this.#handshaking.set(peer, socket);
    socket.once('close', () => {
      // Another one may come from the same port meanwhile.
      if (this.#handshaking.get(peer) === socket) this.#handshaking.delete(peer);
    });
  }

  #take(socket: Socket): void {
    // Nobody takes connections fast enough: this one is told at once, and not left to wait for ever.
    if (this.#closing || !this.#makeRoom()) {
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    const [only, ...others] = this.#protocols as [Protocol, ...Protocol[]];
    if (others.length === 0) this.#speak(socket, only, undefined);
    else void this.#decide(socket);
  }

  /** Whoever has been silent longest goes first: those who say nothing must not shut out those who would. */
  #makeRoom(): boolean {
    if (this.#backlog.size + this.#undecided.size < this.#most) return true;
    const [oldest] = this.#undecided;
    if (oldest === undefined) return false;
    this.#undecided.delete(oldest);
    oldest.destroy();
    return true;
  }

  async #decide(socket: Socket): Promise<void> {
    const agreed = (socket as Partial<TLSSocket>).alpnProtocol;
    const byName = this.#protocols.find(
      (protocol) => protocol.alpn !== undefined && protocol.alpn === agreed,
    );
    if (byName !== undefined) {
      this.#speak(socket, byName, undefined);
      return;
    }
    this.#undecided.add(socket);
    const deadlineMs = this.#options.limits?.handshakeMs ?? defaultLimits.handshakeMs;
    const found = await recognise(socket, this.#protocols, deadlineMs);
    this.#undecided.delete(socket);
    if (found === null || this.#closing) socket.destroy();
    else this.#speak(socket, found.protocol, found.head);
  }

  #speak(socket: Socket, protocol: Protocol, head: Uint8Array | undefined): void {
    const transport = fromDuplex(socket, head === undefined ? {} : { head });
    let provider: Provider;
    try {
      provider = protocol(transport, ownOptions(this.#options));
    } catch (error) {
      // Options that cannot be are a mistake of whoever listens. The peer is not left waiting for that.
      socket.destroy();
      throw error;
    }
    this.providers.add(provider);
    const gone = (): void => {
      this.providers.delete(provider);
      this.#backlog.remove(provider);
    };
    provider.closed.then(gone, gone);
    this.#backlog.push(provider);
  }
}

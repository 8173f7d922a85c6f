import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Stream } from '../api.js';
import { noBytes } from '../core/bytes.js';
import { StreamError } from '../core/errors.js';
import { hold } from '../core/hold.js';
import type { Session } from '../core/session.js';
import { encodeFields, type Field, type PayloadReader, readUint32 } from './codec.js';
import type { SshWire } from './wire.js';

/** Where a server is to listen for us: on TCP, port 0 being any, or on a unix socket of its machine. */
export type SshForwardTarget = { readonly host?: string; readonly port: number } | { readonly path: string };

/** A place where the server listens; its connections are streams of `accept$`, with `:ssh` of `forwarded-…`. */
export interface SshForward {
  /** The port that the server chose, or was told; 0 of a unix socket. */
  readonly port: number;
  /** Has the server listen no more. Connections that there are go on. */
  close(): Promise<void>;
}

const names = { tcp: 'tcpip-forward', unix: 'streamlocal-forward@openssh.com' } as const;
const cancelNames = { tcp: 'cancel-tcpip-forward', unix: 'cancel-streamlocal-forward@openssh.com' } as const;

/** A client may not have us listen elsewhere than where only this machine connects: sshd's default too. */
const loopbackNames: ReadonlySet<string> = new Set(['', '*', 'localhost', '0.0.0.0', '127.0.0.1', '::']);
/** Below, a port belongs to the system. */
const firstOpenPort = 1024;
const maxPathBytes = 1024;
/** What a unix socket's address has room for, less the byte that ends it. */
const maxSocketPathBytes = 107;

/** Forwarding from the server to the client (RFC 4254 §7.1, OpenSSH's PROTOCOL §2.4). */
export class Forwards {
  readonly #session: Session;
  readonly #wire: SshWire;
  /** What we asked a server for: ports as text, on how many addresses, and paths. */
  readonly #wanted: Map<string, number> = new Map();
  /** Ports that the server chose. */
  readonly #chosen: Set<{ readonly port: number }> = new Set();
  /** What we listen on for a client. */
  readonly #servers: Map<string, Server> = new Map();
  /** Servers that do not listen yet. */
  #binding = 0;

  constructor(session: Session, wire: SshWire) {
    this.#session = session;
    this.#wire = wire;
    const over = (): void => {
      for (const server of this.#servers.values()) server.close();
      this.#servers.clear();
    };
    session.closed.then(over, over);
  }

  // ------------------------------------------------------------------ as a client

  /**
   * What the server opens a channel for, if we asked for that; else null. asyncssh says port 0 where that was asked for,
   * and not the port that it chose: which one is meant is known if it chose one alone.
   */
  expected(flat: readonly string[]): readonly string[] | null {
    const at = Math.max(flat.indexOf(':port'), flat.indexOf(':path'));
    const place = flat[at + 1] as string;
    if (this.#wanted.has(place)) return flat;
    const [choice] = this.#chosen;
    if (flat[at] !== ':port' || place !== '0' || choice === undefined || this.#chosen.size > 1) return null;
    return [...flat.slice(0, at + 1), String(choice.port), ...flat.slice(at + 2)];
  }

  async listen(target: SshForwardTarget): Promise<SshForward> {
    const kind = 'path' in target ? 'unix' : 'tcp';
    const fields = (port: number): Field[] =>
      'path' in target ? [target.path] : [target.host ?? 'localhost', port];
    const asked = 'path' in target ? 0 : target.port;
    const place = { port: asked };
    const key = (): string => ('path' in target ? target.path : String(place.port));
    // The first connection may come right behind the answer.
    await this.#ask(names[kind], fields(asked), (answer) => {
      if (kind === 'tcp' && asked === 0 && answer.length >= 4) {
        place.port = readUint32(answer, 0);
        this.#chosen.add(place);
      }
      this.#want(key(), 1);
    });
    let isOpen = true;
    return {
      port: place.port,
      close: async () => {
        if (!isOpen) return;
        isOpen = false;
        this.#chosen.delete(place);
        this.#want(key(), -1);
        await this.#ask(cancelNames[kind], fields(place.port));
      },
    };
  }

  #want(key: string, more: number): void {
    const count = (this.#wanted.get(key) ?? 0) + more;
    if (count === 0) this.#wanted.delete(key);
    else this.#wanted.set(key, count);
  }

  #ask(name: string, fields: readonly Field[], granted?: (answer: Uint8Array) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const { closed, ending } = this.#session;
      if (ending.isOver) reject(new StreamError('closed', 'the connection is closed'));
      closed.then(() => reject(new StreamError('closed', 'the connection is closed')), reject);
      this.#wire.globalRequest(name, fields, (data) => {
        if (data === null) {
          const message = `the peer refused ${name}`;
          reject(new StreamError('refused', message, { remote: true, reset: 'refused' }));
          return;
        }
        granted?.(data);
        resolve();
      });
    });
  }

  // ------------------------------------------------------------------ as a server

  /** False if this is no request of forwarding, or none that is served. */
  request(name: string, data: PayloadReader, settle: (answer: Uint8Array | null) => void): boolean {
    const kind = name === names.tcp || name === cancelNames.tcp ? 'tcp' : 'unix';
    const { serve } = this.#wire;
    if (!serve.has(kind === 'tcp' ? 'forwarded-tcpip' : 'forwarded-streamlocal')) return false;
    if (this.#session.info.role !== 'server') return false;
    if (name === names.tcp) this.#listenTcp(data.text(maxPathBytes), data.last(data.uint32()), settle);
    else if (name === names.unix) this.#listenUnix(data.last(data.text(maxPathBytes)), settle);
    else if (name === cancelNames.tcp || name === cancelNames.unix) {
      const key = kind === 'tcp' ? `${data.text(maxPathBytes)}:${data.uint32()}` : data.text(maxPathBytes);
      settle(this.#cancel(key) ? noBytes : null);
    } else return false;
    return true;
  }

  #listenTcp(host: string, port: number, settle: (answer: Uint8Array | null) => void): void {
    const allowed = loopbackNames.has(host) || host === '::1';
    if (!allowed || (port !== 0 && port < firstOpenPort) || port > 65_535) {
      settle(null);
      return;
    }
    const server = this.#server((socket, bound) => ({
      ':ssh': 'forwarded-tcpip',
      ':host': host,
      ':port': String(bound),
      ':origin-host': socket.remoteAddress ?? '',
      ':origin-port': String(socket.remotePort ?? 0),
    }));
    this.#bind(server, { host: host === '::1' ? '::1' : '127.0.0.1', port }, settle, () => {
      const bound = (server.address() as AddressInfo).port;
      this.#servers.set(`${host}:${bound}`, server);
      return port === 0 ? encodeFields([bound]) : noBytes;
    });
  }

  #listenUnix(path: string, settle: (answer: Uint8Array | null) => void): void {
    if (!isSocketPath(path)) {
      settle(null);
      return;
    }
    const server = this.#server(() => ({ ':ssh': 'forwarded-streamlocal', ':path': path }));
    this.#bind(server, { path }, settle, () => {
      this.#servers.set(path, server);
      return noBytes;
    });
  }

  #server(headersOf: (socket: Socket, port: number) => Record<string, string>): Server {
    return createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const address = socket.address() as AddressInfo;
      try {
        bridge(socket, this.#session.newStream(headersOf(socket, address.port)));
      } catch {
        // It is gone already, and has no address any more.
        socket.destroy();
      }
    });
  }

  #bind(
    server: Server,
    where: { host: string; port: number } | { path: string },
    settle: (answer: Uint8Array | null) => void,
    bound: () => Uint8Array,
  ): void {
    if (this.#servers.size + this.#binding >= this.#wire.limits.maxForwards) {
      settle(null);
      return;
    }
    this.#binding++;
    server.once('error', () => {
      this.#binding--;
      settle(null);
    });
    server.listen(where, () => {
      this.#binding--;
      if (this.#session.ending.isOver) {
        server.close();
        return;
      }
      server.removeAllListeners('error');
      // What happens to it later concerns nobody's connections.
      server.on('error', () => {});
      settle(bound());
    });
  }

  #cancel(key: string): boolean {
    const server = this.#servers.get(key);
    server?.close();
    return this.#servers.delete(key);
  }
}

/** Whether it names a file that can be a socket: Linux has names with NUL before them that are none. */
function isSocketPath(path: string): boolean {
  return path !== '' && !/[\0\r\n]/.test(path) && Buffer.byteLength(path) <= maxSocketPathBytes;
}

/** A socket and a stream back to back: bytes, half-closes, losses and backpressure, both ways. */
function bridge(socket: Socket, stream: Stream): void {
  socket.on('data', (chunk: Buffer) => {
    socket.pause();
    stream.write(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length)).then(
      () => socket.resume(),
      () => socket.destroy(),
    );
  });
  socket.on('end', () => void stream.end());
  socket.on('error', () => {});
  socket.on('close', () => {
    if (!socket.readableEnded || !socket.writableFinished) stream.reset('cancel');
  });
  stream.data$.subscribe({
    next: (chunk) => {
      if (socket.write(chunk)) return;
      const release = hold();
      socket.once('drain', release);
      socket.once('close', release);
    },
    error: () => socket.destroy(),
    complete: () => socket.end(),
  });
  stream.closed.catch(() => socket.destroy());
}

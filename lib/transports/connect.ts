import { connect as connectNet, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import type { Protocol, Provider, ProviderOptions } from '../api.js';
import { onAbort } from '../core/abort.js';
import { StreamError } from '../core/errors.js';
import { defaultLimits } from '../core/limits.js';
import { type Address, parseAddress } from './address.js';
import { fromDuplex } from './duplex.js';

/** What `connect` and `listen` take. */
export interface NodeOptions extends ProviderOptions {
  /**
   * For `tls://`: node:tls's own options (key, cert, ca, requestCert, servername…). ALPN is set from the protocols, and
   * servername is the name in the address unless it is given.
   */
  tls?: object;
}

/**
 * Dials `tcp://host:port`, `tls://host:port` or `unix:/path`. Rejects if the connection cannot be made. Aborting `signal`
 * gives up the dialling, and aborts the connection once it is there; the time for dialling is bounded by `limits.handshakeMs`.
 */
export async function connect(
  address: string,
  protocol: Protocol,
  options: NodeOptions = {},
): Promise<Provider> {
  const target = parseAddress(address);
  const { tls, ...others } = options;
  const own: ProviderOptions = { role: 'client', ...others };
  protocol.check?.(own);
  options.signal?.throwIfAborted();
  const socket = await opened(dial(target, protocol, tls), target.kind === 'tls', address, options);
  const authority = authorityOf(target);
  const transport = fromDuplex(socket, authority === undefined ? {} : { authority });
  try {
    return protocol(transport, own);
  } catch (error) {
    // Nobody else knows of the socket.
    socket.destroy();
    throw error;
  }
}

function authorityOf(target: Address): string | undefined {
  if (target.kind === 'unix') return undefined;
  const { host, port } = target;
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function dial(target: Address, protocol: Protocol, tls: object | undefined): Socket | TLSSocket {
  if (target.kind === 'unix') return connectNet({ path: target.path });
  const { host, port } = target;
  if (target.kind === 'tcp') return connectNet({ host, port, noDelay: true });
  // RFC 6066, section 3: names only.
  const name: ConnectionOptions = isIP(host) === 0 ? { servername: host } : {};
  const options: ConnectionOptions = { host, port, ...name, ...tls };
  if (protocol.alpn !== undefined) options.ALPNProtocols = [protocol.alpn];
  return connectTls(options);
}

function opened(socket: Socket, secure: boolean, address: string, options: NodeOptions): Promise<Socket> {
  const { signal } = options;
  const deadlineMs = options.limits?.handshakeMs ?? defaultLimits.handshakeMs;
  const event = secure ? 'secureConnect' : 'connect';
  return new Promise((resolve, reject) => {
    const timer = deadlineMs > 0 && deadlineMs < 2 ** 31 ? setTimeout(() => late(), deadlineMs) : undefined;
    const settle = (): void => {
      clearTimeout(timer);
      forget();
      socket.off(event, ready);
      socket.off('error', failed);
    };
    const give = (reason: unknown): void => {
      settle();
      socket.on('error', () => {});
      socket.destroy();
      reject(reason);
    };
    const ready = (): void => {
      settle();
      resolve(socket);
    };
    const failed = (cause: unknown): void => {
      const message = `${address} cannot be reached: ${(cause as Error).message || (cause as { code?: string }).code}`;
      give(new StreamError('closed', message, { cause, retryable: true }));
    };
    const late = (): void => {
      const message = `${address} did not answer within ${deadlineMs} ms`;
      give(new StreamError('timeout', message, { retryable: true }));
    };
    socket.on(event, ready);
    socket.on('error', failed);
    const forget = onAbort(signal, give);
  });
}

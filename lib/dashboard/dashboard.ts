import { randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Provider, ProviderOperator } from '../api.js';
import { checkLeast } from '../core/option.js';
import { handled } from '../core/promises.js';
import { type RedactOptions, redactor } from '../wrappers/redact.js';
import { Hub } from './hub.js';
import { WebServer } from './web-server.js';

export interface DashboardOptions extends RedactOptions {
  /** Default 0: the system chooses; `address` says which. */
  port?: number;
  /** Where to listen. Default `127.0.0.1`; anything but loopback is guarded by a token. */
  host?: string;
  /** What the page's address must have. Default: none on loopback, a random one elsewhere. */
  token?: string;
  /** Further names that lead here, as behind a proxy. A request that calls the dashboard otherwise is refused. */
  hosts?: readonly string[];
  /**
   * How often a connection is pinged while a page is open, for the chart of round trips; 0 is never. Default 1000, and never
   * where we are an HTTP/2 client: servers of gRPC throw out whoever pings. Pings that others send are shown in any case.
   */
  pingMs?: number;
}

/** A page that shows connections and their streams as they live. It is an operator: `provider.pipe(board)`. */
export interface Dashboard extends ProviderOperator, AsyncDisposable {
  /** Of the page, with its port and token. Rejects if the port is taken, or if the dashboard is closed first. */
  readonly address: Promise<string>;
  /** The same operator, for a connection that people know by a name. */
  named(name: string): ProviderOperator;
  /** No page any more; the connections go on. */
  close(): Promise<void>;
}

const loopback = new Set(['127.0.0.1', '::1', 'localhost']);
const everywhere = new Set(['0.0.0.0', '::']);

/**
 * Serves the page, to be put into any number of providers, which then share it:
 *
 *     const board = dashboard({ port: 8080 });
 *     const provider = (await connect(address, framer)).pipe(board);
 *     console.log(await board.address);
 *
 * It looks through `events$`, `frames$` and `stats`, and pings: the provider it returns is the one it was given. While
 * no page is open it only counts. It keeps no process alive.
 */
export function dashboard(options: DashboardOptions = {}): Dashboard {
  const { port = 0, hosts = [], pingMs } = options;
  checkLeast('pingMs', pingMs, 0);
  // To node:net no host is every one.
  const host = canonical((options.host ?? '127.0.0.1') || everyAddress());
  if (options.token !== undefined && /\p{Surrogate}/u.test(options.token)) {
    throw new TypeError('token has half of a pair of surrogates in it, which no address can have');
  }
  const token = options.token ?? (loopback.has(host) ? null : randomBytes(18).toString('base64url'));
  const hub = new Hub({ pingMs, redact: redactor(options) });
  const server = new WebServer({
    host,
    port,
    hosts: new Set([...namesOf(host), ...hosts].map((name) => name.toLowerCase())),
    token,
    join: (viewer) => hub.join(viewer),
    leave: (viewer) => hub.leave(viewer),
  });
  const watch = (provider: Provider, name?: string): Provider => {
    hub.add(provider, name);
    return provider;
  };
  const close = async (): Promise<void> => {
    hub.stop();
    await server.close();
  };
  return Object.assign((provider: Provider) => watch(provider), {
    address: handled(server.listen()),
    named: (name: string) => (provider: Provider) => watch(provider, name),
    close,
    [Symbol.asyncDispose]: close,
  });
}

/** A host as browsers write it, and so call it: `0` and `::0` are `0.0.0.0` and `::`. What is more than a host stays as it is. */
function canonical(host: string): string {
  const text = `http://${isIPv6(host) ? `[${host}]` : host}:1/`;
  if (!URL.canParse(text)) return host;
  const { href, hostname } = new URL(text);
  return href === `http://${hostname}:1/` ? hostname.replace(/[[\]]/g, '') : host;
}

/** By IPv6, which takes IPv4 too, where the machine has it. */
function everyAddress(): string {
  return Object.values(networkInterfaces()).some((each) => each?.some(({ family }) => family === 'IPv6'))
    ? '::'
    : '0.0.0.0';
}

/** What one may call a server that listens there: never a name that somebody else could lead here. */
function namesOf(host: string): string[] {
  const isEverywhere = everywhere.has(host);
  const addresses = isEverywhere
    ? Object.values(networkInterfaces()).flatMap((each) => each?.map(({ address }) => address) ?? [])
    : [];
  // What listens everywhere may be called so too, as its address has it: a token guards it.
  const names = [host, ...addresses, ...(isEverywhere || loopback.has(host) ? loopback : [])];
  return names.map((name) => (name.includes(':') ? `[${name}]` : name));
}

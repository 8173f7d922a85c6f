import type {
  HeadersInit,
  NewStreamOptions,
  Protocol,
  Provider,
  ProviderOptions,
  Stream,
  Transport,
} from '../api.js';
import { findBeneath } from '../core/beneath.js';
import { startsWith } from '../core/bytes.js';
import { Session, type SessionProfile } from '../core/session.js';
import type { CoreStream } from '../core/stream.js';
import { looksLikePath } from './contents.js';
import { Forwards, type SshForward, type SshForwardTarget } from './forwards.js';
import { MAX_WINDOW_BYTES } from './frames.js';
import { knownNames } from './known-hosts.js';
import { readPrivateKey } from './library.js';
import { type LinkLogin, SshLink, type SshLogin } from './link.js';
import { ClientSide, defaultAlgorithms } from './login.js';
import { type SshAlgorithms, type SshOptions, sshBounds, sshLimitsWith } from './options.js';
import { ServerSide } from './seam.js';
import { isChannelName } from './standard-types.js';
import { SshWire } from './wire.js';

export { SshError, type SshReason } from './errors.js';
export type { SshForward, SshForwardTarget } from './forwards.js';
export type { SshLogin } from './link.js';
export type {
  SshAlgorithms,
  SshAuthAttempt,
  SshChannel,
  SshHostKey,
  SshLimitValues,
  SshOptions,
} from './options.js';
export { type SshSession, sessionOf, type TerminalSize } from './session-part.js';

/** `ssh(options)`: a protocol like any other, for both roles. */
export interface SshProtocol extends Protocol {
  readonly recognises: (head: Uint8Array) => boolean | undefined;
}

interface Inside {
  readonly wire: SshWire;
  readonly link: SshLink;
  readonly forwards: Forwards;
}

const insides: WeakMap<Provider, Inside> = new WeakMap();

/** A stream that is a session has standard error and signals from the beginning, and not only once it is sent. */
class SshConnection extends Session {
  override newStream(headers?: HeadersInit, options?: NewStreamOptions): Stream {
    const stream = super.newStream(headers, options);
    insides.get(this)?.wire.prepare(stream as CoreStream);
    return stream;
  }
}

const greeting = Uint8Array.from('SSH-', (character) => character.charCodeAt(0));

/**
 * SSH (RFC 4251 to 4254), with npm's ssh2 for its transport and its logins. Streams are channels of our own type,
 * `stream@rxmux.dev`, which either side opens; with `:ssh` among its headers a stream is one of the standard channels,
 * for sshd and ssh at the other end. A client needs `username`, what to log in with, and `knownHosts` or `verifyHost`;
 * a server needs `hostKeys` and `authenticate`. Options that cannot be are the caller's mistake, and throw.
 *
 * What SSH lacks: data waits for the acceptance, but for the first 2 KiB of a stream to a peer of ours; `stop()` discards
 * what comes until our own half has ended, and resets the stream then; a connection that closes is told so when its last
 * stream is over. The headers and trailers of standard channels are those that the channel has a place for.
 */
export function ssh(options: SshOptions): SshProtocol {
  const algorithms = { ...defaultAlgorithms, ...withoutUndefined(options.algorithms) };
  const { privateKey, passphrase, hostKeys, authenticate, serve = [] } = options;
  for (const name of serve) {
    if (!isChannelName(name)) throw new TypeError(`"serve" knows no channels named "${name}"`);
  }
  if (options.knownHosts !== undefined) checkKnownHosts(options.knownHosts);
  const key = privateKey === undefined ? null : readPrivateKey('privateKey', privateKey, passphrase);
  const keys = (hostKeys ?? []).map((one, at) => readPrivateKey(`hostKeys[${at}]`, one));
  const server = keys.length === 0 ? null : new ServerSide(keys, algorithms);
  const unauthenticated = { count: 0 };

  const loginFor = (role: 'client' | 'server', transport: Transport): LinkLogin => {
    if (role === 'server') return { client: null, ...serving(server, authenticate), unauthenticated };
    checkClient(options);
    const { authority, remote } = transport;
    const names = namesOf(options.host ?? authority ?? remote);
    const client = new ClientSide(options, key, algorithms, names, namesOf(remote));
    return { client, server: null, authenticate: () => false, unauthenticated };
  };

  return Object.assign(
    (transport: Transport, providerOptions: ProviderOptions = {}): Provider => {
      const { role = 'client', limits: own } = providerOptions;
      const limits = sshLimitsWith(own);
      const link = new SshLink(transport, limits, loginFor(role, transport));
      const wires: SshWire[] = [];
      const profile: SessionProfile = {
        limits,
        bounds: sshBounds,
        earlyWindow: 0,
        earlyConnectionWindow: 0,
        connectionWindow: false,
        maxCredit: MAX_WINDOW_BYTES,
        wire: (session) => {
          const wire = new SshWire(session, link, serve);
          wires.push(wire);
          return wire;
        },
      };
      // The link keeps the deadline for logins, and knows better what was missed.
      const session = new SshConnection(link, profile, {
        ...providerOptions,
        limits: { ...own, handshakeMs: 0 },
      });
      const [wire] = wires as [SshWire];
      const forwards = new Forwards(session, wire);
      wire.forwards = forwards;
      insides.set(session, { wire, link, forwards });
      return session;
    },
    {
      recognises: (head: Uint8Array): boolean | undefined => startsWith(head, greeting),
      check: ({ role = 'client', limits }: ProviderOptions): void => {
        sshLimitsWith(limits);
        if (role === 'server') serving(server, authenticate);
        else checkClient(options);
      },
    },
  );
}

/** Has the server listen for us. Its connections are streams of `accept$` whose `:ssh` is `forwarded-…`. */
export function forward(provider: Provider, target: SshForwardTarget): Promise<SshForward> {
  const { forwards } = insideOf(provider);
  if (provider.info.role !== 'client')
    throw new TypeError('only the client of an SSH connection asks for forwarding');
  return forwards.listen(target);
}

/** Who has logged in; undefined before that. */
export function loginOf(provider: Provider): SshLogin | undefined {
  return insideOf(provider).link.login ?? undefined;
}

function insideOf(provider: Provider): Inside {
  const inside = findBeneath(insides, provider);
  if (inside !== undefined) return inside;
  throw new TypeError('this provider is none of ssh()');
}

/** What a server goes by; throws if it is not all there. */
function serving(
  server: ServerSide | null,
  authenticate: SshOptions['authenticate'],
): Pick<LinkLogin, 'server' | 'authenticate'> {
  if (server === null) throw new TypeError('a server of SSH needs "hostKeys": ssh-keygen makes them');
  if (authenticate === undefined) {
    throw new TypeError('a server of SSH needs "authenticate", to decide who may log in');
  }
  return { server, authenticate };
}

function checkKnownHosts(contents: unknown): void {
  if (typeof contents !== 'string') {
    throw new TypeError('knownHosts is a text: what is in the file, read as UTF-8');
  }
  if (looksLikePath(contents)) {
    throw new TypeError('knownHosts looks like the path of a file: what is in the file is needed');
  }
}

function checkClient(options: SshOptions): void {
  if (options.username === undefined) throw new TypeError('a client of SSH needs a "username"');
  if (options.knownHosts === undefined && options.verifyHost === undefined) {
    throw new TypeError(
      'a client of SSH needs "knownHosts" or "verifyHost": a host that nobody checks is anybody',
    );
  }
}

/** How known_hosts writes `host:port`. */
function namesOf(name: string | undefined): string[] {
  const found = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(name ?? '');
  const host = found?.[1] ?? found?.[2];
  return host === undefined ? [] : knownNames(host, Number(found?.[3] ?? 22));
}

function withoutUndefined(algorithms: SshAlgorithms = {}): SshAlgorithms {
  return Object.fromEntries(Object.entries(algorithms).filter(([, list]) => list !== undefined));
}

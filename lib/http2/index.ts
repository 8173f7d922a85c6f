import type { Protocol, Provider, ProviderOptions, Transport } from '../api.js';
import { startsWith } from '../core/bytes.js';
import { bounds31, defaultLimits, type LimitBounds, type LimitValues, withLimits } from '../core/limits.js';
import { requestProblem } from './fields.js';
import { MAX_MAX_FRAME_BYTES, MIN_MAX_FRAME_BYTES, PREFACE, START_WINDOW_BYTES } from './frames.js';
import { Http2Provider } from './provider.js';

export interface Http2Options extends ProviderOptions {
  /** `:scheme` of new streams. Default `https` over TLS, else `http`. */
  scheme?: string;
  /** `:authority` of new streams. Default: what was dialled, or the address of the peer, or `localhost`. */
  authority?: string;
  /** `:path` of new streams. Default `/`. */
  path?: string;
  /**
   * Whether our SETTINGS offer that the server opens streams on this connection itself, which holds if the peer's do as
   * well. Default true; those who do not know the setting ignore it (RFC 9113 §6.5.2).
   */
  serverOpens?: boolean;
  /**
   * The other way for a server to open streams, where a proxy is between: a reverse session, through one long POST of
   * the client's to `/.well-known/rxmux-reverse`. It takes one of the connection's streams. A client asks for it
   * once its `accept$` is listened to (`listening`, the default), from the start (true), or never (false). A server
   * takes it unless this is false.
   */
  reverse?: boolean | 'listening';
  /**
   * For acceptors whose openers may go on after the answer is complete, behind nghttpx, nginx or Caddy, which drop the
   * rest of a request then: the end of an acceptor's half waits until the opener's half has ended. Default false. Openers
   * that wait for the end of the answer before they end would wait for ever.
   */
  lingerEnd?: boolean;
  /**
   * Names of headers whose values are secret: they go into no table of HPACK, where somebody could guess them try by try,
   * here or at any hop (RFC 7541 §7.1.3). Beside these it is `authorization`, `proxy-authorization`, `cookie` and
   * `set-cookie`, and what a peer sent so itself, where its headers are passed on.
   */
  neverIndexed?: readonly string[];
}

/** `Http2Options` beside the limits, `role` and `signal` that every protocol has. */
export interface Http2Protocol extends Protocol {
  (transport: Transport, options?: Http2Options): Provider;
  readonly alpn: string;
  readonly recognises: (head: Uint8Array) => boolean | undefined;
}

const KiB = 1024;
const MiB = 1024 * KiB;

const limits: LimitValues = {
  ...defaultLimits,
  maxFrameBytes: MIN_MAX_FRAME_BYTES,
  maxHeaderBlockBytes: 64 * KiB,
  maxHeaders: 100,
  maxHeaderNameBytes: KiB,
  maxHeaderValueBytes: 16 * KiB,
  maxStreams: 100,
  // Windows below this let HAProxy come to a deadlock: large ones are no luxury here.
  windowBytes: MiB,
  maxWindowBytes: 4 * MiB,
  receiveBudgetBytes: 16 * MiB,
  growthBudgetBytes: 12 * MiB,
  uselessPerSecond: 100,
};

const bounds: LimitBounds = {
  maxFrameBytes: [MIN_MAX_FRAME_BYTES, MAX_MAX_FRAME_BYTES],
  ...bounds31,
};

const preface = Uint8Array.from(PREFACE, (character) => character.charCodeAt(0));

/**
 * HTTP/2 (RFC 9113), which passes through proxies and speaks with curl, Go and node:http2: with prior knowledge in the
 * clear, or as `h2` over TLS. A stream is a POST that is answered by `:status 200` as soon as it is accepted; requests
 * of any other kind are streams too, with their pseudo-headers among `headers`.
 *
 * What HTTP/2 lacks: trailers of the opener are dropped (nginx would end the connection for them, others drop them),
 * those of the acceptor arrive; `stop()` discards what comes until our own half has ended, and cancels the stream
 * then; a client that is not of this library hears NO_ERROR (RFC 9113 §8.1).
 * A server opens streams if the client is one of ours, behind proxies as well; else its `newStream` fails as `refused`,
 * after two seconds in which the client might still offer a reverse session. `reject()` with headers is a `:status` from 400, without them a reset; in turn, a status other than 2xx that comes with the end is a refusal,
 * and one that comes with a body is an answer, whose `:status` is in `reply`.
 */
export const http2: Http2Protocol = Object.assign(
  (transport: Transport, options: Http2Options = {}): Provider => {
    checkOptions(options);
    const {
      scheme,
      authority,
      path,
      serverOpens = true,
      reverse = 'listening',
      lingerEnd = false,
      neverIndexed = [],
      ...rest
    } = options;
    const target = {
      scheme: scheme ?? (transport.secure === true ? 'https' : 'http'),
      authority: authority ?? usualName(transport) ?? addressOf(transport.remote),
      path: path ?? '/',
    };
    const profile = {
      limits,
      bounds,
      earlyWindow: START_WINDOW_BYTES,
      earlyConnectionWindow: START_WINDOW_BYTES,
      connectionWindow: true,
    };
    return new Http2Provider(transport, profile, rest, {
      target,
      announces: serverOpens,
      reverse,
      lingersEnd: lingerEnd,
      neverIndexed: neverIndexed.map((name) => name.toLowerCase()),
    });
  },
  {
    alpn: 'h2',
    recognises: (head: Uint8Array): boolean | undefined => startsWith(head, preface),
    check: (options: Http2Options): void => {
      checkOptions(options);
      withLimits(limits, options.limits, bounds);
    },
  },
);

function checkOptions({ neverIndexed = [], ...target }: Http2Options): void {
  if (!Array.isArray(neverIndexed) || neverIndexed.some((name) => typeof name !== 'string')) {
    throw new TypeError('neverIndexed is a list of names of headers');
  }
  checkTarget(target);
}

/** What every request of a connection would fail for is told when it is made (RFC 9113 §8.3.1). */
function checkTarget({ scheme = 'http', authority = 'localhost', path = '/' }: Http2Options): void {
  const target = { scheme, authority, path };
  for (const [name, value] of Object.entries(target)) {
    if (typeof value !== 'string') throw new TypeError(`${name} is a string, not ${typeof value}`);
  }
  const problem = requestProblem([
    ':method',
    'POST',
    ...Object.entries(target).flatMap(([name, value]) => [`:${name}`, value]),
  ]);
  if (problem !== undefined) throw new TypeError(`these options do not make requests of HTTP/2: ${problem}`);
}

/** What was dialled; the usual port is not named, as everywhere on the web. */
function usualName({ authority, secure }: Transport): string | undefined {
  const usual = secure === true ? ':443' : ':80';
  return authority?.endsWith(usual) ? authority.slice(0, -usual.length) : authority;
}

/** The address of a peer as an authority (RFC 3986 §3.2); that of a unix socket or a pair in memory is none. */
function addressOf(remote: string | undefined): string {
  const port = remote?.slice(remote.lastIndexOf(':') + 1) ?? '';
  return remote !== undefined && port !== '' && !Number.isNaN(Number(port)) ? remote : 'localhost';
}

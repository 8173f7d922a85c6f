import type { Protocol, Provider, ProviderOptions, Transport } from '../api.js';
import { startsWith } from '../core/bytes.js';
import { bounds31, defaultLimits, type LimitBounds, type LimitValues } from '../core/limits.js';
import { Session } from '../core/session.js';
import { MAX_MAX_FRAME_BYTES, MIN_MAX_FRAME_BYTES, PREFACE, START_WINDOW_BYTES } from './frames.js';
import { Http2Wire } from './wire.js';

export interface Http2Options extends ProviderOptions {
  /** `:scheme` of new streams. Default `http`; over TLS some servers insist on `https`. */
  scheme?: string;
  /** `:authority` of new streams. Default: the address of the peer, or `localhost`. */
  authority?: string;
  /** `:path` of new streams. Default `/`. */
  path?: string;
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
 * those of the acceptor arrive; `stop()` discards what comes until our own half has ended, and cancels the stream then.
 * A server opens streams if the client is one of ours; else its `newStream` fails as `refused`. `reject()` with headers
 * is a `:status` from 400, without them a reset; in turn, a status other than 2xx that comes with the end is a refusal,
 * and one that comes with a body is an answer, whose `:status` is in `reply`.
 */
export const http2: Http2Protocol = Object.assign(
  (transport: Transport, options: Http2Options = {}): Provider => {
    const { scheme, authority, path, ...rest } = options;
    const target = {
      ...(scheme === undefined ? {} : { scheme }),
      ...(authority === undefined ? {} : { authority }),
      ...(path === undefined ? {} : { path }),
    };
    const profile = {
      limits,
      bounds,
      earlyWindow: START_WINDOW_BYTES,
      earlyConnectionWindow: START_WINDOW_BYTES,
      connectionWindow: true,
      wire: (session: Session) => new Http2Wire(session, target),
    };
    return new Session(transport, profile, rest);
  },
  {
    alpn: 'h2',
    recognises: (head: Uint8Array): boolean | undefined => startsWith(head, preface),
  },
);

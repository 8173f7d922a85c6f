import type { Protocol, Provider, ProviderOptions, Transport } from '../api.js';
import type { FlowControl } from '../core/crediting.js';
import { bounds31, defaultLimits, type LimitValues, withLimits } from '../core/limits.js';
import { Session, type SessionProfile } from '../core/session.js';
import { INITIAL_WINDOW_BYTES } from './frames.js';
import { SpdyWire } from './wire.js';

export interface SpdyOptions extends ProviderOptions {
  /**
   * Whether the peer keeps to windows. `auto`, the default, sends at the pace of the transport until the peer has shown
   * that it does (a WINDOW_UPDATE, or SETTINGS with a window): Go's spdystream and kubectl never do, and would never
   * give any credit. `on` and `off` do not wait for a sign, and `off` announces no windows of our own either.
   */
  flowControl?: FlowControl;
}

/** `SpdyOptions` beside the limits, `role` and `signal` that every protocol has. */
export interface SpdyProtocol extends Protocol {
  (transport: Transport, options?: SpdyOptions): Provider;
  readonly alpn: string;
  readonly recognises: (head: Uint8Array) => boolean | undefined;
}

const limits: LimitValues = {
  ...defaultLimits,
  maxHeaders: 128,
  maxHeaderNameBytes: 1024,
  maxHeaderValueBytes: 16 * 1024,
  // Go goes on sending on streams that were reset.
  uselessPerSecond: 100,
};

function profileFor(flowControl: FlowControl): SessionProfile {
  return {
    limits,
    bounds: bounds31,
    earlyWindow: INITIAL_WINDOW_BYTES,
    earlyConnectionWindow: INITIAL_WINDOW_BYTES,
    connectionWindow: true,
    flowControl,
    wire: (session) => new SpdyWire(session, flowControl),
  };
}

const profiles: Readonly<Record<FlowControl, SessionProfile>> = {
  auto: profileFor('auto'),
  on: profileFor('on'),
  off: profileFor('off'),
};

function profileOf({ flowControl = 'auto' }: SpdyOptions): SessionProfile {
  const profile = profiles[flowControl];
  if (profile === undefined) throw new TypeError(`flowControl is auto, on or off, not ${flowControl}`);
  return profile;
}

/**
 * SPDY/3.1, as Go's spdystream, kubectl and the kubelet speak it, and npm's spdy. To go on after an HTTP/1.1 upgrade,
 * give `fromDuplex(socket, { head })` as the transport.
 *
 * What the protocol lacks, or peers get wrong: the headers of `reject()` go ahead of the RST_STREAM in a HEADERS frame,
 * which Go drops; `stop()` discards what comes until our own half has ended, and cancels the stream then (if the peer is
 * not of this library, only when it goes on sending: Go may lose to a reset what it has not read yet); to such a peer, data
 * waits for the SYN_REPLY too; GOAWAY is said when the last stream is over. `:associated-to` and `:unidirectional` among a
 * stream's headers are fields of its SYN_STREAM.
 */
export const spdy: SpdyProtocol = Object.assign(
  (transport: Transport, options: SpdyOptions = {}): Provider => {
    const { flowControl: _flowControl, ...rest } = options;
    return new Session(transport, profileOf(options), rest);
  },
  {
    alpn: 'spdy/3.1',
    /** A client's first frame is a control frame. */
    recognises: (head: Uint8Array): boolean | undefined => {
      if (head.length === 0) return undefined;
      return head[0] === 0x80 && (head.length === 1 || head[1] === 3);
    },
    check: (options: SpdyOptions): void => {
      profileOf(options);
      withLimits(limits, options.limits, bounds31);
    },
  },
);

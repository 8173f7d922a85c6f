import type { Protocol, Provider, ProviderOptions, Transport } from '../api.js';
import { startsWith } from '../core/bytes.js';
import { bounds31, defaultLimits, withLimits } from '../core/limits.js';
import { Session, type SessionProfile } from '../core/session.js';
import { earlyConnectionWindow, earlyWindow, leastMaxFrame, mostMaxFrame, preface } from './frames.js';
import { FramerWire } from './wire.js';

const profile: SessionProfile = {
  limits: defaultLimits,
  bounds: { ...bounds31, maxFrameBytes: [leastMaxFrame, mostMaxFrame] },
  earlyWindow,
  earlyConnectionWindow,
  connectionWindow: true,
  wire: (session) => new FramerWire(session),
};

/**
 * The Simple Framer: the least that streams need, over any ordered and reliable pipe of bytes. Its wire format is in
 * SPEC.md beside this file.
 */
export const framer: Protocol = Object.assign(
  (transport: Transport, options?: ProviderOptions): Provider => new Session(transport, profile, options),
  {
    alpn: 'rxmux/1',
    recognises: (head: Uint8Array): boolean | undefined => startsWith(head, preface),
    check: (options: ProviderOptions): void =>
      void withLimits(profile.limits, options.limits, profile.bounds),
  },
);

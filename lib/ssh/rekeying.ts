import { MSG_DEBUG, MSG_DISCONNECT, MSG_KEXINIT } from './frames.js';
import type { Internals } from './library.js';

type OnPayload = Internals['_onPayload'];

/**
 * What `protocol` does with a payload, and with DISCONNECT, IGNORE, UNIMPLEMENTED and DEBUG while keys are agreed on anew:
 * they may come at any time (RFC 4253 §7.1), and go to its `_onPayload`. Strict key exchange forbids them in the first one
 * alone, which this is never given; ssh2 refuses the last three in all.
 */
export function takingAnyTime(protocol: Internals): OnPayload {
  const onPayload = protocol._onPayload;
  return (payload) => {
    const isExchange = payload[0] === MSG_KEXINIT;
    const next = onPayload(payload);
    if (isExchange && protocol._destruct !== undefined) divert(protocol);
    return next;
  };
}

/** ssh2 has given the decipher what takes messages of the exchange. It is another decipher once that is over. */
function divert(protocol: Internals): void {
  const decipher = protocol._decipher;
  const onExchange: OnPayload | undefined = decipher?._onPayload;
  if (decipher === undefined || typeof onExchange !== 'function') return;
  decipher._onPayload = (payload) => {
    const type = payload[0] as number;
    const isAnyTime = type >= MSG_DISCONNECT && type <= MSG_DEBUG;
    return isAnyTime ? protocol._onPayload(payload) : onExchange(payload);
  };
}

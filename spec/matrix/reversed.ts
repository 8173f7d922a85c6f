import type { Limits, Protocol } from 'rxmux';
import type { Open } from 'rxmux/conformance';
import { http2 } from 'rxmux/http2';

/**
 * HTTP/2 whose server opens its streams through a reverse session, as behind a proxy. That takes one of the streams
 * of the connection, which the cases do not count.
 */
export const reversed: Protocol = Object.assign(
  ((transport, { limits = {}, role = 'client', ...options } = {}) => {
    const roomier: Partial<Limits> = { ...limits };
    if (role === 'server' && limits.maxStreams !== undefined) roomier.maxStreams = limits.maxStreams + 1;
    return http2(transport, { ...options, role, limits: roomier, serverOpens: false, reverse: true });
  }) as Protocol,
  { alpn: http2.alpn },
);

/** Pairs whose reverse session stands: that takes a few exchanges, and each ping goes behind one of them. */
export function standing(open: Open): Open {
  return async (options) => {
    const pair = await open(options);
    for (let exchange = 0; exchange < 5; exchange++) await pair.client.ping();
    return pair;
  };
}

import type { Socket } from 'node:net';
import type { Protocol } from '../api.js';
import { noBytes } from '../core/bytes.js';

/** No protocol's beginning is longer than this. */
const mostHeadBytes = 256;

/**
 * Reads the first bytes of a connection until one protocol knows them, and gives them back to be read again. Null if
 * none does, or the peer says nothing in time.
 */
export function recognise(
  socket: Socket,
  protocols: readonly Protocol[],
  deadlineMs: number,
): Promise<{ protocol: Protocol; head: Uint8Array } | null> {
  return new Promise((resolve) => {
    let head: Uint8Array = noBytes;
    const timer =
      deadlineMs > 0 && deadlineMs < 2 ** 31 ? setTimeout(() => settle(null), deadlineMs) : undefined;
    const settle = (protocol: Protocol | null): void => {
      clearTimeout(timer);
      socket.off('readable', look);
      socket.off('end', nothing);
      socket.off('close', nothing);
      resolve(protocol === null ? null : { protocol, head });
    };
    const nothing = (): void => settle(null);
    const look = (): void => {
      for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
        head = Uint8Array.from([...head, ...chunk]);
      }
      const answers = protocols.map((protocol) => protocol.recognises?.(head) ?? undefined);
      const found = answers.indexOf(true);
      if (found >= 0) settle(protocols[found] as Protocol);
      else if (head.length > mostHeadBytes || answers.every((answer) => answer === false)) settle(null);
    };
    socket.on('error', nothing);
    socket.on('readable', look);
    socket.on('end', nothing);
    socket.on('close', nothing);
  });
}

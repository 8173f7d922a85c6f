import type { Transport } from '../api.js';
import { receivedMemory } from './received-memory.js';
import { fromWebSocket as portable, type WebSocketLike, type WebSocketOptions } from './web-socket.js';

/**
 * A transport from a WebSocket that is open or about to be: Node's, or one of npm's `ws`, at either end. It is that of the
 * portable entry, and costs Node less to receive from. Call it in the turn in which the socket is given, or its first
 * messages are lost. `end()` closes both directions, since a WebSocket has no half-close.
 */
export function fromWebSocket(socket: WebSocketLike, options?: WebSocketOptions): Transport {
  const transport = portable(socket, options);
  socket.addEventListener('message', ({ data }) => {
    if (data instanceof ArrayBuffer) receivedMemory.add(data.byteLength);
  });
  return transport;
}

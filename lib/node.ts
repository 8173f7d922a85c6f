/** The Node entry: everything of the portable one, and sockets. */
export * from './index.js';
export { toDuplex } from './interop/to-duplex.js';
export { connect, type NodeOptions } from './transports/connect.js';
export { fromDuplex } from './transports/duplex.js';
export { type Listener, listen } from './transports/listen.js';
export { fromWebSocket } from './transports/node-web-socket.js';

/** R, the common denominator: raw sockets as everybody uses them, one connection per stream. */
import net from 'node:net';
import { dial, duplexIo, listenOn, memoryDuplexPair } from '../lib/duplex-adapter.mjs';

export default {
  name: 'tcp',
  io: duplexIo,
  listen: (onStream) => listenOn(net.createServer({ noDelay: true, allowHalfOpen: true }, onStream)),
  connect: async (port) => ({ port }),
  open(session, opened) {
    if (!session.onStream) return opened(dial(session.port, { allowHalfOpen: true }));
    const [here, there] = memoryDuplexPair();
    session.onStream(there);
    opened(here);
  },
  pair: async (onStream) => ({ onStream }),
};

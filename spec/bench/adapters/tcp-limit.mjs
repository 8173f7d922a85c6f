/** L, the limit for bulk: raw sockets that read into one buffer used over and over, on both sides. */
import net from 'node:net';
import { dial, duplexIo, listenOn } from '../lib/duplex-adapter.mjs';

const bufferBytes = 256 * 1024;

/** Options of a socket whose data go to `socket.reader.next`. */
function reusableBuffer() {
  const reader = { next: null };
  const buffer = Buffer.allocUnsafeSlow(bufferBytes);
  const callback = (length) => {
    reader.next(buffer.subarray(0, length));
    return true;
  };
  return { reader, onread: { buffer, callback } };
}

export default {
  name: 'tcp-limit',
  io: {
    ...duplexIo,
    onData(socket, next) {
      socket.reader.next = next;
      socket.resume();
    },
  },
  listen(onStream) {
    // `onread` is public for sockets that dial; an accepted one gives its handle to a new socket.
    const server = net.createServer({ pauseOnConnect: true }, (accepted) => {
      const handle = accepted._handle;
      accepted._handle = null;
      const { reader, onread } = reusableBuffer();
      const socket = new net.Socket({ handle, onread, allowHalfOpen: true });
      socket.setNoDelay(true);
      socket.reader = reader;
      onStream(socket);
    });
    return listenOn(server);
  },
  connect: async (port) => ({ port }),
  open({ port }, opened) {
    const { reader, onread } = reusableBuffer();
    const socket = dial(port, { allowHalfOpen: true, writableHighWaterMark: bufferBytes, onread });
    socket.reader = reader;
    opened(socket);
  },
};

/** For contenders that are put on a Node Duplex, and whose streams are Duplexes unless they bring their own `io`. */
import net from 'node:net';
import { Duplex } from 'node:stream';

/** Handlers go straight onto the native stream: a wrapper object would be measured as well. */
export const duplexIo = {
  write: (stream, bytes) => stream.write(bytes),
  end: (stream) => stream.end(),
  onData: (stream, next) => stream.on('data', next),
  onEnd: (stream, ended) => stream.on('end', ended),
  onDrain: (stream, drained) => stream.once('drain', drained),
  pause: (stream) => stream.pause(),
  destroy: (stream) => stream.destroy(),
  onError: (stream, failed) => stream.on('error', failed),
};

const loopback = '127.0.0.1';

/** Listens on a free port; resolves with it. */
export function listenOn(server) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: 0, host: loopback, backlog: 4096 }, () => resolve(server.address().port));
  });
}

/** A connection to the server, not yet open. */
export function dial(port, options) {
  return net.connect({ port, host: loopback, noDelay: true, ...options });
}

/**
 * An adapter out of two functions: `server(duplex, onStream)` puts the accepting side on a connection, and
 * `client(duplex)` returns the session or a promise of it.
 */
export function duplexAdapter({ server, client, ...rest }) {
  const swallow = () => {};
  return {
    io: duplexIo,
    ...rest,
    listen(onStream) {
      const accepting = net.createServer({ noDelay: true }, (socket) => {
        socket.on('error', swallow);
        server(socket, onStream);
      });
      return listenOn(accepting);
    },
    async connect(port) {
      const socket = dial(port);
      await new Promise((resolve, reject) => {
        socket.once('error', reject);
        socket.once('connect', resolve);
      });
      socket.on('error', swallow);
      return client(socket);
    },
    async pair(onStream) {
      const [here, there] = memoryDuplexPair();
      const accepting = server(there, onStream);
      const session = await client(here);
      await accepting;
      return session;
    },
  };
}

/** Two Duplexes back to back: nothing is copied, and backpressure works. */
export function memoryDuplexPair() {
  const a = new MemoryEnd();
  const b = new MemoryEnd();
  a.other = b;
  b.other = a;
  return [a, b];
}

class MemoryEnd extends Duplex {
  other;
  /** What to call when the other end wants more. */
  wanted = null;

  constructor() {
    super({ allowHalfOpen: true, highWaterMark: 256 * 1024 });
  }

  _read() {
    const { wanted } = this.other;
    this.other.wanted = null;
    if (wanted) process.nextTick(wanted);
  }

  _write(chunk, _encoding, done) {
    this.#given(this.other.push(chunk), done);
  }

  _writev(entries, done) {
    let room = true;
    for (const { chunk } of entries) room = this.other.push(chunk);
    this.#given(room, done);
  }

  _final(done) {
    this.other.push(null);
    done();
  }

  #given(room, done) {
    if (room) process.nextTick(done);
    else this.wanted = done;
  }

  // Contenders take it for a socket.
  setNoDelay() {
    return this;
  }
  setTimeout() {
    return this;
  }
  setKeepAlive() {
    return this;
  }
  ref() {
    return this;
  }
  unref() {
    return this;
  }
}

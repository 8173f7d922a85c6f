/** The yamux of libp2p, over a connection such as @libp2p/tcp makes. */
import { AbstractMultiaddrConnection } from '@libp2p/utils';
import { yamux } from '@libp2p/yamux';
import { duplexAdapter } from '../lib/duplex-adapter.mjs';
import { chosenWindow, windowBytes } from '../lib/window.mjs';

const unlimited = 1 << 30;
const many = 1 << 20;
const silent = Object.assign(() => {}, { trace() {}, error() {}, enabled: false, newScope: () => silent });

class SocketConnection extends AbstractMultiaddrConnection {
  #socket;

  constructor(socket, direction) {
    super({
      log: silent,
      direction,
      remoteAddr: null,
      inactivityTimeout: unlimited,
      maxReadBufferLength: unlimited,
      maxWriteBufferLength: Number.POSITIVE_INFINITY,
    });
    this.#socket = socket;
    socket.on('data', (bytes) => this.onData(bytes));
    socket.on('drain', () => this.safeDispatchEvent('drain'));
    socket.on('close', () => this.onTransportClosed());
  }

  sendData(list) {
    const sentBytes = list.byteLength;
    let canSendMore = true;
    this.#socket.cork();
    for (const bytes of list) canSendMore = this.#socket.write(bytes);
    this.#socket.uncork();
    return { sentBytes, canSendMore };
  }
  async sendClose() {
    this.#socket.end();
  }
  sendReset() {
    this.#socket.destroy();
  }
  sendPause() {
    this.#socket.pause();
  }
  sendResume() {
    this.#socket.resume();
  }
}

const createMuxer = (duplex, direction) =>
  yamux({
    enableKeepAlive: false,
    maxInboundStreams: many,
    maxOutboundStreams: many,
    streamOptions: {
      initialStreamWindowSize: windowBytes,
      maxStreamWindowSize: chosenWindow ?? 4 * windowBytes,
      maxReadBufferLength: unlimited,
    },
  })().createStreamMuxer(new SocketConnection(duplex, direction));

export default duplexAdapter({
  name: 'libp2p-yamux',
  io: {
    write: (stream, bytes) => stream.send(bytes),
    end(stream) {
      stream.close().catch(() => {});
    },
    onData(stream, next) {
      stream.addEventListener('message', ({ data }) => {
        if (data instanceof Uint8Array) next(data);
        else for (const bytes of data) next(bytes);
      });
    },
    onEnd: (stream, ended) => stream.addEventListener('end', ended, { once: true }),
    onDrain: (stream, drained) => stream.addEventListener('drain', drained, { once: true }),
    pause: (stream) => stream.pause(),
    destroy: (stream) => stream.abort(new Error('done')),
    onError(stream, failed) {
      stream.addEventListener('close', ({ error }) => {
        if (error) failed(error);
      });
    },
  },
  server(duplex, onStream) {
    createMuxer(duplex, 'inbound').addEventListener('stream', ({ detail }) => onStream(detail));
  },
  client: (duplex) => createMuxer(duplex, 'outbound'),
  open(muxer, opened) {
    muxer.createStream().then(opened);
  },
});

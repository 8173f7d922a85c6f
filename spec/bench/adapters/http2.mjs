/** node:http2 without TLS, limits out of the way. */
import http2 from 'node:http2';
import { dial, duplexIo, listenOn, memoryDuplexPair } from '../lib/duplex-adapter.mjs';
import { connectionWindowBytes, windowBytes } from '../lib/window.mjs';

const swallow = () => {};
const many = 1 << 20;
const options = {
  settings: {
    initialWindowSize: windowBytes,
    maxConcurrentStreams: many,
    maxFrameSize: 64 * 1024,
    enablePush: false,
  },
  maxSessionMemory: 4000,
  maxSessionInvalidFrames: 1 << 30,
  maxSessionRejectedStreams: 1 << 30,
  peerMaxConcurrentStreams: many,
};

function createServer(onStream) {
  const server = http2.createServer(options);
  server.on('session', (session) => {
    session.setLocalWindowSize(connectionWindowBytes);
    session.on('error', swallow);
  });
  server.on('stream', (stream) => {
    stream.respond({ ':status': 200 });
    onStream(stream);
  });
  server.on('sessionError', swallow);
  return server;
}

function createClient(createConnection) {
  return new Promise((resolve, reject) => {
    const session = http2.connect('http://127.0.0.1', { ...options, createConnection });
    session.on('error', reject); // later errors change nothing
    session.once('remoteSettings', () => {
      session.setLocalWindowSize(connectionWindowBytes);
      resolve(session);
    });
  });
}

export default {
  name: 'http2',
  io: duplexIo,
  listen: (onStream) => listenOn(createServer(onStream)),
  connect: (port) => createClient(() => dial(port)),
  open: (session, opened) =>
    opened(session.request({ ':method': 'POST', ':path': '/' }, { endStream: false })),
  pair(onStream) {
    const [here, there] = memoryDuplexPair();
    createServer(onStream).emit('connection', there);
    return createClient(() => here);
  },
};

/**
 * spdy-transport, SPDY/3.1. Its headers are kept short: with a longer host it stalled after some hundred streams in
 * memory (with this one, after some thousand in a few runs).
 */
import spdy from 'spdy-transport';
import { duplexAdapter } from '../lib/duplex-adapter.mjs';
import { windowBytes } from '../lib/window.mjs';

const swallow = () => {};

function start(duplex, isServer) {
  const options = {
    protocol: 'spdy',
    isServer,
    windowSize: windowBytes,
    maxStreams: 1 << 20,
    autoSpdy31: false,
  };
  const connection = spdy.connection.create(duplex, options);
  connection.start(3.1);
  connection.on('error', swallow);
  return connection;
}

export default duplexAdapter({
  name: 'spdy-transport',
  server(duplex, onStream) {
    start(duplex, true).on('stream', (stream) => {
      stream.respond(200, {});
      onStream(stream);
    });
  },
  client: (duplex) => start(duplex, false),
  open: (connection, opened) => opened(connection.request({ path: '/', method: 'POST', host: 'x' }, swallow)),
});

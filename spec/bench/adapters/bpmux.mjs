/** bpmux: its window is the reader's high-water mark. */
import { BPMux } from 'bpmux';
import { duplexAdapter } from '../lib/duplex-adapter.mjs';
import { chosenWindow } from '../lib/window.mjs';

const swallow = () => {};
const streamOptions = { highWaterMark: chosenWindow ?? 256 * 1024 };

export default duplexAdapter({
  name: 'bpmux',
  server(duplex, onStream) {
    const mux = new BPMux(duplex, { peer_multiplex_options: streamOptions, max_open: 0 });
    mux.on('error', swallow);
    mux.on('peer_multiplex', onStream);
  },
  client(duplex) {
    const mux = new BPMux(duplex, { high_channels: true });
    mux.on('error', swallow);
    return mux;
  },
  open: (mux, opened) => opened(mux.multiplex(streamOptions)),
});

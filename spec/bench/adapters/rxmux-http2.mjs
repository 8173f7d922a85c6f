/** Our HTTP/2, with windows and frames as large as those of node:http2 here; large transfers by `stream.send(generator)`. */
import { rxmuxAdapter } from '../lib/rxmux-adapter.mjs';

export default await rxmuxAdapter({
  name: 'rxmux-http2',
  entry: 'rxmux/http2',
  protocolFor: ({ http2 }) => http2,
  limits: { maxFrameBytes: 64 * 1024, windowBytes: 4 * 1024 * 1024, maxWindowBytes: 4 * 1024 * 1024 },
});

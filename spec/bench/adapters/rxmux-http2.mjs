/** Our HTTP/2; large transfers by `stream.send(generator)`. */
import { rxmuxAdapter } from '../lib/rxmux-adapter.mjs';

export default await rxmuxAdapter({
  name: 'rxmux-http2',
  entry: 'rxmux/http2',
  protocolFor: ({ http2 }) => http2,
});

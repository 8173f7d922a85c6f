/** Our SPDY/3.1; large transfers by `stream.send(generator)`. */
import { rxmuxAdapter } from '../lib/rxmux-adapter.mjs';

export default await rxmuxAdapter({
  name: 'rxmux-spdy',
  entry: 'rxmux/spdy',
  protocolFor: ({ spdy }) => spdy,
});

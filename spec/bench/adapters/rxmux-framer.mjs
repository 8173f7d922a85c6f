/** Our Simple Framer; large transfers by `stream.send(generator)`. */
import { rxmuxAdapter } from '../lib/rxmux-adapter.mjs';

export default await rxmuxAdapter({
  name: 'rxmux-framer',
  entry: 'rxmux/framer',
  protocolFor: ({ framer }) => framer,
});

/** Our Simple Framer; large transfers by `stream.write(chunk)`. */
import { rxmuxAdapter } from '../lib/rxmux-adapter.mjs';

export default await rxmuxAdapter({
  name: 'rxmux-framer-write',
  entry: 'rxmux/framer',
  protocolFor: ({ framer }) => framer,
  pull: false,
});

/** SSH of ours: `stream@rxmux.dev` channels, aes128-gcm; large transfers by `stream.send(generator)`. */
import { rxmuxAdapter } from '../lib/rxmux-adapter.mjs';
import { keyPair } from '../lib/ssh-keys.mjs';

export default await rxmuxAdapter({
  name: 'rxmux-ssh',
  entry: 'rxmux/ssh',
  protocolFor: ({ ssh }, role) =>
    role === 'server'
      ? ssh({
          hostKeys: [keyPair().private],
          authenticate: ({ password }) => password === 'bench',
        })
      : ssh({ username: 'bench', password: 'bench', verifyHost: () => true }),
});

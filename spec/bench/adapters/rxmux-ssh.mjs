/** SSH of ours: `stream@rxmux.dev` channels, aes128-gcm; large transfers by `stream.send(generator)`. */
import ssh2 from 'ssh2';
import { rxmuxAdapter } from '../lib/rxmux-adapter.mjs';

export default await rxmuxAdapter({
  name: 'rxmux-ssh',
  entry: 'rxmux/ssh',
  protocolFor: ({ ssh }, role) =>
    role === 'server'
      ? ssh({
          hostKeys: [ssh2.utils.generateKeyPairSync('ed25519').private],
          authenticate: ({ password }) => password === 'bench',
        })
      : ssh({ username: 'bench', password: 'bench', verifyHost: () => true }),
});
